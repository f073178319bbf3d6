"""The least energy over all mappings: what is proven against all of them, one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.search import bounds as module
from targets.cost.search.problem import MappingProblem
from targets.description.hierarchy import Hierarchy
from targets.objective import ENERGY
from tests.targets.cost.every_mapping import least_value
from tests.targets.cost.small import core, matmul, memory, outer
from tests.targets.cost.strategies import hierarchies, small_products

ONE = {"D1": 1}
INPUTS = dict.fromkeys(("W from_above", "W to_below", "I from_above", "I to_below"), 8)
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 16)


def buffered(elements: int) -> Hierarchy:
    """Return a core with a buffer for some weights and inputs, costly to pass by."""
    dear = outer({"W to_below": 8, "I to_below": 8}, ONE).model_copy(update={"read_energy_pj": 9.0})
    return core(
        ONE, sums=memory("O", 16, SUMS), buffer=memory("WI", 8 * elements, INPUTS, ("D1",)), outer=dear
    )


def memory_energy(problem: MappingProblem, limit: int | None = None) -> float:
    """Return the least energy of the memories with nothing unrolled, of all mappings one by one."""
    placed = problem.place({})
    return least_value(problem, placed, ENERGY, limit) - problem.array_energy(placed)


def problem_of(nest: LoopNest, level: Hierarchy) -> MappingProblem:
    return MappingProblem(Shape(nest), level, {})


@pytest.mark.parametrize("elements", [2, 3, 5, 7, 10, 100])
@pytest.mark.parametrize("limit", [None, 3])
def test_least_energy_is_that_of_the_best_of_all_mappings(elements: int, limit: int | None) -> None:
    """Weights and inputs share the buffer: where the best of each do not fit together, the space splits."""
    problem = problem_of(matmul(d=4, c=2, k=4), buffered(elements))
    bounds = problem.bounds(problem.place({}), limit)
    found = bounds.least_energy()
    assert found is not None
    assert found.value == pytest.approx(memory_energy(problem, limit))
    assert bounds.energy_floor() <= found.value
    assert found.paths[0].value == found.value


@pytest.mark.parametrize("splits", [0, 1, 3])
def test_a_bound_that_is_given_up_early_is_still_one(splits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SPLITS", splits)
    problem = problem_of(matmul(d=4, c=2, k=4), buffered(7))
    found = problem.bounds(problem.place({}), None).least_energy()
    assert found is not None and found.paths
    assert found.value <= memory_energy(problem)
    assert found.paths[0].value == found.value


def test_nothing_fits_a_buffer_of_one_element_for_two() -> None:
    problem = problem_of(matmul(d=4, c=2, k=4), buffered(1))
    assert problem.bounds(problem.place({}), None).least_energy() is None


@pytest.mark.parametrize("size_bits", [8, 16, 24, 32, 48, 64])
def test_a_memory_for_final_sums_needs_less_room_than_one_for_partial_ones(size_bits: int) -> None:
    """Sums of 16 bits that end as 8, under a memory that may hold either, and a dear outermost one."""
    nest = replace(matmul(c=4, k=4), bits=(("W", 8), ("I", 8), ("O", 16), ("O_final", 8)))
    narrow = dict.fromkeys(("O from_below", "O to_below"), 8)
    level = core(
        ONE,
        sums=memory("O", 16, SUMS),
        middle=memory("O", size_bits, SUMS, ("D1",)),
        buffer=memory("O", 2 * size_bits, SUMS, ("D1",)),
        outer=outer(narrow, ONE).model_copy(update={"read_energy_pj": 9.0, "write_energy_pj": 9.0}),
    )
    problem = problem_of(nest, level)
    found = problem.bounds(problem.place({}), None).least_energy()
    assert (math.inf if found is None else found.value) == pytest.approx(memory_energy(problem))


@pytest.mark.parametrize("weights", [0, 1, 2, 3, 4, 8])
def test_an_operand_alone_takes_no_more_than_the_room_there_is(weights: int) -> None:
    """Sixteen inputs have no memory further out, so that some weights fit beside them, or none."""
    ports = dict.fromkeys(("W from_above", "W to_below", "I to_below"), 8)
    moves = {"W to_below": 8, "O from_below, O to_below": 8}
    level = core(
        ONE,
        sums=memory("O", 16, SUMS),
        buffer=memory("WI", 8 * (16 + weights), ports, ("D1",)),
        outer=memory("WO", 10**6, moves, ("D1",), energy_pj=9.0),
    )
    problem = problem_of(matmul(d=4, c=4, k=2), level)
    found = problem.bounds(problem.place({}), None).least_energy()
    assert (found is None) == (weights == 0)
    assert (math.inf if found is None else found.value) == pytest.approx(memory_energy(problem))


@settings(max_examples=40, deadline=None)
@given(hierarchies(), small_products)
def test_least_energy_of_any_small_core(level: Hierarchy, nest: LoopNest) -> None:
    """With orders of up to three factors, and infinite if no mapping fits."""
    problem = problem_of(nest, level)
    found = problem.bounds(problem.place({}), 3).least_energy()
    assert (math.inf if found is None else found.value) == pytest.approx(memory_energy(problem, 3))


def test_three_operands_that_do_not_fit_together() -> None:
    """Any two fit the buffer, and no pair of them tells which of the three has to hold less."""
    both = dict.fromkeys((*INPUTS, *SUMS), 8)
    nest = replace(matmul(c=5, d=3, k=5), bits=(("W", 8), ("I", 8), ("O", 16), ("O_final", 8)))
    free = memory("WIO", 512, both, ("D1",), energy_pj=0.0)
    problem = problem_of(nest, core(ONE, buffer=free, outer=outer(dict.fromkeys(both, 16), ONE)))
    found = problem.bounds(problem.place({}), 3).least_energy()
    assert found is not None and found.value == pytest.approx(memory_energy(problem, 3))
