"""An integer program: the lowered network as a short list of operations on integer tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from passes.confidence import ConfidenceRule
from passes.number_formats import Requantization

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rescale:
    """How sums become integers of a grid.

    Attributes:
        factors: What onnxruntime multiplies sums by, float32 [1] or one per output channel.
        ratios: The same without its rounding: product of the steps read, over the step written.
        zero: Zero point of the grid written.
        low: Smallest integer written.
        high: Largest integer written.
        requantization: What the core does instead.
        divisor: What onnxruntime divides its product by, rounding once more; ``None`` if it only multiplies.
    """

    factors: Array
    ratios: tuple[Fraction, ...]
    zero: int
    low: int
    high: int
    requantization: Requantization
    divisor: np.float32 | None = None


@dataclass(frozen=True)
class Operation:
    """One operation; ``name`` is that of its node, ``reads`` and ``writes`` are tensors of the program."""

    name: str
    reads: tuple[str, ...]
    writes: str


@dataclass(frozen=True)
class Convolution(Operation):
    """Sums over windows of ``reads - zero``, whose padding is 0; weights [out, in / groups, *kernel].

    Attributes:
        weights: Counted from their zero point.
        bias: int32 per output channel, in the accumulator.
        pads: Before and behind, per spatial axis.
    """

    weights: Array
    bias: Array
    zero: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    rescale: Rescale


@dataclass(frozen=True)
class FullyConnected(Operation):
    """``weights`` [out, in] times ``reads - zero``, plus bias; without ``rescale`` the sums are logits."""

    weights: Array
    bias: Array
    zero: int
    rescale: Rescale | None


@dataclass(frozen=True)
class Addition(Operation):
    """The sum of two tensors, each counted from its zero point and times its own ratio.

    ``factors`` are onnxruntime's, one per tensor; ``rescale.ratios`` are exact, likewise. ``lowest`` is the
    smallest integer that the type of both can hold.
    """

    zeros: tuple[int, int]
    rescale: Rescale
    lowest: int = 0


@dataclass(frozen=True)
class Average(Operation):
    """The sum over all positions of a channel, counted from ``zero``; its ratio divides by how many."""

    zero: int
    rescale: Rescale


@dataclass(frozen=True)
class WindowAverage(Operation):
    """The sum of each window of ``reads - zero``, over as many positions as count.

    Attributes:
        padding_counts: What is padded counts as positions; else it does not.
        rescales: Per number of positions that occurs, how sums become integers.
        tables: Likewise what onnxruntime makes of each sum from ``-255 * positions`` to ``255 * positions``.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    zero: int
    padding_counts: bool
    rescales: dict[int, Rescale]
    tables: dict[int, Array]


@dataclass(frozen=True)
class Affine(Operation):
    """Conversions of an analog array, counted from ``zero`` and added up, times m plus b per channel.

    Attributes:
        multipliers: m per channel.
        offsets: b per channel.
    """

    zero: int
    multipliers: Array
    offsets: Array
    rescale: Rescale


@dataclass(frozen=True)
class Concatenation(Operation):
    """Tensors behind each other along ``axis``, each brought from its grid onto the one written.

    Attributes:
        lowest: Smallest integer that the type of all can hold.
        zeros: Zero point per tensor.
        rescales: Per tensor, how what is counted from its zero point becomes integers.
        tables: Per tensor, what onnxruntime makes of each of the 256 integers from ``lowest`` on.
    """

    axis: int
    lowest: int
    zeros: tuple[int, ...]
    rescales: tuple[Rescale, ...]
    tables: tuple[Array, ...]


@dataclass(frozen=True)
class ChannelPart(Operation):
    """As many ``channels`` as it says, from ``begin`` on."""

    begin: int
    channels: int


@dataclass(frozen=True)
class Widening(Operation):
    """Integers of a grid, counted from ``zero``, as sums of 32 bits: logits that a file has rounded."""

    zero: int


@dataclass(frozen=True)
class Maximum(Operation):
    """The largest integer of each window; what is padded never is."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class View(Operation):
    """The same integers under another shape, in the order ``axes`` where that is not empty."""

    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recycled:
    """What an exit adds to its logits: those of an exit before it, weighted.

    Attributes:
        logits: Tensor of the int32 sums of that exit.
        scales: float32 [1] or one per class, of those sums.
        weight: float32; what is added is sum times scale, rounded, times this.
    """

    logits: str
    scales: Array
    weight: np.float32


@dataclass(frozen=True)
class IntegerExit:
    """One exit: which sums are its logits, and how it decides.

    Attributes:
        name: As in the graph.
        logits: Tensor of int32 sums.
        scales: float32 [1] or one per class: logits are sums times these.
        threshold: An input leaves from this confidence on; ``None`` at the final exit.
        confidence: Its rule.
        recycled: What is added to its logits; ``None`` where nothing is.
    """

    name: str
    logits: str
    scales: Array
    threshold: float | None
    confidence: ConfidenceRule
    recycled: Recycled | None = None


@dataclass(frozen=True)
class IntegerProgram:
    """A network in integers alone.

    Attributes:
        name: Name of the network's input.
        source: Tensor that holds the quantized input.
        scale: Step of the input, float32.
        zero: Its zero point.
        low: Smallest integer of the input.
        high: Largest integer of the input.
        shapes: Of all tensors, batch 1.
        operations: In an order in which they can run, those of shallow exits first.
        exits: Shallow to deep.
        signed: Tensors whose type is int8; those of the others that are no sums have uint8.
    """

    name: str
    source: str
    scale: np.float32
    zero: int
    low: int
    high: int
    shapes: dict[str, tuple[int, ...]]
    operations: tuple[Operation, ...]
    exits: tuple[IntegerExit, ...]
    signed: frozenset[str] = frozenset()

    def quantized(self, images: Array) -> Array:
        """Return float32 images [N, …] as integers of the input grid: the one step that reads floats."""
        rounded = np.rint(images.astype(np.float32) / self.scale) + np.float32(self.zero)
        integers: Array = np.clip(rounded, self.low, self.high).astype(np.int64)
        return integers

    def until(self, number: int) -> Sequence[Operation]:
        """Return the operations that run behind exit ``number - 1`` for exit ``number``."""
        done = {op.writes for k in range(number) for op in self._needed(k)}
        return [op for op in self._needed(number) if op.writes not in done]

    def _needed(self, number: int) -> list[Operation]:
        item, kept = self.exits[number], []
        wanted = {item.logits} if item.recycled is None else {item.logits, item.recycled.logits}
        for op in reversed(self.operations):
            if op.writes in wanted:
                wanted.update(op.reads)
                kept.append(op)
        return kept[::-1]
