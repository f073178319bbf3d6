"""Parts of tensors: channels by rows."""

from __future__ import annotations

import math
from typing import NamedTuple

from targets.network.layer import Operand


class Region(NamedTuple):
    """Channels ``c0`` up to ``c1`` of rows ``y0`` up to ``y1``, ends not included."""

    c0: int
    c1: int
    y0: int
    y1: int

    def within(self, other: Region) -> bool:
        """Whether all of this lies in ``other``."""
        return other.c0 <= self.c0 and self.c1 <= other.c1 and other.y0 <= self.y0 and self.y1 <= other.y1

    def meet(self, other: Region) -> Region | None:
        """Return what both have, ``None`` for nothing."""
        c0, c1 = max(self.c0, other.c0), min(self.c1, other.c1)
        y0, y1 = max(self.y0, other.y0), min(self.y1, other.y1)
        return Region(c0, c1, y0, y1) if c0 < c1 and y0 < y1 else None

    @property
    def cells(self) -> int:
        """Channels times rows."""
        return (self.c1 - self.c0) * (self.y1 - self.y0)


class Extent(NamedTuple):
    """A tensor as channels by rows by what lies in each of these cells.

    Each part that lies somewhere is padded to whole words of ``word_bits``.
    """

    channels: int
    rows: int
    inner: int
    bits: int
    word_bits: int = 1

    @property
    def whole(self) -> Region:
        """All of it."""
        return Region(0, self.channels, 0, self.rows)

    def bits_of(self, region: Region) -> int:
        """Return the bits of a part."""
        return -(-region.cells * self.inner * self.bits // self.word_bits) * self.word_bits


def extent_of(operand: Operand) -> Extent:
    """Return the extent of a tensor of batch 1; of images the rows can be told apart, else channels only.

    Matrices have their rows, other tensors of several images are one channel.
    """
    shape = operand.shape
    if len(shape) > 1 and shape[0] == 1:
        rows = shape[2] if len(shape) == 4 else 1
        return Extent(shape[1], rows, operand.elements // max(1, shape[1] * rows), operand.bits)
    if len(shape) == 2:
        return Extent(shape[1], shape[0], 1, operand.bits)
    return Extent(1, 1, math.prod(shape), operand.bits)
