"""Fronts: which points no other dominates, how much they dominate together, and which would add most.

All objectives are minimised; a point is a row. The volume of two objectives is a sum of rectangles. Of three
it is swept along the third: between two of its values the area is that of all points before, kept as a
staircase that grows point by point (Beume, Fonseca, López-Ibáñez, Paquete and Vahrenhold 2009).
"""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passes.errors import InputError

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_OBJECTIVES = 3


def nondominated(points: ArrayLike) -> Ints:
    """Return the positions of the points [n, 1 to 3] that no other dominates, rising in all objectives.

    Of equal points the first one stays. Takes n log n steps and, for three objectives, as many moves of a
    list as a sorted one needs.

    Raises:
        InputError: There are other than one to three objectives, or a number is not one.
    """
    values = _checked(points)
    order: Ints = np.lexsort((np.arange(len(values)), *values.T[::-1]))
    if not len(order):
        return np.zeros(0, np.int64)
    ordered = values[order]
    if values.shape[1] == 1:
        return order[:1]
    if values.shape[1] == 2:
        least = np.minimum.accumulate(ordered[:, 1])
        first = np.concatenate([[True], ordered[1:, 1] < least[:-1]])
        front: Ints = order[first]
        return front
    stairs = _Stairs()
    kept = [n for n, (_, second, third) in enumerate(ordered.tolist()) if stairs.add(second, third)]
    return order[kept]


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume that points [n, 1 to 3] dominate up to a reference [1 to 3].

    A point that is no better than the reference in some objective adds nothing.

    Raises:
        InputError: There are other than one to three objectives, or a number is not one.
    """
    values, corner = _checked(points), np.asarray(reference, np.float64)
    if values.shape[1] != len(corner) or np.isnan(corner).any():
        raise InputError(
            f"points of {values.shape[1]} objectives have no volume up to a reference of {corner.tolist()}",
            "give a number for each objective",
        )
    inside = values[(values < corner).all(axis=1)]
    front = inside[nondominated(inside)]
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(corner[0] - front[0, 0])
    if front.shape[1] == 2:
        ends = np.append(front[1:, 0], corner[0])
        return float(((ends - front[:, 0]) * (corner[1] - front[:, 1])).sum())
    stairs, volume = _Stairs(corner[1], corner[2]), 0.0
    ends = np.append(front[1:, 0], corner[0])
    for (start, second, third), end in zip(front.tolist(), ends.tolist(), strict=True):
        stairs.add(second, third)
        volume += (end - start) * stairs.area
    return float(volume)


def best_addition(front: ArrayLike, points: ArrayLike, reference: ArrayLike) -> tuple[int | None, float]:
    """Return which of ``points`` adds most volume to a front, and how much; ``None`` where none adds any.

    Of equal ones the first.
    """
    corner = np.asarray(reference, np.float64)
    base, offered = np.asarray(front, np.float64).reshape(-1, len(corner)), _checked(points)
    own = hypervolume(base, corner)
    best, most = None, 0.0
    for number in sorted(nondominated(offered).tolist()):
        added = hypervolume(np.concatenate([base, offered[number : number + 1]]), corner) - own
        if added > most:
            best, most = number, added
    return best, most


def _checked(points: ArrayLike) -> Float64:
    values = np.asarray(points, np.float64)
    if values.ndim != 2 or not 1 <= values.shape[1] <= MOST_OBJECTIVES:
        raise InputError(
            f"a front of shape {list(values.shape)} is not a table with one to three objectives",
            "give a row for each point",
        )
    if np.isnan(values).any():
        raise InputError("a point of a front has an objective that is not a number", "leave it out")
    return values


class _Stairs:
    """Points of two objectives that do not dominate each other, and the area they dominate up to a corner."""

    def __init__(self, first: float = np.inf, second: float = np.inf) -> None:
        self._corner = first, second
        self._firsts: list[float] = []
        self._seconds: list[float] = []
        self.area = 0.0

    def add(self, first: float, second: float) -> bool:
        """Add a point; False if one that is there is as good in both objectives."""
        at = bisect.bisect_right(self._firsts, first)
        if at and self._seconds[at - 1] <= second:
            return False
        start = at - 1 if at and self._firsts[at - 1] == first else at
        end = start
        height = self._seconds[start - 1] if start else self._corner[1]
        left = first
        while end < len(self._firsts) and self._seconds[end] >= second:
            self._grow((self._firsts[end] - left), height - second)
            left, height = self._firsts[end], self._seconds[end]
            end += 1
        right = self._firsts[end] if end < len(self._firsts) else self._corner[0]
        self._grow(right - left, height - second)
        self._firsts[start:end] = [first]
        self._seconds[start:end] = [second]
        return True

    def _grow(self, width: float, height: float) -> None:
        self.area += width * height
