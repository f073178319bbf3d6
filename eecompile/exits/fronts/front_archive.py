"""The points a search of a front has found: a screen that discards quickly, and the exact filter at its end.

The screen is a table over at most two objectives that holds the least value of the third that is known. A
point is entered where its row and column begin to hold it, and asked for in the row and column that hold no
more than it: what the screen discards is dominated for certain, what it lets through may be as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.pareto import nondominated

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# More points than this are filtered before more are taken.
_MOST_POINTS = 100_000
# Points that wait to be entered, as a share of the cells of the table.
_WAITING = 5000


@dataclass(frozen=True)
class FrontSpot:
    """Where a point lies: a network and a threshold of it.

    Attributes:
        kept: Early exits of the network.
        final: Its final head.
        ranks: At each exit all confidences up to this rank have left; -1: none.
    """

    kept: tuple[int, ...]
    final: int
    ranks: tuple[int, ...]


class FrontArchive:
    """Points that were found, all objectives minimised.

    Args:
        levels: Rising, of each objective but the last: where rows and columns of the screen begin. Whole
            levels of an objective that only takes these lose nothing.
    """

    def __init__(self, levels: Sequence[Float64]) -> None:
        self._levels = tuple(levels)
        self._grid = np.full([len(level) for level in levels], np.inf)
        self._waiting: list[Float64] = []
        self._points: list[Float64] = []
        self._spots: list[FrontSpot] = []
        self._taken = 0

    def is_open(self, points: Float64) -> Bools:
        """Return which points [n, objectives] no point that is known is surely better than."""
        if self._waiting and (len(self._waiting) * _WAITING >= self._grid.size):
            self._settle()
        places = tuple(
            np.searchsorted(level, column, side="right") - 1
            for level, column in zip(self._levels, points.T, strict=False)
        )
        known = self._grid[places]
        for place in places:
            known = np.where(place < 0, np.inf, known)
        return np.asarray(points[:, -1] < known)

    def add(self, points: Float64, spot: Callable[[int], FrontSpot]) -> None:
        """Take points [n, objectives], each with the spot that its number has."""
        front = nondominated(points)
        points = points[front]
        self._waiting.append(points)
        self._points.append(points)
        self._spots.extend(spot(number) for number in front.tolist())
        if len(self._spots) > 2 * max(_MOST_POINTS, self._taken):
            self.front()

    def front(self) -> tuple[Float64, tuple[FrontSpot, ...]]:
        """Return the points that no other dominates, rising in the first objective, and where they lie."""
        if not self._points:
            return np.zeros((0, len(self._levels) + 1)), ()
        points = np.concatenate(self._points)
        front = nondominated(points)
        self._points, self._spots = [points[front]], [self._spots[n] for n in front.tolist()]
        self._taken = len(front)
        return self._points[0], tuple(self._spots)

    def _settle(self) -> None:
        points = np.concatenate(self._waiting)
        self._waiting = []
        places = [
            np.searchsorted(level, column, side="left")
            for level, column in zip(self._levels, points.T, strict=False)
        ]
        inside = np.ones(len(points), bool)
        for place, size in zip(places, self._grid.shape, strict=True):
            inside &= place < size
        np.minimum.at(self._grid, tuple(p[inside] for p in places), points[inside, -1])
        for axis in range(self._grid.ndim):
            np.minimum.accumulate(self._grid, axis=axis, out=self._grid)
