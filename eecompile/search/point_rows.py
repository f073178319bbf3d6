"""The points of a front as a table and as axes, for results that show themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passes.shown_result import Row

_NAMES = ("trial", "point", "design", "operating_point")


def point_rows(front: Mapping[str, Any]) -> list[Row]:
    """Return a row for each point of ``front.json``: which it is, and all its figures."""
    points = front["points"]
    figures = [
        name
        for name, value in (points[0].items() if points else ())
        if name not in _NAMES and isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return [{name: point.get(name) for name in (*_NAMES, *figures)} for point in points]


def point_axes(front: Mapping[str, Any]) -> tuple[str, str]:
    """Return what fronts are drawn over: the second figure by which points are compared, and the first."""
    first, *others = front["compared_by"]
    return (others or [first])[0], first
