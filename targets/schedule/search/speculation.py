"""Starting the next stage while a head decides: where it pays.

An input that leaves at an exit has then paid for what the next stage had begun; one that stays gains the time
the head took. Source: this project.
"""

from __future__ import annotations

from collections.abc import Sequence

from targets.objective import Objective
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, Resident, finished, simulate
from targets.schedule.result import Schedule


def path_energies(schedule: Schedule) -> tuple[float, ...]:
    """Return the energy in pJ of leaving at each exit, with what later stages had begun by then."""
    stages = range(len(schedule.stage_end_cycles))
    return tuple(schedule.energy_until(stage) + schedule.wasted_pj(stage) for stage in stages)


def speculate(
    network: Network, plan: Plan, resident: Resident, objective: Objective, ratios: Sequence[float]
) -> Schedule:
    """Return the schedule of ``plan`` with speculation at the exits where it lowers the expected cost.

    Exits are taken one by one, shallow to deep, each kept if it pays beside those kept before.
    """
    best = finished(simulate(network, plan, resident), resident)
    value = _value(best, objective, ratios)
    for stage in range(len(network.stage_names) - 1):
        try:
            state = simulate(network, plan, resident, best.speculative | {stage})
        except NoRoomError:
            continue
        trial = finished(state, resident)
        worth = _value(trial, objective, ratios)
        if worth < value:
            best, value = trial, worth
    return best


def _value(schedule: Schedule, objective: Objective, ratios: Sequence[float]) -> float:
    return objective.expected(ratios, schedule.stage_end_cycles, path_energies(schedule))
