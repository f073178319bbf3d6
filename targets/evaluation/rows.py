"""Schedules with groups of layers that run row by row, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from targets.network.workload import Workload
from targets.objective import Objective
from targets.schedule.network import Network
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Plan, finished, simulate
from targets.schedule.result import Schedule
from targets.schedule.search.rows import RowModel, RowSearch
from targets.schedule.search.speculation import speculate


@dataclass(frozen=True)
class RowPlan:
    """A plan with rows, and its expected cost."""

    plan: Plan
    worth: float


def expected(schedule: Schedule, objective: Objective, shares: Sequence[float]) -> float:
    """Return the expected cost of a schedule at the given share of inputs per exit."""
    stages = range(len(schedule.stage_end_cycles))
    return objective.expected(shares, schedule.stage_end_cycles, [schedule.energy_until(s) for s in stages])


def rows_of(
    workload: Workload, model: RowModel, objective: Objective, shares: Sequence[float]
) -> RowPlan | None:
    """Return the best plan found in which some layers run row by row; ``None`` where none does or can."""
    network = model.network(workload)
    plan = RowSearch(model, network, objective, shares).best()
    if plan is None or all(len(segment.layers) == 1 for segment in plan):
        return None
    try:
        schedule = model.settled(finished(simulate(network, plan)))
    except NoRoomError:
        return None
    return RowPlan(plan, expected(schedule, objective, shares))


def scheduled(
    plan: Plan,
    workload: Workload,
    model: RowModel,
    objective: Objective,
    shares: Sequence[float],
    speculates: bool,
) -> tuple[Network, Schedule, Schedule | None]:
    """Return a plan as ``model`` has it run: network, schedule, and that with speculation if asked for."""
    network = model.network(workload)
    schedule = model.settled(finished(simulate(network, plan)))
    if not speculates:
        return network, schedule, None
    return network, schedule, model.settled(speculate(network, plan, {}, objective, shares))
