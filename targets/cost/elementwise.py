"""Work beside matrix products: pooling core, SIMD lanes, digital add, and the host.

No public figure exists for these on DIANA; the cycle counts here are placeholders of this project
and their rates come from the accelerator description.
"""

from __future__ import annotations

import math

from passes.operator_sets import SELECTIONS
from targets.cost.layer_cost import ceil_div
from targets.network.layer import Layer, LoopDims

POOL_WINDOW = 2

# Host operators by the work one element takes.
# fmt: off
EXPONENTIAL = frozenset({
    "Celu", "Elu", "Erf", "Exp", "Gelu", "Log", "LogSoftmax", "Mish", "Selu", "Sigmoid", "Softmax",
    "Softplus", "Tanh",
})
SIMPLE = frozenset({
    "Abs", "Add", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat",
    "DepthToSpace", "DequantizeLinear", "Div", "Expand", "Floor", "Gather", "GlobalAveragePool",
    "GlobalMaxPool", "GroupNormalization", "HardSigmoid", "HardSwish", "InstanceNormalization", "LRN",
    "LayerNormalization", "LeakyRelu", "LpNormalization", "LpPool", "Max", "MaxPool", "Mean",
    "MeanVarianceNormalization", "Min", "Mul",
    "Neg", "PRelu", "Pad", "Pow", "QuantizeLinear", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Resize", "Round", "Sign", "Slice",
    "SpaceToDepth", "Split", "Sqrt", "Sub", "Sum", "ThresholdedRelu", "Tile", "Transpose", "Upsample",
    "Where",
})
# fmt: on


def processed_elements(layer: Layer) -> int:
    """Return how many elements a sequential processor touches: window elements, or operands."""
    if layer.dims is not None and layer.macs == 0:
        return layer.dims.iterations
    if layer.op_type in SELECTIONS:
        return max(1, layer.output_elements)
    largest_input = max((t.elements for t in layer.inputs), default=0)
    return max(1, largest_input, layer.output_elements)


def host_cycles(layer: Layer, cycles_per_element: float, cycles_per_exponential: float) -> int:
    """Return cycles on the host; a decision adds one pass over the classes to find the maximum."""
    elements = processed_elements(layer)
    if layer.op_type in EXPONENTIAL:
        maximum = cycles_per_element if layer.exit_name is not None else 0.0
        return math.ceil(elements * (cycles_per_exponential + maximum))
    return math.ceil(elements * cycles_per_element)


def pooling_core_cycles(dims: LoopDims, columns: int) -> int:
    """Return cycles of a core that takes ``columns`` 2x2 windows at once.

    A window of fy x fx takes ``ceil(fy/2) * ceil(fx/2)`` passes. Source: this project.
    """
    passes = ceil_div(dims.fy, POOL_WINDOW) * ceil_div(dims.fx, POOL_WINDOW)
    return dims.b * dims.g * dims.oy * ceil_div(dims.ox, columns) * passes


def lane_cycles(layer: Layer, elements_per_cycle: float) -> int:
    """Return cycles to write all output elements at ``elements_per_cycle``."""
    return math.ceil(layer.output_elements / elements_per_cycle)
