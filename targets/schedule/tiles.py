"""Layers cut into tiles: which part of its inputs a tile reads, and the tile as a layer of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from passes.operator_sets import ELEMENTWISE, GLOBAL_POOLS, POOLS, WINDOW_POOLS
from targets.network.layer import Layer, LoopDims, Operand
from targets.schedule.regions import Extent, Region, extent_of

Axis = Literal["", "K", "OY"]

# Beside those with two inputs, operators that work on each element alone.
_UNARY = frozenset({
    "Abs", "Cast", "Ceil", "Celu", "Clip", "DequantizeLinear", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "QuantizeLinear", "Reciprocal", "Relu",
    "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Sqrt", "Tanh", "ThresholdedRelu",
})  # fmt: skip
POINTWISE = _UNARY | frozenset(ELEMENTWISE)


@dataclass(frozen=True)
class Cut:
    """How a layer is cut: into ``parts`` along output channels (``K``) or output rows (``OY``).

    Parts are as equal as can be, the larger ones spread among the others.
    """

    axis: Axis = ""
    parts: int = 1


WHOLE = Cut()


@dataclass(frozen=True)
class Tile:
    """A part of a layer.

    Attributes:
        layer: The part as a layer, named like the whole.
        output: The part of the first output it computes; of further outputs it computes all.
        inputs: The part it reads of each input.
        weights: The part of the output channels whose weights it needs; of a constant operand, all of it;
            ``None`` without either.
        number: Counted from 0.
        count: Parts of the layer.
    """

    layer: Layer
    output: Region
    inputs: tuple[Region, ...]
    weights: Region | None
    number: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """Name of the layer, with the number of the tile if there are several."""
        return self.layer.name if self.count == 1 else f"{self.layer.name}[{self.number + 1}/{self.count}]"


def cuttable(layer: Layer, axis: Axis) -> int:
    """Return into how many parts ``layer`` can be cut along ``axis``; 1 for not at all."""
    if not axis:
        return 1
    if len(layer.outputs) != 1 or not layer.inputs or layer.outputs[0].shape[:1] != (1,):
        return 1
    extent = extent_of(layer.outputs[0])
    size = extent.rows if axis == "OY" else extent.channels
    if layer.op_type == "Conv" and layer.dims is not None and layer.weight is not None:
        if axis == "OY":
            return size if len(layer.outputs[0].shape) == 4 else 1
        return layer.dims.g if layer.dims.g > 1 else layer.dims.k
    if layer.op_type in {"Gemm", "MatMul"}:
        # Of [1, 1, K] the second axis, by which tensors are cut, is not the one of the columns.
        one_row = (
            layer.dims is not None and layer.dims.b == layer.dims.g == 1 and extent.channels == layer.dims.k
        )
        return layer.dims.k if axis == "K" and layer.weight is not None and one_row and layer.dims else 1
    if layer.op_type in WINDOW_POOLS and layer.dims is not None:
        return size if axis == "K" or len(layer.outputs[0].shape) == 4 else 1
    if layer.op_type in GLOBAL_POOLS and layer.dims is not None:
        return size if axis == "K" else 1
    same = all(t.shape == layer.outputs[0].shape for t in layer.inputs)
    return size if layer.op_type in POINTWISE and same and layer.constant is None else 1


def tiles_of(layer: Layer, cut: Cut) -> tuple[Tile, ...]:
    """Return the tiles of ``layer``.

    Raises:
        ValueError: The layer cannot be cut like this.
    """
    whole = extent_of(layer.outputs[0]).whole
    if cut.parts == 1:
        inputs = tuple(extent_of(t).whole for t in layer.inputs)
        return (Tile(layer, whole, inputs, _weights(layer, whole.c0, whole.c1)),)
    limit = cuttable(layer, cut.axis)
    if cut.parts > limit:
        raise ValueError(f"'{layer.name}' has {limit} parts along {cut.axis or 'no axis'}, not {cut.parts}")
    grain = (whole.c1 // limit) if cut.axis == "K" else 1
    ends = [(i * limit + cut.parts - 1) // cut.parts * grain for i in range(cut.parts + 1)]
    tiles = []
    for number in range(cut.parts):
        begin, end = ends[number], ends[number + 1]
        part = (begin, end, whole.y0, whole.y1) if cut.axis == "K" else (whole.c0, whole.c1, begin, end)
        tiles.append(_tile(layer, Region(*part), number, cut.parts))
    return tuple(tiles)


def _tile(layer: Layer, output: Region, number: int, count: int) -> Tile:
    inputs = tuple(_needed(layer, output, extent_of(t)) for t in layer.inputs)
    channels = output.c1 - output.c0
    dims, share = _tile_dims(layer, output, inputs)
    made = replace(
        layer,
        dims=dims,
        macs=round(layer.macs * share),
        inputs=tuple(_shrunk(t, r) for t, r in zip(layer.inputs, inputs, strict=True)),
        outputs=(_shrunk(layer.outputs[0], output),),
        weight=_first_axis(layer.weight, layer, channels),
        bias=None if layer.bias is None else replace(layer.bias, shape=(channels,)),
    )
    return Tile(made, output, inputs, _weights(layer, output.c0, output.c1), number, count)


def _weights(layer: Layer, begin: int, end: int) -> Region | None:
    if layer.constant is not None and layer.weight is None:
        return Region(0, 1, 0, 1)
    return None if layer.weight is None else Region(begin, end, 0, 1)


def weight_extent(layer: Layer) -> Extent:
    """Return the weights of ``layer`` with its bias, by output channel; a constant is one channel."""
    if layer.weight is None and layer.constant is not None:
        return Extent(1, 1, layer.constant.elements, layer.constant.bits)
    channels = max(1, extent_of(layer.outputs[0]).channels)
    bits = sum(t.elements * t.bits for t in (layer.weight, layer.bias) if t is not None)
    return Extent(channels, 1, 1, math.ceil(bits / channels))


def _needed(layer: Layer, output: Region, extent: Extent) -> Region:
    """Return the part of an input that ``output`` is computed from."""
    dims = layer.dims
    if layer.op_type in POINTWISE:
        return output
    c0, c1 = 0, extent.channels
    if dims is not None and layer.op_type == "Conv" and dims.g > 1:
        c0, c1 = output.c0 // dims.k * dims.c, -(-output.c1 // dims.k) * dims.c
    elif dims is not None and layer.op_type in POOLS:
        c0, c1 = output.c0, output.c1
    if dims is None or layer.op_type not in ("Conv", *WINDOW_POOLS) or extent.rows == 1:
        return Region(c0, c1, 0, extent.rows)
    first = output.y0 * dims.stride_y - dims.pad_top
    last = (output.y1 - 1) * dims.stride_y - dims.pad_top + (dims.fy - 1) * dims.dilation_y
    y0 = min(max(0, first), extent.rows - 1)
    return Region(c0, c1, y0, min(extent.rows, max(last + 1, y0 + 1)))


def _tile_dims(layer: Layer, output: Region, inputs: tuple[Region, ...]) -> tuple[LoopDims | None, float]:
    """Return the loops of a tile, and its share of the layer's work."""
    whole = extent_of(layer.outputs[0]).whole
    share = output.cells / whole.cells
    dims = layer.dims
    if dims is None:
        return None, share
    channels, rows = output.c1 - output.c0, output.y1 - output.y0
    if layer.op_type in {"Gemm", "MatMul"}:
        return replace(dims, k=channels), share
    if channels < whole.c1:
        dims = replace(dims, g=channels // dims.k) if dims.g > 1 else replace(dims, k=channels)
    # The window is clipped at the border of the part that is read: what is padding stays unfetched.
    return replace(dims, oy=rows, iy=inputs[0].y1 - inputs[0].y0), share


def _shrunk(operand: Operand, part: Region) -> Operand:
    """Return ``operand`` with the channels and rows of ``part``."""
    shape = list(operand.shape)
    if len(shape) > 1:
        shape[1] = part.c1 - part.c0
    if len(shape) == 4:
        shape[2] = part.y1 - part.y0
    return replace(operand, shape=tuple(shape))


def _first_axis(weight: Operand | None, layer: Layer, channels: int) -> Operand | None:
    """Return the weights of ``channels`` output channels."""
    if weight is None:
        return None
    whole = extent_of(layer.outputs[0]).channels
    if channels == whole:
        return weight
    elements = weight.elements // whole * channels
    shape = (channels, elements // channels) if weight.shape[0] != whole else (channels, *weight.shape[1:])
    return replace(weight, shape=shape)
