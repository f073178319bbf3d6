"""What a schedule is worth, and what a state makes of its cores and order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from targets.objective import Objective
from targets.schedule.exact.problem import Problem
from targets.schedule.occupancy import NoRoomError
from targets.schedule.plan import Resident, finished
from targets.schedule.result import Run, Schedule
from targets.schedule.state import State


def value_of(schedule: Schedule, objective: Objective, ratios: Sequence[float]) -> float:
    """Return the expected latency (cycles), energy (pJ) or product of a schedule."""
    energies = [0.0] * len(ratios)
    for run in schedule.runs:
        energies[run.stage] += run.cost.energy_pj
    for move in schedule.moves:
        energies[move.stage] += move.energy_pj
    paths = [sum(energies[: path + 1]) for path in range(len(ratios))]
    return objective.expected(ratios, schedule.stage_end_cycles, paths)


def replayed(problem: Problem, runs: Iterable[Run], resident: Resident | None) -> Schedule | None:
    """Return what a state makes of the cores and the order of ``runs``; ``None`` if there is no room."""
    network = problem.network
    tasks = {(task.layer, task.tile.number): task for task in problem.tasks}
    left = dict.fromkeys(network.order, 0)
    for task in problem.tasks:
        left[task.layer] += 1
    try:
        state = State(network, resident)
        for run in sorted(runs, key=lambda r: (r.stage, r.start, r.end, tasks[r.layer, r.cut[0]].number)):
            while len(state.stage_ends) < run.stage:
                state.end_stage()
            task = tasks[run.layer, run.cut[0]]
            state.place(run.layer, task.tile, run.core, task.options[run.core], task.held)
            left[run.layer] -= 1
            if not left[run.layer]:
                state.complete(run.layer)
    except NoRoomError:
        return None
    while len(state.stage_ends) < problem.stages:
        state.end_stage()
    return finished(state, resident)
