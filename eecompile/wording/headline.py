"""The result of a run in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eecompile.wording.quantities import (
    bounds,
    change,
    cycles,
    energy,
    interval,
    percent,
    product,
    quantity,
    ratio,
    signed,
    span,
)

if TYPE_CHECKING:
    from eecompile.run_files.summary import Costs, GuaranteeInfo, SpeculativeResult, Summary


def edp(costs: Costs) -> str:
    """Return the energy-delay product: in J·s, or in J·cycles on a target without a clock."""
    return product(costs.edp_js, costs.edp_j_cycles)


def time(costs: Costs | SpeculativeResult) -> str:
    """Return the latency: in seconds, or in cycles on a target without a clock."""
    if costs.latency_s is not None:
        return quantity(costs.latency_s, "s")
    return f"{cycles(costs.latency_cycles)} cycles"


def with_bars(costs: Costs) -> tuple[str, str]:
    """Return latency and energy, each with the interval around it on a line below, where it has one."""
    latency, joules = [time(costs), time_span(costs)], [energy(costs.energy_pj)]
    if costs.latency_s is not None and costs.latency_interval is not None:
        latency[1] = bounds(costs.latency_s, _seconds(costs, costs.latency_s, costs.latency_interval))
    if costs.energy_interval is not None:
        around = [1e-12 * bound for bound in costs.energy_interval]
        joules.append(bounds(1e-12 * costs.energy_pj, around))
    return "\n".join(filter(None, latency)), "\n".join(joules)


def time_span(costs: Costs) -> str:
    """Return the interval around the latency, in the unit of :func:`time`; empty without one."""
    if costs.latency_interval is None:
        return ""
    if costs.latency_s is None or not costs.latency_cycles:
        return f"{span(costs.latency_interval)} cycles"
    return span(_seconds(costs, costs.latency_s, costs.latency_interval), "s")


def _seconds(costs: Costs, latency_s: float, interval_cycles: Sequence[float]) -> list[float]:
    return [latency_s * bound / costs.latency_cycles for bound in interval_cycles]


def headline(summary: Summary) -> str:
    """Return the result of a run in one or two sentences."""
    if summary.saving is None or summary.expected is None or summary.drop is None:
        return _cost_headline(summary)
    early = len(summary.exits) - 1
    what, saved = summary.objective.words, summary.saving.of(summary.objective)
    images = f" on {summary.dataset.test:,} test images" if summary.dataset else ""
    pruned = _pruned(summary)
    how, than = ("Pruned and with", "in the network as it was given") if pruned else ("With", "without")
    first = (
        f"{how} {_exits(early)} an image takes {change(saved)} {what} on {summary.target} than {than}"
        f"{_spread(summary)}."
        if early
        else "The network has no early exit."
        if summary.kept_thresholds
        else "No early exit pays off within the allowed drop: the files hold the final exit alone."
    )
    if summary.never_taken:
        first = f"{_never_taken(summary)} {first}"
    if summary.caution:
        first = summary.caution
    elif pruned:
        first = f"{first} {pruned}"
    return (
        f"{first} Accuracy is {percent(summary.expected.accuracy)} "
        f"(95 % interval {interval(summary.expected.accuracy_ci95, 100)}){images}, "
        f"a drop of {signed(summary.drop.points, 2)} points {interval(summary.drop.ci95, places=2)}."
        f"{_above(summary)}"
    )


def _pruned(summary: Summary) -> str:
    """Say what pruning alone saved and lost, and what all other figures are held against."""
    found, static = summary.pruned, summary.static
    if found is None or found.accuracy_quant is None or static.accuracy_quant is None:
        return ""
    key = summary.objective.key
    saved = change(1 - getattr(found, key) / getattr(static, key))
    lost = signed(100 * (static.accuracy_quant - found.accuracy_quant), 2)
    return (
        f"Pruning alone: {saved} {summary.objective.words}, a drop of {lost} points; "
        "every saving and drop is against the network as it was given."
    )


def by_macs(summary: Summary) -> str:
    """Say what had been saved of what was minimised, had MACs chosen exits and thresholds."""
    rows = [
        f"by {found.proxy} {percent(found.saving.of(summary.objective))} ({_exits(len(found.exits))}, "
        f"a drop of {signed(found.drop, 2)} points)"
        for found in summary.proxies
    ]
    own = percent(0.0 if summary.saving is None else summary.saving.of(summary.objective))
    return f"Saved {summary.objective.words}, chosen by the cost model {own}, {', '.join(rows)}."


def from_study(summary: Summary) -> str:
    """Say which point of a search this is, and what that told of it; empty where there was no search."""
    point = summary.study
    if point is None:
        return ""
    told = point.told
    return (
        f"Point {point.point} of trial {point.trial} of the search '{point.study}', kept as it was found, "
        f"{point.design}: {percent(told.accuracy)} on test and {percent(told.accuracy_val)} on val; expected "
        f"over val images {product(None, told.edp_j_cycles)}, {energy(told.energy_pj)}, "
        f"{cycles(told.latency_cycles)} cycles, {quantity(told.macs)} MACs."
    )


def promise(found: GuaranteeInfo) -> str:
    """Say what was promised of the drop, and on which images that was tested."""
    what = (
        f"Guarantee: the drop exceeds {found.max_drop:g} points with probability {found.level:g} at most "
        f"({found.test} on {found.images:,} images that chose nothing"
    )
    if found.p_value is None:
        return f"{what}; no thresholds passed, so nobody leaves early)."
    return (
        f"{what}: {found.lost} lost, {found.gained} gained, p = {found.p_value:.2g}; "
        f"{found.accepted} of {found.path} thresholds passed)."
    )


def _spread(summary: Summary) -> str:
    """Say what is saved at least and at most by other models of the chip."""
    found = summary.saving_interval
    if found is None:
        return ""
    low, high = found.of(summary.objective)
    models = sum(row.saving is not None for cause in summary.saving_causes for row in cause.alternatives)
    others = f"by {models} other model{'s' * (models > 1)} of the chip"
    if change(low) == change(high):
        return f" (the same {others})"
    return f" ({others} {change(low)} to {change(high)})"


def _never_taken(summary: Summary) -> str:
    """Say of which exits that were asked for nobody may leave at."""
    mounts = {e.name: e.mount_name for e in summary.exits}
    listed = ", ".join(f"{name} ({mounts[name]})" for name in summary.never_taken)
    return (
        f"No image leaves at {listed}: no threshold there keeps the drop within {summary.max_drop:g} points."
    )


def power_note(summary: Summary) -> str:
    """Say it where latency and energy tell the same: no path has another mean power than static."""
    static, paths = summary.static, summary.exits
    same = (
        math.isclose(e.energy_pj * static.latency_cycles, static.energy_pj * e.latency_cycles) for e in paths
    )
    if len(paths) < 2 or not all(same):
        return ""
    return "All powers in use are equal, so energy is proportional to latency."


def _above(summary: Summary) -> str:
    """Say it where test images show a larger drop than was allowed on validation images."""
    if summary.drop is None or summary.kept_thresholds or summary.drop.points <= summary.max_drop:
        return ""
    return f" That is above the {summary.max_drop} points allowed, which validation images kept to."


def _exits(count: int) -> str:
    return f"{count} early exit{'' if count == 1 else 's'}"


def _cost_headline(summary: Summary) -> str:
    claim = "No data was given, so nothing was trained and no accuracy is claimed."
    early = len(summary.exits) - 1
    if not early:
        costs = f"{energy(summary.static.energy_pj)} and {time(summary.static)} per image"
        return f"Without early exits the network takes {costs} on {summary.target}. {claim}"
    share = percent(ratio(summary.exits[0].energy_pj, summary.static.energy_pj), 0)
    return (
        f"Costs of {_exits(early)} on {summary.target}: "
        f"an image that leaves at {summary.exits[0].name} takes {share} of the energy "
        f"of the network without exits. {claim}"
    )
