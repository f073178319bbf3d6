"""What a network costs at each operating point of a chip, and the best point for an objective.

Cycles are the same at every point, so a report at one point tells all others: latency by the clock, energy by
the point's scale. Placement is the same too, because all energies scale alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

from passes.errors import InputError, NoSolutionError
from targets.arch import Architecture, OperatingPoint
from targets.base import Target
from targets.cost.solution import Solution
from targets.objective import Objective
from targets.path_cost import J_PER_PJ, PathCost, SpeculativeCost, expected_cost
from targets.report import CostReport
from targets.report_json import report_document
from targets.schedule.energy_split import EnergySplit
from targets.schedule.timeline import Timeline


@dataclass(frozen=True)
class ExitCost:
    """Cost of one exit path at an operating point; EDP is energy in J times latency in s."""

    name: str
    latency_s: float
    energy_pj: float
    edp_js: float


@dataclass(frozen=True)
class PointCosts:
    """Cost of a network at one operating point.

    Attributes:
        name: Name of the point.
        clock_hz: Its clock in Hz.
        voltage_v: Its supply in V, where it is known.
        exits: Cost of every exit path, shallow to deep.
    """

    name: str
    clock_hz: float
    voltage_v: float | None
    exits: tuple[ExitCost, ...]

    @property
    def total(self) -> ExitCost:
        """Cost of the deepest path: every layer, head and decision runs."""
        return self.exits[-1]


@dataclass(frozen=True)
class PointedReport(CostReport):
    """A cost report that says at which operating point its figures are, and what other points cost.

    Attributes:
        point: Name of the point of all figures; ``None`` where the target has none.
        operating_points: Costs at every point of the target, in the order of its description.
    """

    point: str | None = None
    operating_points: tuple[PointCosts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``eecompile cost --json``."""
        points = [{**asdict(found), "total": asdict(found.total)} for found in self.operating_points]
        return {**report_document(self), "point": self.point, "operating_points": points}


@runtime_checkable
class HasPoints(Protocol):
    """A target that is costed at any of its operating points."""

    def at_point(self, name: str) -> Target:
        """Return the target at operating point ``name``; raises InputError for an unknown one."""


def target_at(target: Target, name: str) -> Target:
    """Return ``target`` at operating point ``name``.

    Raises:
        InputError: No such point, or a target that is costed at its first one only.
    """
    target.arch.operating_point(name)
    if target.arch.operating_points[0].name == name:
        return target
    if not isinstance(target, HasPoints):
        only = target.arch.operating_points[0].name
        raise InputError(
            f"target '{target.title}' is costed at operating point '{only}' only, not at '{name}'",
            "leave --point away; its class needs a method `at_point`",
        )
    return target.at_point(name)


def point_costs(report: CostReport, arch: Architecture) -> tuple[PointCosts, ...]:
    """Return the cost of ``report`` at every operating point of ``arch``, in its order.

    Args:
        report: Costs at the first point of ``arch``.
        arch: Description of the target.
    """
    return tuple(
        PointCosts(
            point.name,
            point.clock_hz.value,
            None if point.voltage_v is None else point.voltage_v.value,
            tuple(_exit_cost(path, point) for path in report.exits),
        )
        for point in arch.operating_points
    )


def best_point(
    costs: Sequence[PointCosts],
    objective: Objective,
    max_latency_s: float | None = None,
    name: str | None = None,
) -> PointCosts:
    """Return the point at which the deepest exit path costs least, the first of equal ones.

    Args:
        costs: Costs at all points, at least one.
        objective: What is minimised.
        max_latency_s: Longest allowed latency of the deepest path, in s: no image takes longer.
        name: The only point to choose; ``None`` for any.

    Raises:
        NoSolutionError: No such point is as fast as that.
    """

    def value(found: PointCosts) -> float:
        return objective.value(found.total.energy_pj, found.total.latency_s)

    meeting = [c for c in costs if max_latency_s is None or c.total.latency_s <= max_latency_s]
    asked = [c for c in meeting if name in (None, c.name)]
    if asked:
        return min(asked, key=lambda c: objective.value(c.total.energy_pj, c.total.latency_s))
    other = (
        min(meeting, key=lambda c: objective.value(c.total.energy_pj, c.total.latency_s)) if meeting else None
    )
    raise _too_slow([c for c in costs if name in (None, c.name)], objective, max_latency_s or 0.0, other)


def _too_slow(
    costs: Sequence[PointCosts], objective: Objective, bound_s: float, other: PointCosts | None
) -> NoSolutionError:
    """Return what to tell if none of ``costs`` meets the bound; ``other`` is a point besides that does."""
    fastest = min(costs, key=lambda c: c.total.latency_s)
    need_s = fastest.total.latency_s
    among = "" if len(costs) == 1 else ", the fastest operating point"
    message = f"the deepest exit needs {_up(need_s)} s at '{fastest.name}'{among}; the bound is {bound_s:g} s"
    if other is not None:
        meets = f"take --point {other.name}, which needs {_up(other.total.latency_s)} s"
        return NoSolutionError(message, f"allow {_up(need_s)} s, or {meets}")
    placed = "" if not objective.counts_energy else ", or ask for --objective latency"
    smaller = f"give a network of 1/{_up(need_s / bound_s)} of the cycles"
    return NoSolutionError(message, f"allow {_up(need_s)} s, or {smaller}{placed}")


def _up(value: float, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` digits, rounded up, so that a bound of that value is met."""
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return f"{math.ceil(value / unit) * unit:.{digits}g}"


def choose_point(
    report: CostReport,
    arch: Architecture,
    objective: Objective,
    name: str | None = None,
    max_latency_s: float | None = None,
) -> PointedReport:
    """Return ``report`` at the operating point asked for, with the costs at all points.

    Args:
        report: Costs at the first point of ``arch``.
        arch: Description of the target.
        objective: What the best point minimises.
        name: The point; without a name the first, or with a bound the best that meets it.
        max_latency_s: Longest allowed latency of the deepest exit path, in s.

    Raises:
        InputError: No such point, a bound that is no time, or a target without a clock.
        NoSolutionError: The bound is not met.
    """
    check_point(arch, name, max_latency_s)
    costs = point_costs(report, arch)
    chosen = name or (costs[0].name if costs else None)
    if max_latency_s is not None:
        chosen = best_point(costs, objective, max_latency_s, name).name
    if chosen is not None:
        report = _at(report, arch.operating_point(chosen))
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    return PointedReport(**values, point=chosen, operating_points=costs)


def check_point(arch: Architecture, name: str | None, max_latency_s: float | None) -> None:
    """Check an operating point and a bound before anything is costed.

    Raises:
        InputError: No such point, a bound that is no time, or a target without a clock.
    """
    if name is not None:
        arch.operating_point(name)
    if max_latency_s is None:
        return
    if not arch.operating_points:
        raise InputError(
            f"a bound on latency in seconds needs a clock, and none is known of {arch.name}",
            "leave --max-latency away and compare cycles, or give operating_points in its description",
        )
    if not (math.isfinite(max_latency_s) and max_latency_s > 0):
        raise InputError(
            f"--max-latency {max_latency_s} is not a time", "give seconds above 0, such as 0.001 for 1 ms"
        )


def _exit_cost(path: PathCost, point: OperatingPoint) -> ExitCost:
    latency_s = path.latency_cycles / point.clock_hz.value
    energy_pj = path.energy_pj * point.scale
    return ExitCost(path.name, latency_s, energy_pj, energy_pj * J_PER_PJ * latency_s)


def _at(report: CostReport, point: OperatingPoint) -> CostReport:
    """Return ``report`` with the figures at ``point``; it holds those at the first point."""
    scale = point.scale
    exits = tuple(_path_at(path, point) for path in report.exits)
    speculative = tuple(_speculative_at(cost, point) for cost in report.speculative)
    layers = tuple(
        replace(
            x,
            energy_pj=x.energy_pj * scale,
            move_energy_pj=x.move_energy_pj * scale,
            detail=x.detail and _detail_at(x.detail, scale),
        )
        for x in report.layers
    )
    energy = tuple(EnergySplit(*(part * scale for part in split)) for split in report.schedule.energy)
    return replace(
        report,
        layers=layers,
        exits=exits,
        total=exits[-1],
        speculative=speculative,
        expected=report.expected and expected_cost(exits, report.ratios, speculative),
        schedule=replace(report.schedule, energy=energy),
        timeline=_timeline_at(report.timeline, scale),
        clock_hz=point.clock_hz.value,
    )


def _timeline_at(timeline: Timeline, scale: float) -> Timeline:
    slots = tuple(replace(slot, energy_pj=slot.energy_pj * scale) for slot in timeline.slots)
    return replace(timeline, slots=slots)


def _speculative_at(cost: SpeculativeCost, point: OperatingPoint) -> SpeculativeCost:
    energy_pj = cost.energy_pj * point.scale
    latency_s = cost.latency_cycles / point.clock_hz.value
    return replace(
        cost,
        latency_s=latency_s,
        energy_pj=energy_pj,
        edp_js=energy_pj * J_PER_PJ * latency_s,
        edp_j_cycles=energy_pj * J_PER_PJ * cost.latency_cycles,
        wasted_pj=cost.wasted_pj * point.scale,
    )


def _path_at(path: PathCost, point: OperatingPoint) -> PathCost:
    cost = _exit_cost(path, point)
    return replace(
        path,
        latency_s=cost.latency_s,
        energy_pj=cost.energy_pj,
        edp_js=cost.edp_js,
        edp_j_cycles=cost.energy_pj * J_PER_PJ * path.latency_cycles,
    )


def _detail_at(detail: Solution, scale: float) -> Solution:
    accesses = tuple(replace(a, energy_pj=a.energy_pj * scale) for a in detail.accesses)
    return replace(detail, operation_energy_pj=detail.operation_energy_pj * scale, accesses=accesses)
