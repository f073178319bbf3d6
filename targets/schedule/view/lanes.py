"""Lanes for what overlaps in time."""

from __future__ import annotations

from collections.abc import Iterable


def take_lane(ends: list[float], begin: float, end: float) -> int:
    """Take the first lane that is free at ``begin``, until ``end``, and return its number.

    Args:
        ends: When what is in each lane ends; one that ends at ``begin`` is free. It is brought up to date.
        begin: Not before that of what came before.
        end: Behind it.
    """
    lane = next((number for number, last in enumerate(ends) if last <= begin), len(ends))
    ends[lane : lane + 1] = [end]
    return lane


def lanes_of(spans: Iterable[tuple[float, float]]) -> list[int]:
    """Return for each span, by begin, the first lane that is free then."""
    ends: list[float] = []
    return [take_lane(ends, begin, end) for begin, end in spans]
