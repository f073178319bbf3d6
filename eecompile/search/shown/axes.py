"""What is on the axes of fronts: at first, and in which units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from eecompile.exits.fronts.front_problem import ACCURACY
from eecompile.search.shown.front import ShownFront
from eecompile.search.shown.measures import COSTS, IN_SECONDS, MEASURES, ShownMeasure


def axes_of(fronts: Sequence[ShownFront]) -> tuple[str, str]:
    """Return what is on the horizontal and the vertical axis: a cost, and accuracy or another objective."""
    names = fronts[0].objectives
    across = next((name for name in names if name in COSTS), names[-1])
    rest = [name for name in names if name != across]
    return across, ACCURACY if ACCURACY in rest or not rest else rest[0]


def measures_of(fronts: Sequence[ShownFront]) -> Mapping[str, ShownMeasure]:
    """Return what points can be looked at by: with times in seconds where cycles are no common unit.

    So it is where a front was compared in seconds, and where networks run at different clocks: at several
    operating points of a target, or on several targets.
    """
    asked = {key for front in fronts for key in front.compared_by}
    in_seconds = asked & ({m.key for m in IN_SECONDS.values()} - {m.key for m in MEASURES.values()})
    return IN_SECONDS if in_seconds or several_clocks(_all(fronts)) else MEASURES


def several_clocks(networks: Iterable[Mapping[str, float]]) -> bool:
    """Return whether networks run at different clocks, as far as their figures tell."""
    clocks = [
        figures["latency_cycles"] / figures["latency_s"]
        for figures in networks
        if figures.get("latency_s") and "latency_cycles" in figures
    ]
    return bool(clocks) and max(clocks) > min(clocks) * (1 + 1e-6)


def _all(fronts: Sequence[ShownFront]) -> Iterator[Mapping[str, float]]:
    for front in fronts:
        yield from (point.figures for point in front.points)
        yield from (figures for design in front.designs for figures in design.points)
