"""PLiNIO's published latency model of NE16, and how kernels it has no mode for are brought to its modes.

NE16 computes 3 x 3 output pixels at once: 32 channels of them from 16 input channels at a time, or 16
channels of a depthwise layer. It has three modes: 3 x 3 kernels, 1 x 1 kernels, and 3 x 3 depthwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from targets.cost.layer_cost import ceil_div
from targets.network.layer import LoopDims

Mode = Literal["3x3", "1x1", "depthwise"]

BLOCK = 3
"""Rows and columns of output pixels computed at once."""
STRIDED_BLOCK = 2
"""Of these, the rows and columns that 3 x 3 kernels at stride 2 keep (GAP SDK, KerConv3x3Stride2_NE16)."""
INPUT_CHANNELS = 16
OUTPUT_CHANNELS: dict[Mode, int] = {"3x3": 32, "1x1": 32, "depthwise": 16}

_FIFO_CYCLES = 6
_LOAD_CYCLES: dict[Mode, int] = {"3x3": 31, "1x1": 19, "depthwise": 31}
_UPDATE_CYCLES = 2
_SCALE_CYCLES = 9
_STREAM_OUT_CYCLES = 13


@dataclass(frozen=True)
class Ne16Work:
    """What a layer is for NE16.

    Attributes:
        cycles: It computes, by the formula.
        pointwise_passes: Passes over 16 input channels in the 1 x 1 mode.
        depthwise_passes: The same in the depthwise mode.
    """

    cycles: int
    pointwise_passes: int = 0
    depthwise_passes: int = 0


def block_cycles(mode: Mode, outputs: int, inputs: int, weight_bits: int) -> int:
    """Return cycles for one block of output pixels in at most one tile of output channels.

    Per 16 input channels ``load + offset + matrix-vector + 2``, then ``9 + k`` to scale ``k`` output channels
    and 13 to write them. Load takes 31 cycles (1 x 1: 19), offset 6 (depthwise ``6 + k``), matrix-vector
    ``6 + k * weight_bits`` (1 x 1: ``6 + k``).

    Source: PLiNIO (eml-eda/plinio, ``ne16_latency``).

    Args:
        mode: What NE16 does.
        outputs: Output channels, at most a tile of them.
        inputs: Input channels; not read for depthwise.
        weight_bits: Bits of a weight.
    """
    offset = _FIFO_CYCLES + (outputs if mode == "depthwise" else 0)
    product = _FIFO_CYCLES + outputs * (1 if mode == "1x1" else weight_bits)
    per_pass = _LOAD_CYCLES[mode] + offset + product + _UPDATE_CYCLES
    return _passes(mode, inputs) * per_pass + _SCALE_CYCLES + outputs + _STREAM_OUT_CYCLES


def job_cycles(mode: Mode, blocks: int, outputs: int, inputs: int, weight_bits: int) -> int:
    """Return cycles of one job: ``blocks`` of output pixels, all output channels, the last tile smaller.

    Source: PLiNIO (eml-eda/plinio, ``ne16_latency``).
    """
    whole, rest = divmod(outputs, OUTPUT_CHANNELS[mode])
    per_block = whole * block_cycles(mode, OUTPUT_CHANNELS[mode], inputs, weight_bits)
    if rest:
        per_block += block_cycles(mode, rest, inputs, weight_bits)
    return blocks * per_block


def taps(dims: LoopDims) -> tuple[int, int]:
    """Return how many 3 x 3 and how many 1 x 1 kernels make up the kernel of ``dims``.

    Source: PLiNIO (eml-eda/plinio, ``Ne16PerfModel_generalized``).
    """
    rest_y, rest_x = dims.fy % BLOCK, dims.fx % BLOCK
    single = rest_y * dims.fx + rest_x * dims.fy - rest_y * rest_x
    return (dims.fy // BLOCK) * (dims.fx // BLOCK), single


def split_cycles(dims: LoopDims, weight_bits: int, block: int = BLOCK) -> int:
    """Return cycles with the kernel split into 3 x 3 and 1 x 1 kernels, each a job of its own, in one tile.

    Args:
        dims: A depthwise 3 x 3 convolution, or one of one group with any kernel.
        weight_bits: Bits of a weight.
        block: Output pixels a 3 x 3 job keeps along each axis. The published formula knows no strides: 3.
    """
    return _work(dims, weight_bits, _rows(dims), _outputs(dims), block).cycles


def row_block(dims: LoopDims) -> int:
    """Return the rows of output that a block makes: what tiles of rows are cut in multiples of.

    The rows of a product are pixels side by side, nine to a block.
    """
    if dims.oy * dims.ox == 1:
        return BLOCK * BLOCK
    return STRIDED_BLOCK if _strided(dims) and taps(dims)[0] else BLOCK


def layer_work(dims: LoopDims, weight_bits: int, rows: int, channels: int) -> Ne16Work:
    """Return the work of all tiles of a layer that is cut into ``rows`` of output and output ``channels``.

    Every tile has its own last block and its own last channels, smaller than what NE16 computes at once.
    At stride 2, 3 x 3 kernels compute every pixel and keep one of four: 2 x 2 of a block.

    Args:
        dims: A layer NE16 takes.
        weight_bits: Bits of a weight.
        rows: Output rows of a tile, or rows of a product.
        channels: Output channels of a tile.
    """
    return _work(dims, weight_bits, rows, channels, STRIDED_BLOCK if _strided(dims) else BLOCK)


def _work(dims: LoopDims, weight_bits: int, rows: int, channels: int, block: int) -> Ne16Work:
    large, single = taps(dims)
    if dims.depthwise:
        mode: Mode = "depthwise"
        cycles, passes = _tiles(mode, dims, weight_bits, rows, channels, block)
        return Ne16Work(cycles, depthwise_passes=passes)
    cycles, pointwise = 0, 0
    if large:
        cycles += large * _tiles("3x3", dims, weight_bits, rows, channels, block)[0]
    if single:
        job, passes = _tiles("1x1", dims, weight_bits, rows, channels, BLOCK)
        cycles, pointwise = cycles + single * job, single * passes
    return Ne16Work(cycles, pointwise_passes=pointwise)


def _tiles(
    mode: Mode, dims: LoopDims, weight_bits: int, rows: int, channels: int, block: int
) -> tuple[int, int]:
    """Return cycles and passes of one job over all tiles."""
    whole, rest = divmod(_rows(dims), rows)
    blocks = whole * _blocks(dims, rows, block) + (_blocks(dims, rest, block) if rest else 0)
    full, last = divmod(_outputs(dims), channels)
    cycles = full * job_cycles(mode, 1, channels, dims.c, weight_bits)
    passes = full * ceil_div(channels, OUTPUT_CHANNELS[mode])
    if last:
        cycles += job_cycles(mode, 1, last, dims.c, weight_bits)
        passes += ceil_div(last, OUTPUT_CHANNELS[mode])
    return blocks * cycles, blocks * passes * _passes(mode, dims.c)


def _passes(mode: Mode, inputs: int) -> int:
    return 1 if mode == "depthwise" else ceil_div(inputs, INPUT_CHANNELS)


def _strided(dims: LoopDims) -> bool:
    return (dims.stride_y, dims.stride_x) == (2, 2)


def _outputs(dims: LoopDims) -> int:
    return dims.g if dims.depthwise else dims.k


def _rows(dims: LoopDims) -> int:
    return dims.b if dims.oy * dims.ox == 1 else dims.oy


def _blocks(dims: LoopDims, rows: int, block: int) -> int:
    """Return blocks of output pixels in ``rows``; those of a product are pixels side by side, nine to one."""
    if dims.oy * dims.ox == 1:
        return ceil_div(rows, BLOCK * BLOCK)
    return dims.b * ceil_div(rows, block) * ceil_div(dims.ox, block)
