"""Where layers lie in DIANA's analog array when several of them stay in it side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from targets.cost.layer_cost import ceil_div
from targets.diana.odimo import ANALOG_COLUMNS, ANALOG_ROWS, UNROLLS
from targets.network.layer import LoopDims

# Weights are written in blocks of this size. Source: the rules of DIANA's public compiler.
BLOCK_ROWS = 288
BLOCK_COLUMNS = 128
CELL_BITS = 2


class Footprint(NamedTuple):
    """Rows and columns of the array a layer takes, in whole blocks."""

    rows: int
    columns: int

    @property
    def bits(self) -> int:
        """Bits of all its cells."""
        return self.rows * self.columns * CELL_BITS


def footprint(dims: LoopDims, unroll: int) -> Footprint:
    """Return what a layer takes that computes ``unroll`` output columns at once.

    Its window spans ``C * ky * (kx + unroll - 1)`` rows, and each of the ``unroll`` copies of its kernels
    takes ``K`` columns. Source: ODiMO as implemented in PLiNIO, without its padding to 64 channels.
    """
    rows = dims.c * dims.fy * (dims.fx + unroll - 1)
    return Footprint(
        ceil_div(rows, BLOCK_ROWS) * BLOCK_ROWS, ceil_div(dims.k * unroll, BLOCK_COLUMNS) * BLOCK_COLUMNS
    )


def stacked(footprints: Sequence[Footprint]) -> bool:
    """Whether all lie in the array at once: tallest first, each on the first columns with rows left."""
    left = [ANALOG_ROWS] * (ANALOG_COLUMNS // BLOCK_COLUMNS)
    for one in sorted(footprints, reverse=True):
        width = one.columns // BLOCK_COLUMNS
        fitting = (i for i in range(len(left) - width + 1) if min(left[i : i + width]) >= one.rows)
        first = next(fitting, None)
        if first is None:
            return False
        left[first : first + width] = [min(left[first : first + width]) - one.rows] * width
    return True


def common_unroll(layers: Sequence[LoopDims]) -> int:
    """Return the most output columns at once with which ``layers`` all stay in the array; 0 if never."""
    return max((u for u in UNROLLS if stacked([footprint(dims, u) for dims in layers])), default=0)
