"""How a layer is cut to fit L1 twice, and what its DMA moves before and beside the work.

While one tile is worked on, the next one is loaded and the last one written, so L1 holds two. Source: the
double-buffered flow of DORY and of GreenWaves' own tiler; the order of cuts is this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.cost.layer_cost import ceil_div
from targets.gap9.ne16 import INPUT_CHANNELS
from targets.network.layer import Layer, LoopDims

BUFFERS = 2
WEIGHT_SHARE = 2
"""Weights take at most one half of a tile set, so that activations have the other."""


@dataclass(frozen=True)
class Transfers:
    """Bytes and DMA calls of a layer: of its first tile, then of all else.

    Attributes:
        first_bytes: Loaded before work can start.
        first_calls: Calls for these.
        later_bytes: Other tiles, and all results.
        later_calls: Calls for these.
    """

    first_bytes: int
    first_calls: int
    later_bytes: int
    later_calls: int


def stored_weight_bytes(layer: Layer) -> int:
    """Return the size of weights and bias; weights are stored with input channels padded to 16.

    Source: MATCH (eml-eda/match, weight encoding of its GAP9 target) and the GAP SDK.
    """
    if layer.weight is None:
        return 0
    dims = layer.dims
    elements = layer.weight.elements
    if dims is not None and dims.depthwise:
        elements = ceil_div(dims.g, INPUT_CHANNELS) * INPUT_CHANNELS * dims.fy * dims.fx
    elif dims is not None:
        elements = ceil_div(dims.c, INPUT_CHANNELS) * INPUT_CHANNELS * (layer.weight.elements // dims.c)
    return ceil_div(elements * layer.weight.bits, 8) + (layer.bias.size_bytes if layer.bias else 0)


def linear_transfers(layer: Layer, l1_bytes: int) -> tuple[Transfers, ...]:
    """Return the ways to cut a convolution or product: as few tiles as fit, and in halves if that is more.

    Empty if not even one output row fits twice.
    """
    dims = layer.dims
    if dims is None:
        return ()
    budget = l1_bytes // BUFFERS
    weight_bytes = stored_weight_bytes(layer)
    chunks = max(1, ceil_div(weight_bytes, budget // WEIGHT_SHARE))
    room = budget - ceil_div(weight_bytes, chunks)
    rows_out = dims.oy if dims.oy > 1 else dims.b
    least = next((n for n in range(1, rows_out + 1) if _tile_bytes(layer, dims, n, rows_out) <= room), None)
    if least is None:
        return ()
    counts = {least, max(least, min(2, rows_out))}
    return tuple(_cut(layer, dims, n, chunks, weight_bytes) for n in sorted(counts))


def elementwise_transfers(layer: Layer, l1_bytes: int) -> tuple[Transfers, ...]:
    """Return the ways to cut a layer whose tiling is not modelled: as few equal pieces as fit, and in halves.

    Everything moves once: inputs, stored weights or constants, and results.
    """
    constant_bytes = stored_weight_bytes(layer) + (layer.constant.size_bytes if layer.constant else 0)
    read = layer.read_bytes + constant_bytes
    # Weights come with their bias and scales, which lie beside them: two calls.
    sources = len(layer.inputs) + (2 if layer.weight else 0) + (1 if layer.constant else 0)
    least = max(1, ceil_div(read + layer.output_bytes, l1_bytes // BUFFERS))
    found = []
    for pieces in sorted({least, max(least, 2)}):
        first = ceil_div(read, pieces)
        calls = pieces * (sources + len(layer.outputs)) - sources
        found.append(Transfers(first, sources, read - first + layer.output_bytes, calls))
    return tuple(found)


def _shared_rows(dims: LoopDims) -> int:
    """Return input rows that two neighbouring tiles both read."""
    return max(0, dims.fy - dims.stride_y)


def _tile_bytes(layer: Layer, dims: LoopDims, tiles: int, rows_out: int) -> int:
    rows_in = dims.iy if dims.oy > 1 else rows_out
    out = ceil_div(layer.output_bytes, rows_out) * ceil_div(rows_out, tiles)
    shared = _shared_rows(dims) if tiles > 1 else 0
    return out + ceil_div(layer.input_bytes, rows_in) * min(rows_in, ceil_div(rows_in, tiles) + shared)


def _cut(layer: Layer, dims: LoopDims, tiles: int, chunks: int, weight_bytes: int) -> Transfers:
    """Cut into ``tiles`` of rows and ``chunks`` of output channels; the smaller operand comes again."""
    read = layer.input_bytes + (tiles - 1) * _shared_rows(dims) * ceil_div(layer.input_bytes, dims.iy)
    weights = weight_bytes
    reads, fetches = tiles, chunks
    if tiles > 1 and chunks > 1:
        if read * chunks + weights <= read + weights * tiles:
            read, reads = read * chunks, tiles * chunks
        else:
            weights, fetches = weights * tiles, tiles * chunks
    first = ceil_div(read, reads) + ceil_div(weights, fetches)
    later = read + weights - first + layer.output_bytes
    # Weights come with their bias and scales, which lie beside them: two calls.
    constants = 2 if weight_bytes else 1
    calls = reads + constants * fetches + tiles * chunks
    return Transfers(first, 1 + constants, later, calls - 1 - constants)
