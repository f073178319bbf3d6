"""What the solver is to minimise, in whole numbers that never exceed what they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ortools.sat.python import cp_model

from targets.schedule.exact_bounds import Floor
from targets.schedule.exact_model import Model

# Bits of the largest sum the solver has to add up: far from its 63.
_SUM_BITS = 52
# Finer than this, cycles times ratio are not told apart.
_RATIO_BITS = 24


def minimise(model: Model, objective: str, ratios: Sequence[float], floor: Floor, most: float) -> float:
    """Set the objective, no more than ``most``; return by what its value is to be multiplied.

    Ratios and energies are scaled to whole numbers and rounded down, so that no schedule's value is below
    that of its image in the model: what bounds the image bounds the schedule.
    """
    solver, stages = model.solver, range(len(ratios))
    terms: list[cp_model.LinearExprT]
    room = _SUM_BITS - math.frexp(max(most, 1.0))[1]
    if objective == "latency":
        factor = 2.0 ** min(room, _RATIO_BITS)
        if len(ratios) == 1:
            factor = 1.0
        terms = [math.floor(r * factor) * end for r, end in zip(ratios, model.stage_ends, strict=True)]
    elif objective == "energy":
        factor = 2.0**room
        terms = [model.energy(stage, sum(ratios[stage:]) * factor) for stage in stages]
    else:
        factor = 2.0**room
        terms = [_product(model, path, ratios[path], factor, floor, most) for path in stages]
    total = cp_model.LinearExpr.sum(terms)
    solver.minimize(total)
    solver.add(total <= math.ceil(most * factor) + 1)
    return 1.0 / factor


def _product(
    model: Model, path: int, ratio: float, factor: float, floor: Floor, most: float
) -> cp_model.LinearExprT:
    """Return latency times energy of an exit path times its ratio, no more than ``most`` in all."""
    if not ratio:
        return 0
    solver, end = model.solver, model.stage_ends[path]
    scale = ratio * factor
    least = math.floor(floor.energies[path] * scale * (1 - 1e-6))
    limit = math.ceil(most * factor) + 1
    energy = solver.new_int_var(0, limit // max(1, floor.ends[path]) + 1, f"energy of exit {path}")
    solver.add(energy == sum(model.energy(stage, scale) for stage in range(path + 1)))
    if least * floor.ends[path] <= limit:
        solver.add(energy >= max(0, least - len(model.problem.tasks) - len(model.shipments)))
    product = solver.new_int_var(0, limit, f"product of exit {path}")
    solver.add_multiplication_equality(product, [end, energy])
    return product
