"""What the solver is to minimise, in whole numbers that never exceed what they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ortools.sat.python import cp_model

from targets.objective import Objective
from targets.schedule.exact.bounds import Floor
from targets.schedule.exact.model import Model

# Bits of the largest sum the solver has to add up: far from its 63.
_SUM_BITS = 52
# Finer than this, cycles times ratio are not told apart.
_RATIO_BITS = 24
# Bits of each factor of a product. OR-Tools 9.15 calls problems with products of 40 bits infeasible that
# are not.
_FACTOR_BITS = 16
# Bits that energies have beyond a factor, so that rounding each of many summands does not add up.
_FINE_BITS = 10


def minimise(model: Model, objective: Objective, ratios: Sequence[float], floor: Floor, most: float) -> float:
    """Set the objective, no more than ``most``; return by what its value is to be multiplied.

    Ratios, energies and the factors of products are scaled to whole numbers and rounded down, so that no
    schedule's value is below that of its image in the model: what bounds the image bounds the schedule.
    """
    stages = range(len(ratios))
    room = _SUM_BITS - math.frexp(max(most, 1.0))[1]
    terms: list[cp_model.LinearExprT]
    if not objective.counts_energy:
        factor = 1.0 if len(ratios) == 1 else 2.0 ** min(room, _RATIO_BITS)
        terms = [math.floor(r * factor) * end for r, end in zip(ratios, model.stage_ends, strict=True)]
    elif not objective.counts_latency:
        factor = 2.0**room
        terms = [model.energy(stage, sum(ratios[stage:]) * factor) for stage in stages]
    else:
        cycles = max(1, model.horizon >> _FACTOR_BITS)
        largest = max(most / max(1, end) for end in floor.ends)
        grain = largest / 2**_FACTOR_BITS
        factor = 1.0 / (cycles * grain)
        terms = [_product(model, path, ratios[path] / grain, cycles) for path in stages if ratios[path] > 0.0]
    total = cp_model.LinearExpr.sum(terms)
    model.solver.minimize(total)
    model.solver.add(total <= math.ceil(most * factor) + 1)
    return 1.0 / factor


def _product(model: Model, path: int, scale: float, cycles: int) -> cp_model.IntVar:
    """Return the end of an exit path, in steps of ``cycles``, times its energy in pJ times ``scale``.

    Both factors are rounded down.
    """
    solver, fine = model.solver, 1 << _FINE_BITS
    top = 1 << (_FACTOR_BITS + 1)
    end = solver.new_int_var(0, model.horizon // cycles, f"steps of exit {path}")
    solver.add(end * cycles >= model.stage_ends[path] - cycles + 1)
    energy = solver.new_int_var(0, top, f"energy of exit {path}")
    exact = cp_model.LinearExpr.sum([model.energy(stage, scale * fine) for stage in range(path + 1)])
    solver.add(energy * fine >= exact - fine + 1)
    product = solver.new_int_var(0, top * max(1, model.horizon // cycles), f"product of exit {path}")
    solver.add_multiplication_equality(product, [end, energy])
    return product
