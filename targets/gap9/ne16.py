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
        cycles: It computes.
        column_elements: Elements the cluster gathers beforehand, so that taps become input channels.
    """

    cycles: int
    column_elements: int = 0


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
    passes = 1 if mode == "depthwise" else ceil_div(inputs, INPUT_CHANNELS)
    offset = _FIFO_CYCLES + (outputs if mode == "depthwise" else 0)
    product = _FIFO_CYCLES + outputs * (1 if mode == "1x1" else weight_bits)
    per_pass = _LOAD_CYCLES[mode] + offset + product + _UPDATE_CYCLES
    return passes * per_pass + _SCALE_CYCLES + outputs + _STREAM_OUT_CYCLES


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
    """Return cycles with the kernel split into 3 x 3 and 1 x 1 kernels, each a job of its own.

    Args:
        dims: A depthwise 3 x 3 convolution, or one of one group with any kernel.
        weight_bits: Bits of a weight.
        block: Output pixels a 3 x 3 job keeps along each axis. The published formula knows no strides: 3.
    """
    if dims.depthwise:
        return job_cycles("depthwise", _blocks(dims, block), dims.g, 1, weight_bits)
    large, single = taps(dims)
    return large * job_cycles("3x3", _blocks(dims, block), dims.k, dims.c, weight_bits) + (
        single * job_cycles("1x1", _blocks(dims, BLOCK), dims.k, dims.c, weight_bits)
    )


def gathered(dims: LoopDims, weight_bits: int) -> Ne16Work:
    """Return the work with all taps gathered into input channels, so that the kernel becomes 1 x 1.

    Source: GAP SDK (GreenWaves-Technologies/gap_sdk, ``CNN_MM_ConvolutionNE16`` with its column buffer).
    """
    channels = dims.c * dims.fy * dims.fx
    cycles = job_cycles("1x1", _blocks(dims, BLOCK), dims.k, channels, weight_bits)
    return Ne16Work(cycles, dims.b * dims.oy * dims.ox * channels)


def layer_work(dims: LoopDims, weight_bits: int, gather_per_cycle: float) -> Ne16Work:
    """Return the cheaper of splitting the kernel and gathering its taps; a depthwise layer does neither.

    3 x 3 jobs take stride 1, or 2 with fewer pixels a block; 1 x 1 jobs take any stride.

    Args:
        dims: A layer NE16 takes.
        weight_bits: Bits of a weight.
        gather_per_cycle: Elements per cycle that the cluster gathers.
    """
    strides = dims.stride_y, dims.stride_x
    split = Ne16Work(split_cycles(dims, weight_bits, STRIDED_BLOCK if strides == (2, 2) else BLOCK))
    if dims.depthwise:
        return split
    columns = gathered(dims, weight_bits)
    cheaper = columns.cycles + columns.column_elements / gather_per_cycle < split.cycles
    splits = strides in ((1, 1), (2, 2)) or not taps(dims)[0]
    return columns if cheaper or not splits else split


def _blocks(dims: LoopDims, block: int) -> int:
    """Return blocks of output pixels; the rows of a product are pixels side by side, nine to a block."""
    if dims.oy * dims.ox == 1:
        return ceil_div(dims.b, BLOCK * BLOCK)
    return dims.b * ceil_div(dims.oy, block) * ceil_div(dims.ox, block)
