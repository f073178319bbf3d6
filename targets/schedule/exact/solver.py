"""A run of CP-SAT from a known schedule to better ones and a bound."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ortools.sat.python import cp_model

from targets.objective import Objective
from targets.schedule.exact.bounds import Floor
from targets.schedule.exact.build import built
from targets.schedule.exact.hints import hint
from targets.schedule.exact.memory import bind_running, bind_stays
from targets.schedule.exact.model import Model
from targets.schedule.exact.moves import add_moves
from targets.schedule.exact.objective import minimise
from targets.schedule.exact.problem import Problem
from targets.schedule.exact.replay import replayed
from targets.schedule.machine import OUTER
from targets.schedule.plan import Resident
from targets.schedule.result import Schedule

# Work of the solver, in its own unit, that one slow core does in about a second.
_WORK_PER_SECOND = 0.1

# Of the solutions on the way, how many of the last a state places anew.
_REPLAYS = 20


def improve(
    problem: Problem,
    floor: Floor,
    objective: Objective,
    ratios: Sequence[float],
    start: Schedule,
    value: float,
    resident: Resident | None,
    time_limit_s: float,
    workers: int,
) -> tuple[list[Schedule], float]:
    """Return schedules worth a look, from ``start`` of ``value`` on, and a bound on all."""
    horizon = horizon_of(problem, floor, objective, ratios, value)
    tight = may_overflow(problem)
    model = _modelled(problem, floor, horizon, objective, spills=tight)
    if tight:
        bind_running(model)
    share = time_limit_s / 2 if tight else time_limit_s
    found, bound, valid = _run(model, floor, objective, ratios, start, value, resident, share, workers)
    if tight and not valid:
        kept = _modelled(problem, floor, horizon, objective, spills=False)
        bind_stays(kept)
        found += _run(kept, floor, objective, ratios, start, value, resident, share, workers)[0]
    return found, bound


def _modelled(problem: Problem, floor: Floor, horizon: int, objective: Objective, spills: bool) -> Model:
    """Return the problem as a model with all that binds it, except the room in stores."""
    model = Model(problem, floor, horizon, spills, energy_counts=objective.counts_energy)
    add_moves(model)
    model.bind(floor)
    return model


def _run(
    model: Model,
    floor: Floor,
    objective: Objective,
    ratios: Sequence[float],
    start: Schedule,
    value: float,
    resident: Resident | None,
    time_limit_s: float,
    workers: int,
) -> tuple[list[Schedule], float, bool]:
    """Return schedules from the best solution, a bound, and whether the solution itself is a schedule."""
    unit = minimise(model, objective, ratios, floor, value)
    hint(model, start)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(0.1, time_limit_s)
    solver.parameters.max_deterministic_time = max(0.01, time_limit_s * _WORK_PER_SECOND)
    solver.parameters.num_workers = workers
    solver.parameters.interleave_search = True
    solver.parameters.random_seed = 0
    # Probing takes longer here than it saves.
    solver.parameters.cp_model_probing_level = 0
    solutions = _Solutions(model, resident)
    status = solver.solve(model.solver, solutions)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return [], solver.best_objective_bound * unit if status == cp_model.UNKNOWN else 0.0, False
    found = [schedule for schedule, valid in solutions.built if valid]
    for schedule, _ in solutions.built[-_REPLAYS:]:
        again = replayed(model.problem, schedule.runs, resident)
        if again is not None:
            found.append(again)
    return found, solver.best_objective_bound * unit, solutions.built[-1][1]


class _Solutions(cp_model.CpSolverSolutionCallback):
    """Makes schedules of all solutions on the way, each better than those before."""

    def __init__(self, model: Model, resident: Resident | None) -> None:
        super().__init__()
        self._model, self._resident = model, resident
        self.built: list[tuple[Schedule, bool]] = []

    def on_solution_callback(self) -> None:
        """Keep one solution; called by the solver."""
        self.built.append(built(self._model, self.value, self._resident))


def horizon_of(
    problem: Problem, floor: Floor, objective: Objective, ratios: Sequence[float], value: float
) -> int:
    """Return a cycle by which every schedule worth finding is over.

    One thing after another, nothing lasts longer than its slowest way; and the last exit alone must not
    cost more than ``value``.
    """
    slowest = {
        goal: [route for (_, to), routes in problem.machine.routes.items() if to == goal for route in routes]
        for goal in problem.machine.stores
    }
    total = sum(max(task.cycles(core) for core in task.options) for task in problem.tasks)
    for piece in problem.pieces:
        reads = [(s, piece.loads(need.part)) for need in piece.needs for s in need.task.places(need.operand)]
        for store, loads in ((OUTER, (piece.region,)), *reads):
            for load in loads:
                bits = problem.bits(piece, load)
                total += 2 * max((route.cycles(bits) for route in slowest[store]), default=0)
    last = ratios[-1] * (floor.energies[-1] if objective.counts_energy else 1.0)
    if not objective.counts_latency or not last:
        return total
    early = objective.expected(ratios[:-1], floor.ends[:-1], floor.energies[:-1])
    return max(floor.ends[-1], min(total, math.floor((value - early) / last * (1 + 1e-9)) + 1))


def may_overflow(problem: Problem) -> bool:
    """Whether all that may ever lie in a store, at once, is more than it has room for."""
    most = dict.fromkeys(problem.machine.stores, 0)
    for piece in problem.pieces:
        if piece.maker is not None:
            for store in piece.maker.places("O"):
                most[store] += problem.bits(piece, piece.region)
        for store, region in piece.resident:
            most[store] += problem.bits(piece, region)
        loads = {
            (store, need.task.stage, load)
            for need in piece.needs
            for store in need.task.places(need.operand)
            for load in piece.loads(need.part)
        }
        for store, _, load in loads:
            most[store] += problem.bits(piece, load)
    largest: dict[tuple[str, str], int] = {}
    for task in problem.tasks:
        for core, option in task.options.items():
            for store, bits in option.buffers:
                largest[core, store] = max(bits, largest.get((core, store), 0))
    for (_, store), bits in largest.items():
        most[store] += bits
    sizes = {name: store.size_bits for name, store in problem.machine.stores.items() if name != OUTER}
    return any(size is not None and most[name] > size for name, size in sizes.items())
