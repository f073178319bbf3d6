"""The best operating point of a chip for an objective, and bounds on latency."""

from __future__ import annotations

import math
from collections.abc import Sequence

from passes.errors import InputError, NoSolutionError
from targets.contract.target import Target
from targets.description.architecture import Architecture
from targets.evaluation.report import CostReport
from targets.objective import Objective


def choose_point(report: CostReport, max_latency_s: float, name: str | None = None) -> CostReport:
    """Return ``report`` at the operating point that is best for its objective within a bound.

    Args:
        report: Costs at any point.
        max_latency_s: Longest allowed latency of the deepest exit path, in s: no image takes longer.
        name: The only point to choose; ``None`` for any.

    Raises:
        InputError: No such point, a bound that is no time, or a target without a clock.
        NoSolutionError: The bound is not met.
    """
    check_point(report.target.arch, name, max_latency_s)
    return best_point(report.at_all_points, report.objective, max_latency_s, name)


def best_point(
    reports: Sequence[CostReport], objective: Objective, max_latency_s: float, name: str | None = None
) -> CostReport:
    """Return the report of which the deepest exit path costs least, the first of equal ones.

    Args:
        reports: A network at all points, at least one, each with a clock.
        objective: What is minimised.
        max_latency_s: Longest allowed latency of the deepest path, in s.
        name: The only point to choose; ``None`` for any.

    Raises:
        NoSolutionError: No such point is as fast as that.
    """

    def value(report: CostReport) -> float:
        return objective.value(report.total.energy_pj, _latency_s(report))

    meeting = [report for report in reports if _latency_s(report) <= max_latency_s]
    asked = [report for report in meeting if name in (None, _name(report))]
    if asked:
        return min(asked, key=value)
    other = min(meeting, key=value) if meeting else None
    among = [report for report in reports if name in (None, _name(report))]
    raise _too_slow(among, objective, max_latency_s, other)


def _too_slow(
    reports: Sequence[CostReport], objective: Objective, bound_s: float, other: CostReport | None
) -> NoSolutionError:
    """Return what to tell if none of ``reports`` meets the bound; ``other`` is one besides that does."""
    fastest = min(reports, key=_latency_s)
    need_s = _latency_s(fastest)
    among = "" if len(reports) == 1 else ", the fastest operating point"
    message = (
        f"the deepest exit needs {_up(need_s)} s at '{_name(fastest)}'{among}; the bound is {bound_s:g} s"
    )
    if other is not None:
        meets = f"take `point` {_name(other)}, which needs {_up(_latency_s(other))} s"
        return NoSolutionError(message, f"allow {_up(need_s)} s, or {meets}")
    placed = ", or ask for `objective` latency" if objective.counts_energy else ""
    smaller = f"give a network of 1/{_up(need_s / bound_s)} of the cycles"
    return NoSolutionError(message, f"allow {_up(need_s)} s, or {smaller}{placed}")


def _latency_s(report: CostReport) -> float:
    if report.total.latency_s is None:
        raise ValueError("operating points are compared where there is a clock")
    return report.total.latency_s


def _name(report: CostReport) -> str:
    return "" if report.point is None else report.point.name


def _up(value: float, digits: int = 4) -> str:
    """Return ``value`` with ``digits`` digits, rounded up, so that a bound of that value is met."""
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return f"{math.ceil(value / unit) * unit:.{digits}g}"


def at_point(target: Target, name: str | None, max_latency_s: float | None) -> Target:
    """Return ``target`` at the point its figures are for: ``name``, or its first.

    The best point within a bound is chosen once costs are known (:func:`choose_point`).

    Args:
        target: The accelerator.
        name: Operating point; ``None`` if not told.
        max_latency_s: Longest allowed latency of the deepest exit path, in s; ``None`` if not told.

    Raises:
        InputError: No such point, a bound that is no time, or a target without a clock.
    """
    check_point(target.arch, name, max_latency_s)
    return target if name is None else target.at_point(name)


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
            "leave `max_latency` away and compare cycles, or give operating_points in its description",
        )
    if not (math.isfinite(max_latency_s) and max_latency_s > 0):
        raise InputError(
            f"`max_latency` {max_latency_s} is not a time", "give seconds above 0, such as 0.001 for 1 ms"
        )
