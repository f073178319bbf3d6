"""The whole factorisation: never worse, and no mapping beats what it proves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from targets.cost.model.nest import Shape
from targets.cost.model.unrolling import RULES, Rules
from targets.cost.search.engine import Engine
from targets.cost.search.exhaustive import in_primes
from targets.cost.search.orderings import all_orders, prime_factors, temporal_factors
from targets.cost.search.problem import MappingProblem
from targets.description.mapping import MappingRule
from targets.objective import EDP, ENERGY, LATENCY, Objective
from tests.targets.cost.every_mapping import least_value
from tests.targets.cost.small import core, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases

pytestmark = pytest.mark.slow
OBJECTIVES = (LATENCY, ENERGY, EDP)
ROUNDING = 1e-9


def given_spatial(case: Case) -> MappingRule:
    """Return a rule that unrolls as the case does and nothing else."""
    unrolled = {d: case.mapping.spatial.get(d, {}) for d in case.core.array.dimensions}
    return MappingRule("given", spatial=unrolled)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(OBJECTIVES), st.sampled_from((1.0, 4.0, 18.2)))
def test_no_mapping_beats_the_proven_bound(case: Case, objective: Objective, operation_cycles: float) -> None:
    """Any order with any levels that fit lies in the space the bound is proven for."""
    array = case.core.array.model_copy(update={"operation_cycles": operation_cycles})
    case = replace(case, core=case.core.model_copy(update={"array": array}))
    full = Engine(case.core, None).best(case.nest, objective, given_spatial(case))
    assume(full.mapping.spatial == given_spatial(case).spatial)
    assert full.gap is not None
    other = Engine(case.core).cost(case.nest, case.mapping)
    assert other.value(objective) >= full.value(objective) * (1 - full.gap) * (1 - ROUNDING)


@settings(max_examples=8, deadline=None)
@given(cases(), st.sampled_from(OBJECTIVES), st.sampled_from(RULES))
def test_it_is_never_worse_than_the_limited_search(case: Case, objective: Objective, rules: Rules) -> None:
    rule = given_spatial(case)
    limited = Engine(case.core, 4, rules=rules).best(case.nest, objective, rule)
    full = Engine(case.core, None, rules=rules).best(case.nest, objective, rule)
    default = Engine(case.core, rules=rules).best(case.nest, objective, rule)
    assert full.value(objective) <= default.value(objective)
    assert full.value(objective) <= limited.value(objective) * (1 + ROUNDING) or limited.considered > 0


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from(OBJECTIVES))
def test_near_a_mapping_of_merged_factors_is_one_of_primes_as_good(case: Case, objective: Objective) -> None:
    problem = MappingProblem(Shape(case.nest), case.core, {}, "exact")
    placed = problem.place(given_spatial(case).spatial)
    start = problem.best_of(placed, *all_orders(temporal_factors(placed.remaining, 2)), objective)
    assume(start is not None)
    assert start is not None
    found, costed = in_primes(problem, start, objective)
    assert found.values <= start.values and costed >= 1
    runs = np.ones(len(placed.remaining), np.int64)
    np.multiply.at(runs, found.loops, found.sizes)
    assert tuple(runs) == placed.remaining
    assert found is start or all(len(prime_factors(int(size))) == 1 for size in found.sizes)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(cases(), st.sampled_from(OBJECTIVES))
def test_bound_and_result_bracket_the_optimum(case: Case, objective: Objective) -> None:
    """On layers small enough to try every mapping; a gap of zero is the optimum."""
    problem = MappingProblem(Shape(case.nest), case.core, {})
    factors = temporal_factors(problem.place(given_spatial(case).spatial).remaining, None)
    assume(len(factors) <= 4)
    full = Engine(case.core, None).best(case.nest, objective, given_spatial(case))
    assume(full.mapping.spatial == given_spatial(case).spatial)
    optimum = least_value(problem, problem.place(given_spatial(case).spatial), objective)
    assert full.gap is not None
    assert full.value(objective) * (1 - full.gap) <= optimum * (1 + ROUNDING)
    assert optimum <= full.value(objective) * (1 + ROUNDING)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_energy_is_exact_and_others_tell_their_gap(objective: Objective) -> None:
    small = core(
        {"D1": 2},
        weights=register("W", 64),
        sums=memory("O", 32, dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 16)),
        dram=outer({"W to_below, I to_below": 16}, {"D1": 2}),
    )
    found = Engine(small, None).best(
        matmul(24, 36, 40), objective, MappingRule("given", spatial={"D1": {"K": 2}})
    )
    assert found.gap is not None and 0 <= found.gap < 1
    if objective == ENERGY:
        assert found.gap == 0


def test_a_given_order_is_left_alone() -> None:
    small = core({"D1": 1}, weights=register("W", 64), dram=outer({}, {"D1": 1}))
    rule = MappingRule("given", spatial={"D1": {}}, order=(("C", None), ("K", None)))
    limited = Engine(small).best(matmul(1, 6, 4), LATENCY, rule)
    full = Engine(small, None).best(matmul(1, 6, 4), LATENCY, rule)
    assert full.mapping == limited.mapping and full.gap is None
    assert full == replace(limited, considered=full.considered)


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(2, 64))
def test_what_fits_stays_in_the_space_of_larger_memories(case: Case, factor: int) -> None:
    """Not so for the greedy search alone, see the tests of allocation."""
    memories = {
        name: level.model_copy(update={"size_bits": factor * level.size_bits})
        for name, level in case.core.memories.items()
    }
    larger = case.core.model_copy(update={"memories": memories})
    small, large = (
        Engine(case.core).cost(case.nest, case.mapping),
        Engine(larger).cost(case.nest, case.mapping),
    )
    assert large.mapping == small.mapping and large.energy_pj == small.energy_pj
    assert large.stall_cycles <= small.stall_cycles
