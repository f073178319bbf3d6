"""The memories of the accelerator: what tensors take of the data memories, and where weights find room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from targets.cost.layer_cost import ceil_div
from targets.max78000.jobs import PROCESSORS, input_map, jobs_of, passes_of
from targets.max78000.latency import Job
from targets.network.layer import Layer, Operand

SHARING = 4
"""Processors that share a data memory, and channels in one of its words."""
WORD_BITS = 72
"""Of a weight memory: nine weights of 8 bits."""
WORD_STEP = 4
"""Words of weights of a layer begin at a multiple of this."""


def tensor_bytes(operand: Operand, by_channel: bool = False) -> int:
    """Return what a tensor takes of each data memory that holds some of it: four channels per word and pass.

    Args:
        operand: The tensor, of batch 1.
        by_channel: It lies there channel after channel, one to a memory, as an input of the network may.
    """
    channels, *sizes = operand.shape[1:] or (1,)
    positions = 1
    for size in sizes:
        positions *= size
    width = max(1, operand.bits // 8) * (1 if by_channel else SHARING)
    return positions * width * passes_of(channels)


@dataclass(frozen=True)
class Block:
    """The weights of a layer.

    Attributes:
        processors: That have some of them: a multiple of four.
        words: Of the weight memory of each.
    """

    processors: int
    words: int


def block_of(layer: Layer) -> Block | None:
    """Return the weights the accelerator needs for a layer; ``None`` for a layer without.

    Every processor has the kernels from its input channel to all outputs, one after another in words of 72
    bits. Source: analogdevicesinc/ai8x-synthesis, ``izer/kernels.py``.
    """
    job = jobs_of(layer)[0]
    if not job.convolves:
        return None
    channels, _, _ = input_map(layer)
    bits = 8 if layer.weight is None else layer.weight.bits
    kernels = _kernels(job)
    weights = job.kernel[0] * job.kernel[1]
    # Narrow kernels come in bytes: the last of them is filled up.
    together = 8 // bits
    filled = kernels % together * weights * (together - 1)
    words = ceil_div(kernels * weights * bits + filled, WORD_BITS)
    per_pass = ceil_div(channels, job.passes)
    return Block(min(PROCESSORS, ceil_div(per_pass, SHARING) * SHARING), words)


def _kernels(job: Job) -> int:
    if job.depthwise:
        return job.passes
    return job.outputs * job.passes * (job.rows * job.columns if job.flatten else 1)


def words_needed(blocks: Iterable[Block]) -> int:
    """Return how many words the fullest weight memory holds once all layers have found processors.

    The largest blocks first, each on the processors side by side where it ends lowest. The layer before
    writes its outputs to any processors, so that the choice is free; the vendor's tool leaves it to users.
    """
    filled = [0] * (PROCESSORS // SHARING)
    for block in sorted(blocks, key=lambda found: (-found.words * found.processors, -found.words)):
        width = ceil_div(block.processors, SHARING)
        starts = range(len(filled) - width + 1)
        start = min(starts, key=lambda i: (max(filled[i : i + width]), i))
        begin = ceil_div(max(filled[start : start + width]), WORD_STEP) * WORD_STEP
        filled[start : start + width] = [begin + block.words] * width
    return max(filled)
