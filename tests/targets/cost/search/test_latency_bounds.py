"""Bounds on the latency against all mappings, one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.unrolling import EXACT
from targets.cost.search.latency_bounds import LatencyBounds
from targets.cost.search.problem import MappingProblem
from targets.description.hierarchy import Hierarchy
from targets.objective import LATENCY
from tests.targets.cost.every_mapping import least_value
from tests.targets.cost.small import WIDE, core, matmul, memory, outer, register
from tests.targets.cost.strategies import hierarchies, small_products

ONE = {"D1": 1}


def bounds_of(nest: LoopNest, level: Hierarchy) -> tuple[LatencyBounds, float]:
    """Return the bounds with nothing unrolled, and the least latency of all mappings."""
    problem = MappingProblem(Shape(nest), level, {})
    placed = problem.place({})
    bounds = LatencyBounds(problem.bounds(placed, None), problem.cycles_per_operation)
    return bounds, least_value(problem, placed, LATENCY)


SHARED = memory("WI", 10**5, {"I from_above, W from_above": WIDE, "I to_below, W to_below": WIDE})
SUM = memory("O", 8, dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), WIDE))


@pytest.mark.parametrize(
    ("nest", "level", "least"),
    [
        # 16 iterations, after a cycle for the first input and, at the same time, weight.
        (
            matmul(d=4, k=4),
            core(ONE, register_W=register("W", 8), register_I=register("I", 8), outer=outer({}, ONE)),
            17,
        ),
        # One weight at a time over a port of half its width: ten iterations, nine stalls and the first load.
        (matmul(k=10), core(ONE, register_W=register("W", 8), outer=outer({"W to_below": 4}, ONE)), 21),
        # Outputs alike, with a last write-back.
        (matmul(k=10), core(ONE, sums=SUM, outer=outer({"O from_below": 4}, ONE)), 21),
        # Four cycles per weight, which stays for as many iterations: none but the first is waited for.
        (matmul(d=4, k=4), core(ONE, register_W=register("W", 16), outer=outer({"W to_below": 2}, ONE)), 20),
    ],
)
def test_bounds_are_met_by_hand(nest: LoopNest, level: Hierarchy, least: float) -> None:
    bounds, best = bounds_of(nest, level)
    assert best == least
    for known in (math.inf, best):
        value, paths = bounds.lower(known)
        assert value == least
        assert paths or known == best


def test_loads_that_queue_are_bounded_higher_than_those_side_by_side() -> None:
    """Ten inputs and ten weights over one port: the rule of first loads, see test_counterexamples."""
    port = {"I to_below, W to_below": 8}
    queued, best_queued = bounds_of(matmul(c=10), core(ONE, register_IW=SHARED, outer=outer(port, ONE)))
    apart, best_apart = bounds_of(
        matmul(c=10), core(ONE, register_I=register("I"), register_W=register("W"), outer=outer(port, ONE))
    )
    assert (best_queued, best_apart) == (20, 15)
    assert queued.lower(math.inf)[0] == 19
    assert apart.lower(math.inf)[0] == 15


@pytest.mark.parametrize("known", [10, 15, 21, 40])
def test_a_bound_is_at_most_what_is_known(known: float) -> None:
    """Another unrolling may be faster than all mappings of this one, which take 21 cycles or more."""
    bounds, _ = bounds_of(
        matmul(k=10), core(ONE, register_W=register("W", 8), outer=outer({"W to_below": 4}, ONE))
    )
    assert bounds.lower(known)[0] == min(known, 21)
    assert bounds.compute <= bounds.quick(known) <= min(known, 21)


@settings(max_examples=30, deadline=None)
@given(hierarchies(), small_products, st.sampled_from((1.0, 3.0, 4.5)))
def test_no_mapping_beats_the_bounds(level: Hierarchy, nest: LoopNest, cycles: float) -> None:
    array = level.array.model_copy(update={"operation_cycles": cycles})
    problem = MappingProblem(Shape(nest), level.model_copy(update={"array": array}), {}, EXACT)
    placed = problem.place({})
    bounds = LatencyBounds(problem.bounds(placed, 3), cycles)
    best = least_value(problem, placed, LATENCY, 3)
    value, paths = bounds.lower(math.inf)
    assert bounds.compute <= bounds.quick(math.inf) <= value <= best
    assert bounds.lower(best)[0] <= best
    assert paths or value == math.inf
