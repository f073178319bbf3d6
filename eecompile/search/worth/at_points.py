"""What is asked and found of networks at operating points of a target.

Cycles are the same at every point, and all energies scale alike, so that the networks of a front are the same
at each: costs are found out at the first point of the description, and limits are brought there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eecompile.search.space.tables import IN_SECONDS, ConstraintsTable
from targets.description.architecture import OperatingPoint

_SECONDS = {
    "edp_j_cycles": "edp_js",
    "latency_cycles": "latency_s",
    "worst_latency_cycles": "worst_latency_s",
}
_SCALED = ("energy_pj", "edp_j_cycles")


def figures_at(figures: Mapping[str, Any], point: OperatingPoint | None) -> dict[str, Any]:
    """Return figures at an operating point, with those in seconds.

    Args:
        figures: At the first point, as they stand in files; what is no cost stays.
        point: The point; ``None``: no clock is known.
    """
    found = dict(figures)
    if point is None:
        return found
    found |= {key: figures[key] * point.scale for key in _SCALED if key in figures}
    clock_hz = point.clock_hz.value
    return found | {told: found[key] / clock_hz for key, told in _SECONDS.items() if key in found}


def at_first_point(constraints: ConstraintsTable, point: OperatingPoint | None) -> ConstraintsTable:
    """Return what costs at the first point must keep, in cycles, to keep ``constraints`` at ``point``."""
    if point is None:
        return constraints
    asked, clock_hz = constraints.model_dump(exclude_none=True), point.clock_hz.value
    found = {in_cycles: asked[key] * clock_hz for key, in_cycles in IN_SECONDS.items() if key in asked}
    asked = {key: value for key, value in (asked | found).items() if key not in IN_SECONDS}
    for key in ("max_energy_pj", "max_edp_j_cycles"):
        if key in asked:
            asked[key] /= point.scale
    return ConstraintsTable(**asked)


def reason_at(
    reason: Mapping[str, Any], constraints: ConstraintsTable, point: OperatingPoint | None
) -> dict[str, Any]:
    """Return why a constraint is broken as it was asked for: in its own unit, at ``point``.

    Args:
        reason: Of costs at the first point.
        constraints: As they were asked for.
        point: The point.
    """
    told = {in_cycles: key for key, in_cycles in IN_SECONDS.items() if getattr(constraints, key) is not None}
    names = [told.get(name, name) for name in reason["constraint"].split(" with ")]
    found = {**reason, "constraint": " with ".join(names)}
    if reason["asked"] is not None:
        asked = float(getattr(constraints, names[0]))
        found |= {"asked": asked, "reached": reason["reached"] * (asked / reason["asked"])}
    return found if point is None else {**found, "operating_point": point.name}
