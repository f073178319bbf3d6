"""What is not worth costing is truly worse than what is known."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.unrolling import EXACT
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.cost.search.problem import MappingProblem
from targets.cost.search.prospects import Prospects
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import DEFAULT_RULE
from targets.objective import EDP, ENERGY, LATENCY, Objective
from tests.targets.cost.small import core, memory, outer
from tests.targets.cost.strategies import hierarchies, nests


@settings(max_examples=50, deadline=None)
@given(hierarchies(), nests, st.sampled_from([LATENCY, EDP, ENERGY]))
def test_the_best_is_found_however_good_the_known_value(
    level: Hierarchy, nest: LoopNest, objective: Objective
) -> None:
    problem = MappingProblem(Shape(nest), level, {}, EXACT)
    placed = problem.placements(DEFAULT_RULE)[0]
    loops, sizes = all_orders(temporal_factors(placed.remaining, 4))
    assume(len(loops) < 200)
    for most in (True, False):
        best, costed = problem.best_with_less_room(placed, loops, sizes, objective, math.inf, most)
        if best is None or not math.isfinite(best.values[0]):
            continue
        value = best.values[0]
        again, fewer = problem.best_with_less_room(placed, loops, sizes, objective, value * (1 + 1e-9), most)
        assert again is not None and again.values[0] == value and fewer <= costed
        assert (
            problem.best_with_less_room(placed, loops, sizes, objective, value * (1 - 1e-6), most)[0] is None
        )
        greedy = problem.best_of(placed, loops, sizes, objective, most)
        assert greedy is None or greedy.values[0] >= value


def test_by_hand() -> None:
    """A buffer of weights with ports of 8 bits: 80 bits, of which 16 come first, take 8 cycles after that.

    Energy: 2 of 10 words at both ends count, rounded down by a third, less one word each.
    """
    buffer = memory("W", 64, {"W from_above": 8, "W to_below": 64}, ("D1",), 3.0)
    level = core({"D1": 1}, buffer=buffer, outer=outer({"W to_below": 16}, {"D1": 1}))
    bits = {"W": 8, "I": 8, "O": 8, "O_final": 8}
    held, fetched = {"W": np.array([16.0])}, {"W": np.array([80.0])}

    def judged(objective: Objective, known: float) -> tuple[bool, bool, float]:
        prospects = Prospects(level, {}, bits, objective, 7.0, 100.0, known)
        found = prospects.judge("buffer", held, fetched, np.array([1.0]))
        return bool(found.worth[0]), bool(found.hopeful[0]), float(found.spent[0])

    spent = 1 + (80 / 8 * 2 / 3 - 1) * 3 + (80 / 16 * 2 / 3 - 1) * 1
    assert judged(LATENCY, 8.0)[:2] == (True, True)
    # The two ports together would take 64 / 24 cycles: with less room the narrow one may be spared.
    assert judged(LATENCY, 7.9)[:2] == (False, True)
    assert judged(LATENCY, 6.9)[:2] == (False, False)
    assert judged(ENERGY, 100 + spent)[2] == spent
    assert judged(ENERGY, 100 + spent + 1e-9)[0] and not judged(ENERGY, 100 + spent - 1e-9)[0]
    assert judged(EDP, 8.0 * (100 + spent) + 1e-9)[0] and not judged(EDP, 8.0 * (100 + spent) - 1e-6)[0]
