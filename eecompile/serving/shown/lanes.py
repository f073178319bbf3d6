"""Lanes for what overlaps in time."""

from __future__ import annotations

from collections.abc import Iterable


def lanes_of(spans: Iterable[tuple[float, float]]) -> list[int]:
    """Return for each span, by begin, the first lane that is free then; one that ends then is free."""
    ends: list[float] = []
    found = []
    for begin, end in spans:
        lane = next((number for number, last in enumerate(ends) if last <= begin), len(ends))
        ends[lane : lane + 1] = [end]
        found.append(lane)
    return found
