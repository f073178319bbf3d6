"""Models of small problems, and what CP-SAT makes of them."""

from __future__ import annotations

from ortools.sat.python import cp_model

from targets.objective import LATENCY, Objective
from targets.schedule.exact.bounds import Floor
from targets.schedule.exact.model import Model
from targets.schedule.exact.moves import add_moves
from targets.schedule.exact.problem import Problem, part_of
from targets.schedule.plan import LayerChoice
from targets.schedule.tiles import WHOLE, Cut
from tests.targets.schedule.small_schedule import RESIDENT, STREAMED, small_schedule

_SMALL = {
    0: LayerChoice((), Cut("OY", 2)),
    1: LayerChoice((), Cut("K", 2)),
    2: LayerChoice((), WHOLE, STREAMED),
}


def small_problem() -> Problem:
    """Return what the cuts of the small schedule leave open."""
    network, _ = small_schedule()
    return part_of(network, {i: _SMALL.get(i, LayerChoice(())) for i in network.order}, RESIDENT)


def modelled(
    problem: Problem,
    *,
    horizon: int = 5000,
    floor: Floor | None = None,
    moves: bool = True,
    spills: bool = False,
    objective: Objective = LATENCY,
) -> Model:
    """Return a model that is bound by all but the room in stores, and by no bounds that are not given."""
    least = floor or Floor((0,) * problem.stages, (0.0,) * problem.stages)
    model = Model(problem, least, horizon, spills, energy_counts=objective.counts_energy)
    if moves:
        add_moves(model)
    model.bind(least)
    return model


def solver_of(model: Model, *, fixed: bool = False) -> tuple[cp_model.CpSolver, bool]:
    """Return a solver that is through with ``model``, and whether it found the best solution.

    Args:
        model: What is solved.
        fixed: All variables take the value they are hinted.
    """
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.fix_variables_to_their_hinted_value = fixed
    return solver, solver.solve(model.solver) == cp_model.OPTIMAL


def least_cycles(model: Model) -> int | None:
    """Return the least end of the last stage; ``None`` if there is no solution."""
    model.solver.minimize(model.stage_ends[-1])
    solver, best = solver_of(model)
    return round(solver.objective_value) if best else None
