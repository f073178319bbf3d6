"""How a layer is cut to fit inner memories, and the DMA traffic that makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from targets.cost.layer_cost import ceil_div
from targets.network.layer import Layer, LoopDims, Operand

# The array takes 16 output channels at a time; weights and biases are stored padded to it.
CHANNEL_BLOCK = 16
BIAS_BYTES = 4
PARTIAL_SUM_BYTES = 4
# Tensors are padded to whole words, in L2 and on their way; MATCH refuses those that are none.
WORD_BYTES = 4


@dataclass(frozen=True)
class Traffic:
    """Bytes and calls between the outer and the inner memory for one layer.

    Attributes:
        jobs: Times the core is started.
        partial_sum_bytes: Accumulators parked in the inner memory because the input channels are split.
    """

    input_bytes: int
    weight_bytes: int
    output_bytes: int
    calls: int
    jobs: int
    partial_sum_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes in both directions."""
        return self.input_bytes + self.weight_bytes + self.output_bytes


@dataclass(frozen=True)
class _Rows:
    tiles: int
    input_bytes: int


def stored_bytes(operands: Iterable[Operand]) -> int:
    """Return the bytes that ``operands`` take in L2, each padded to whole words."""
    return sum(ceil_div(t.size_bytes, WORD_BYTES) * WORD_BYTES for t in operands)


def padding_bytes(layer: Layer) -> int:
    """Return the bytes that pad what ``layer`` reads and writes: they are stored, and moved with it."""
    operands = (*layer.inputs, *layer.outputs)
    return stored_bytes(operands) - sum(t.size_bytes for t in operands)


def linear_traffic(layer: Layer, inner_bytes: int, weight_memory_bytes: int) -> Traffic | None:
    """Tile a convolution or fully connected layer; ``None`` if not even one output row fits.

    Activations are cut along output rows (rows that windows share are read again), weights along
    output channels, and along input channels where 16 output channels alone are too large. With
    both cut, the loop order that moves fewer bytes is taken: weights stay, inputs come again and every
    piece of output channels is written by itself, or the other way. Split input channels always
    take the other way: the int32 sums of 16 output channels wait in L1, which holds those of the rows
    at hand only. A depthwise layer is cut along channels, which share nothing, and is one job per channel.

    Source: L1 and weight memory of MATCH's DIANA target; the order of cuts is this project's.
    """
    dims = layer.dims
    if dims is None:
        return None
    if dims.depthwise:
        return _depthwise_traffic(layer, dims, inner_bytes)
    per_block = CHANNEL_BLOCK * dims.c * dims.fy * dims.fx
    one_pixel = dims.b * dims.oy * dims.ox == 1  # it stays in the accumulators
    parks = per_block > weight_memory_bytes and not one_pixel
    sums_row = CHANNEL_BLOCK * dims.ox * PARTIAL_SUM_BYTES if parks else 0
    rows = _row_tiles(layer, dims, inner_bytes, sums_row)
    if rows is None:
        return None
    blocks = ceil_div(dims.k, CHANNEL_BLOCK)
    weight_bytes = blocks * per_block + (blocks * CHANNEL_BLOCK * BIAS_BYTES if layer.bias else 0)
    parked = 0
    if per_block <= weight_memory_bytes:
        chunks = ceil_div(blocks, weight_memory_bytes // per_block)
    else:
        splits = ceil_div(dims.c, max(1, weight_memory_bytes // (CHANNEL_BLOCK * dims.fy * dims.fx)))
        chunks = blocks * splits
        if parks:
            parked = 2 * (splits - 1) * layer.output_elements * PARTIAL_SUM_BYTES
    input_bytes, input_calls, weight_calls, output_calls = rows.input_bytes, rows.tiles, chunks, rows.tiles
    if rows.tiles > 1 and chunks > 1:
        if parks or weight_bytes * rows.tiles <= rows.input_bytes * chunks:
            weight_bytes, weight_calls = weight_bytes * rows.tiles, chunks * rows.tiles
        else:
            input_bytes = rows.input_bytes * chunks
            input_calls = output_calls = rows.tiles * chunks
    jobs = rows.tiles * chunks
    return Traffic(
        input_bytes,
        weight_bytes,
        stored_bytes(layer.outputs),
        input_calls + weight_calls + output_calls,
        jobs,
        parked,
    )


def elementwise_traffic(layer: Layer, inner_bytes: int) -> Traffic:
    """Cut a layer without weights into equal pieces that fit; each piece moves every operand once."""
    total = stored_bytes(layer.inputs) + stored_bytes(layer.outputs)
    pieces = max(1, ceil_div(total, inner_bytes))
    calls = pieces * (len(layer.inputs) + len(layer.outputs))
    return Traffic(stored_bytes(layer.inputs), 0, stored_bytes(layer.outputs), calls, pieces)


def _depthwise_traffic(layer: Layer, dims: LoopDims, inner_bytes: int) -> Traffic | None:
    per_channel = ceil_div(stored_bytes(layer.inputs) + stored_bytes(layer.outputs), dims.g)
    fitting = inner_bytes // per_channel
    if fitting == 0:
        return None
    # One channel of weights and its bias, padded to the 16 columns of the array.
    bias_bytes = BIAS_BYTES if layer.bias else 0
    weight_bytes = dims.g * CHANNEL_BLOCK * (dims.fy * dims.fx + bias_bytes)
    calls = 2 * ceil_div(dims.g, fitting) + dims.g
    return Traffic(stored_bytes(layer.inputs), weight_bytes, stored_bytes(layer.outputs), calls, dims.g)


def _row_tiles(layer: Layer, dims: LoopDims, inner_bytes: int, sums_row: int) -> _Rows | None:
    input_row = ceil_div(stored_bytes(layer.inputs), dims.iy)
    output_row = ceil_div(stored_bytes(layer.outputs), dims.oy)

    def fits(rows: int) -> bool:
        window_rows = min(dims.iy, (rows - 1) * dims.stride_y + dims.fy)
        return window_rows * input_row + rows * (output_row + sums_row) <= inner_bytes

    if fits(dims.oy):
        return _Rows(1, stored_bytes(layer.inputs))
    rows = next((r for r in range(dims.oy - 1, 0, -1) if fits(r)), 0)
    if rows == 0:
        return None
    read = 0
    for start in range(0, dims.oy, rows):
        count = min(rows, dims.oy - start)
        top = start * dims.stride_y - dims.pad_top
        # Rows a stride skips lie between those it reads and move along with them.
        bottom = top + max((count - 1) * dims.stride_y + dims.fy, count * dims.stride_y)
        read += max(0, min(dims.iy, bottom) - max(0, top))
    return _Rows(ceil_div(dims.oy, rows), read * input_row)
