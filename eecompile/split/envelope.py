"""The lower envelope of lines: which plan is best at which seconds per bit, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

_CLOSE = 1e-9
MOST_SOLVES = 60


class Line(Protocol):
    """What is ``fixed + slope * x``."""

    @property
    def fixed(self) -> float:
        """Its value at 0."""

    @property
    def slope(self) -> float:
        """What it gains per unit of x; not negative."""


Some = TypeVar("Some", bound=Line)


@dataclass(frozen=True)
class EnvelopePiece:
    """A line is the lowest from ``low`` to ``high``.

    Attributes:
        number: Of the line.
        low: Where it begins.
        high: Where it ends; may be infinite.
    """

    number: int
    low: float
    high: float


def value(line: Line, x: float) -> float:
    """Return a line's value."""
    return line.fixed + (line.slope * x if line.slope else 0.0)


def lower_envelope(lines: Sequence[Line], low: float = 0.0, high: float = math.inf) -> list[EnvelopePiece]:
    """Return which line is lowest where, from ``low`` to ``high``; of equal lines the first.

    Lines enter in order of falling slope, as each lies below all before it from some x on.
    """
    order = sorted(range(len(lines)), key=lambda n: (-lines[n].slope, lines[n].fixed, n))
    hull: list[int] = []
    begins: list[float] = []
    for number in order:
        start = -math.inf
        while hull:
            start = _crossing(lines[hull[-1]], lines[number])
            if start > begins[-1]:
                break
            hull.pop(), begins.pop()
            start = -math.inf
        if start < math.inf:
            hull.append(number)
            begins.append(start)
    ends = [*begins[1:], math.inf]
    found = [
        EnvelopePiece(number, max(low, begin), min(high, end))
        for number, begin, end in zip(hull, begins, ends, strict=True)
    ]
    return [piece for piece in found if piece.low < piece.high or (low == high and piece.low == piece.high)]


def _crossing(steep: Line, flat: Line) -> float:
    """Return from where ``flat`` is below ``steep``; infinite if nowhere."""
    if steep.slope == flat.slope:
        return -math.inf if flat.fixed < steep.fixed else math.inf
    return (flat.fixed - steep.fixed) / (steep.slope - flat.slope)


def best_lines(solve: Callable[[float], Some], low: float, high: float) -> list[Some]:
    """Return all lines that are lowest somewhere between two points, of as many as ``solve`` can find.

    The lowest line at both ends is found; where they cross, the lowest one there may lie below both, and so
    on (Eisner and Severance 1976): with an exact ``solve`` none is missed.

    Args:
        solve: Returns the lowest line at a point.
        low: One end.
        high: The other, finite.
    """
    found = [solve(low)]
    if high == low:
        return found
    found.append(solve(high))
    pending = [(found[0], found[1], low, high)]
    while pending and len(found) < MOST_SOLVES:
        left, right, begin, end = pending.pop(0)
        if left.slope <= right.slope:
            continue
        middle = _crossing(left, right)
        if not begin < middle < end:
            continue
        line = solve(middle)
        if value(line, middle) >= value(left, middle) * (1 - _CLOSE):
            continue
        found.append(line)
        pending += [(left, line, begin, middle), (line, right, middle, end)]
    return found
