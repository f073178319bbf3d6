"""What a network costs, what each exit path of it costs, and what is expected over all of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from targets.network.workload import Workload
from targets.objective import Objective
from targets.schedule.result import Schedule
from targets.schedule.search.speculation import path_energies

J_PER_PJ = 1e-12


@dataclass(frozen=True)
class Cost:
    """What a network takes for an image, or for the mean image.

    EDP is energy in J times latency, in J·s or (always given) in J·cycles. Of a mean it is the mean of the
    product, and `edp_of_means_js` is another number.

    Attributes:
        latency_s: ``None`` where the target has no clock.
        edp_js: ``None`` where the target has no clock.
    """

    macs: float
    latency_cycles: float
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float

    @classmethod
    def at_clock(cls, macs: int, latency_cycles: int, energy_pj: float, clock_hz: float | None) -> Cost:
        """Return a cost at a clock in Hz, ``None`` if there is none."""
        energy_j = energy_pj * J_PER_PJ
        latency_s = None if clock_hz is None else latency_cycles / clock_hz
        edp_js = None if latency_s is None else energy_j * latency_s
        return cls(macs, latency_cycles, latency_s, energy_pj, edp_js, energy_j * latency_cycles)

    @classmethod
    def mean(cls, costs: Sequence[Cost], ratios: Sequence[float]) -> Cost:
        """Return the mean of ``costs``, of which each has the share of ``ratios``."""

        def over(values: Sequence[float]) -> float:
            return sum(ratio * value for ratio, value in zip(ratios, values, strict=True))

        def if_known(values: Sequence[float | None]) -> float | None:
            known = [value for value in values if value is not None]
            return over(known) if len(known) == len(values) else None

        return cls(
            over([cost.macs for cost in costs]),
            over([cost.latency_cycles for cost in costs]),
            if_known([cost.latency_s for cost in costs]),
            over([cost.energy_pj for cost in costs]),
            if_known([cost.edp_js for cost in costs]),
            over([cost.edp_j_cycles for cost in costs]),
        )

    @property
    def edp_of_means_js(self) -> float | None:
        """Energy times latency in J·s, which of a mean is not the mean of the product."""
        return None if self.latency_s is None else self.energy_pj * J_PER_PJ * self.latency_s

    @property
    def edp_of_means_j_cycles(self) -> float:
        """The same in J·cycles."""
        return self.energy_pj * J_PER_PJ * self.latency_cycles

    def value(self, objective: Objective) -> float:
        """Return what is minimised, in cycles and pJ, or in MACs."""
        if objective.counts_macs:
            return self.macs
        return objective.value(self.energy_pj, self.latency_cycles)


@dataclass(frozen=True)
class Speculation:
    """An exit path where the next stage may start while a head decides.

    Attributes:
        wasted_pj: The part of the energy that later stages had begun when the input left.
        pays: The next stage starts while the head of this exit decides; where it does not pay, it waits.
    """

    cost: Cost
    wasted_pj: float
    pays: bool


@dataclass(frozen=True)
class PathCost:
    """An exit path: all that runs when an input leaves at an exit.

    Attributes:
        cost: Without speculation.
        complete: Every layer of the path has a cost; ``False`` only where refusals were allowed.
        speculative: The same path with speculation; ``None`` where it was not asked for.
    """

    name: str
    mount: str
    cost: Cost
    complete: bool = True
    speculative: Speculation | None = None


def path_costs(
    workload: Workload,
    ways: Sequence[Schedule],
    speculative: Schedule | None,
    refused: Collection[str],
    clock_hz: float | None,
) -> tuple[PathCost, ...]:
    """Return the cost of every exit path, shallow to deep.

    Args:
        workload: The network.
        ways: The schedule of an input that takes each path.
        speculative: Its schedule with speculation, where that was asked for.
        refused: Names of layers that are not in it.
        clock_hz: Clock of the target in Hz, if known.
    """
    ahead = (
        [None] * len(workload.exits)
        if speculative is None
        else _speculations(workload, speculative, clock_hz)
    )
    return tuple(
        PathCost(
            path.name,
            path.mount,
            Cost.at_clock(path.macs, way.stage_end_cycles[stage], way.energy_until(stage), clock_hz),
            all(workload.layers[i].name not in refused for i in path.layers),
            ahead[stage],
        )
        for stage, (path, way) in enumerate(zip(workload.exits, ways, strict=True))
    )


def _speculations(workload: Workload, schedule: Schedule, clock_hz: float | None) -> list[Speculation]:
    ends = zip(workload.exits, schedule.stage_end_cycles, path_energies(schedule), strict=True)
    return [
        Speculation(
            Cost.at_clock(path.macs, cycles, energy_pj, clock_hz),
            schedule.wasted_pj(stage),
            stage in schedule.speculative,
        )
        for stage, (path, cycles, energy_pj) in enumerate(ends)
    ]


def expected_cost(exits: Sequence[PathCost], ratios: Sequence[float]) -> Cost:
    """Return what an input costs on average, with speculation where that was asked for.

    Args:
        exits: Cost of every exit path.
        ratios: Share of inputs that leave at each.
    """
    costs = [path.cost if path.speculative is None else path.speculative.cost for path in exits]
    return Cost.mean(costs, ratios)
