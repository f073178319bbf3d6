"""What an exit path costs, with and without speculation, and what is expected over all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from targets.objective import Objective
from targets.schedule.result import Schedule
from targets.schedule.speculation import path_energies
from targets.workload import Workload

J_PER_PJ = 1e-12


@dataclass(frozen=True)
class PathCost:
    """Cost of an exit path.

    EDP is energy in J times latency, in J·s or (always given) in J·cycles.

    Attributes:
        latency_s: ``None`` where the target has no clock.
        edp_js: ``None`` where the target has no clock.
        complete: Every layer of the path has a cost; ``False`` only where refusals were allowed.
    """

    name: str
    mount: str
    macs: int
    latency_cycles: int
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    complete: bool = True

    def value(self, objective: Objective) -> float:
        """Return what is minimised, in cycles and pJ."""
        return objective.value(self.energy_pj, float(self.latency_cycles))


@dataclass(frozen=True)
class SpeculativeCost:
    """Cost of an exit path where the next stage may start while a head decides.

    Attributes:
        wasted_pj: The part of ``energy_pj`` that later stages had begun when the input left.
        pays: The next stage starts while the head of this exit decides; where it does not pay, it waits.
    """

    latency_cycles: int
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    wasted_pj: float
    pays: bool


@dataclass(frozen=True)
class ExpectedCost:
    """Mean over inputs: sum of share times the value at each exit, for EDP of the product at each exit.

    Attributes:
        edp_of_means_js: Expected energy times expected latency, which is another number.
        edp_of_means_j_cycles: The same in J·cycles.
        speculation: Latency and energy are those with speculation.
    """

    macs: float
    latency_cycles: float
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    edp_of_means_js: float | None
    edp_of_means_j_cycles: float
    speculation: bool


def path_costs(
    workload: Workload, schedule: Schedule, refused: Collection[str], clock_hz: float | None
) -> tuple[PathCost, ...]:
    """Return the cost of every exit path, shallow to deep.

    Args:
        workload: The network.
        schedule: Its schedule.
        refused: Names of layers that are not in it.
        clock_hz: Clock of the target in Hz, if known.
    """
    costs = []
    for number, (path, cycles) in enumerate(zip(workload.exits, schedule.stage_end_cycles, strict=True)):
        complete = all(workload.layers[i].name not in refused for i in path.layers)
        energy_pj = schedule.energy_until(number)
        timed = _timed(cycles, energy_pj, clock_hz)
        costs.append(PathCost(path.name, path.mount, path.macs, *timed, complete))
    return tuple(costs)


def speculative_costs(schedule: Schedule, clock_hz: float | None) -> tuple[SpeculativeCost, ...]:
    """Return the cost of every exit path of a schedule with speculation."""
    ends = schedule.stage_end_cycles
    return tuple(
        SpeculativeCost(
            *_timed(cycles, energy_pj, clock_hz), schedule.wasted_pj(stage), stage in schedule.speculative
        )
        for stage, (cycles, energy_pj) in enumerate(zip(ends, path_energies(schedule), strict=True))
    )


def expected_cost(
    exits: Sequence[PathCost], ratios: Sequence[float], speculative: Sequence[SpeculativeCost] = ()
) -> ExpectedCost:
    """Return what an input costs on average.

    Args:
        exits: Cost of every exit path.
        ratios: Share of inputs that leave at each.
        speculative: Their cost with speculation, where it was asked for.
    """
    costs: Sequence[PathCost | SpeculativeCost] = speculative or exits

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return sum(ratio * value for ratio, value in zip(ratios, known, strict=True))

    latency_s = mean([cost.latency_s for cost in costs])
    latency_cycles = mean([cost.latency_cycles for cost in costs]) or 0.0
    energy_pj = mean([cost.energy_pj for cost in costs]) or 0.0
    return ExpectedCost(
        macs=mean([path.macs for path in exits]) or 0.0,
        latency_cycles=latency_cycles,
        latency_s=latency_s,
        energy_pj=energy_pj,
        edp_js=mean([cost.edp_js for cost in costs]),
        edp_j_cycles=mean([cost.edp_j_cycles for cost in costs]) or 0.0,
        edp_of_means_js=None if latency_s is None else energy_pj * J_PER_PJ * latency_s,
        edp_of_means_j_cycles=energy_pj * J_PER_PJ * latency_cycles,
        speculation=bool(speculative),
    )


def _timed(
    latency_cycles: int, energy_pj: float, clock_hz: float | None
) -> tuple[int, float | None, float, float | None, float]:
    """Return cycles, s, pJ, J·s and J·cycles."""
    energy_j = energy_pj * J_PER_PJ
    latency_s = None if clock_hz is None else latency_cycles / clock_hz
    edp_js = None if latency_s is None else energy_j * latency_s
    return latency_cycles, latency_s, energy_pj, edp_js, energy_j * latency_cycles
