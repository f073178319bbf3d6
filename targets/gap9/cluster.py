"""What the eight cores of the cluster take: MATCH's model of products, and measured rates for the rest."""

from __future__ import annotations

from targets.cost.elementwise import EXPONENTIAL, processed_elements
from targets.cost.layer_cost import ceil_div
from targets.description.architecture import Core
from targets.network.layer import Layer, LoopDims

CORES = 8
CHANNELS, COLUMNS, INPUTS = 4, 2, 4
"""Output channels and output columns a core computes at once, and inputs of a SIMD product."""
INNER_CYCLES = 14
"""Cycles per step of CHANNELS x COLUMNS SIMD products: six loads, eight products."""
START_CYCLES, END_CYCLES = 5, 10

OPERANDS = frozenset({"Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum", "Where"})
"""Two operands, each with a scale of its own."""
POOLINGS = frozenset({
    "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool", "ReduceL2", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
})  # fmt: skip
LAYOUT = frozenset({
    "Concat", "DepthToSpace", "Expand", "Gather", "Pad", "Resize", "Slice", "SpaceToDepth", "Split", "Tile",
    "Transpose", "Upsample",
})  # fmt: skip
RENAMED = frozenset({"Cast"})
"""The numbers stay, what they are called changes."""


def linear_cycles(dims: LoopDims) -> int:
    """Return compute cycles of a dense convolution or product by MATCH's model, as published.

    Rows go to the cores. A convolution gathers two columns of taps per step where its kernel has several,
    then multiplies; a product with a vector does 8 multiply-accumulates a cycle.

    Source: MATCH (eml-eda/match, GAP9 cluster cost model), without its multiplication of output sizes by the
    strides.
    """
    if dims.oy * dims.ox == 1:
        return dims.b * dims.g * ceil_div(dims.c * dims.fy * dims.fx, 2) * ceil_div(dims.k, 4)
    taps = dims.fy * dims.fx * dims.c
    gather = ceil_div(COLUMNS * taps, INPUTS) if dims.fy * dims.fx > 1 else 0
    multiply = START_CYCLES + ceil_div(taps, INPUTS) * INNER_CYCLES + END_CYCLES
    steps = ceil_div(dims.k, CHANNELS) * ceil_div(dims.oy, CORES) * ceil_div(dims.ox, COLUMNS)
    return dims.b * dims.g * steps * (gather + multiply)


def product_cycles(dims: LoopDims, cluster: Core) -> float:
    """Return compute cycles of a convolution or product.

    A dense one takes MATCH's cycles times what the chip was seen to take more. A depthwise one takes a number
    of cycles to start each channel, some for each product and some for each input pixel, so that a stride
    costs what is loaded and thrown away. Source: fitted by this project to GreenWaves' log of EfficientNet-
    Lite0.
    """
    if not dims.depthwise:
        return linear_cycles(dims) * cluster.rate("cycles_over_match")
    products = dims.oy * dims.ox * dims.fy * dims.fx
    per_channel = (
        cluster.rate("cycles_per_depthwise_channel")
        + cluster.rate("cycles_per_depthwise_product") * products
        + cluster.rate("cycles_per_depthwise_input") * dims.iy * dims.ix
    )
    return dims.b * dims.g * per_channel


def elementwise_cycles(layer: Layer, cluster: Core) -> float:
    """Return cycles of a layer without products, by what one element of its kind takes.

    Source: fitted by this project to GreenWaves' log of EfficientNet-Lite0, where rows of an addition are
    dealt to the eight cores: what is left over of eight rows waits.
    """
    elements = processed_elements(layer)
    if layer.op_type in EXPONENTIAL:
        return elements * cluster.rate("cycles_per_exponential")
    if layer.op_type in POOLINGS:
        return elements * cluster.rate("cycles_per_pooled_element")
    if layer.op_type in LAYOUT:
        return elements * cluster.rate("cycles_per_moved_element")
    if layer.op_type in RENAMED:
        return elements * cluster.rate("cycles_per_renamed_element")
    if layer.op_type in OPERANDS:
        return elements * _dealt(layer) * cluster.rate("cycles_per_added_element")
    return elements * cluster.rate("cycles_per_requantized_element")


def _dealt(layer: Layer) -> float:
    """Return by how much the last round of rows of an image lengthens the work."""
    shape = layer.outputs[0].shape if layer.outputs else ()
    if len(shape) != 4 or shape[2] == 1:
        return 1.0
    return ceil_div(shape[2], CORES) * CORES / shape[2]
