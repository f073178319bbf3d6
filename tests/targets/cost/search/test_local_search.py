"""Climbing from mapping to neighbouring mapping."""

from __future__ import annotations

import numpy as np
import pytest

from targets.cost.model.allocation import fitting
from targets.cost.model.batch import Batch
from targets.cost.model.nest import Shape
from targets.cost.search.local_search import BEAM, Rows, climb, join, ranked
from targets.cost.search.problem import MappingProblem
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective
from tests.targets.cost.every_mapping import every_mapping, least_value
from tests.targets.cost.small import core, matmul, memory, outer, register

ONE = {"D1": 1}
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 16)
LEVEL = core(
    ONE,
    register_W=register("W", 16),
    sums=memory("O", 32, SUMS),
    outer=outer({"W to_below": 4, "I to_below": 8, "O from_below": 8}, ONE),
)
PROBLEM = MappingProblem(Shape(matmul(d=4, c=2, k=4)), LEVEL, {})
PLACED = PROBLEM.place({})


@pytest.fixture(scope="module")
def everything() -> Rows:
    batch, levels = every_mapping(PROBLEM, PLACED)
    return Rows(batch.loops, batch.sizes, {op: np.stack(own, axis=1) for op, own in levels.items()})


def fitting_rows(rows: Rows) -> Rows:
    batch = Batch(PROBLEM.shape, rows.loops, rows.sizes)
    return rows.take(np.flatnonzero(fitting(batch, LEVEL, PLACED, {}, rows.columns())))


def test_rows_are_taken_and_joined(everything: Rows) -> None:
    some = everything.take(np.array([5, 2]))
    assert len(some) == 2 and some.loops.tolist() == everything.loops[[5, 2]].tolist()
    assert {op: own.tolist() for op, own in some.levels.items()} == {
        op: own[[5, 2]].tolist() for op, own in everything.levels.items()
    }
    both = join([some, everything.take(np.array([7]))])
    assert both.sizes.tolist() == everything.sizes[[5, 2, 7]].tolist()
    assert both.levels["W"].tolist() == everything.levels["W"][[5, 2, 7]].tolist()
    assert [column.tolist() for column in both.columns()["W"]] == both.levels["W"].T.tolist()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_ranked_are_the_best_of_different_value(everything: Rows, objective: Objective) -> None:
    leaders, best = ranked(PROBLEM, PLACED, everything, objective)
    assert best.values[0] == least_value(PROBLEM, PLACED, objective)
    batch = Batch(PROBLEM.shape, everything.loops, everything.sizes)
    levels = everything.columns()
    fits = fitting(batch, LEVEL, PLACED, {}, levels)
    values = sorted(set(PROBLEM.values(PLACED, batch, levels, fits, objective)[0].tolist()))
    kept = [ranked(PROBLEM, PLACED, leaders.take(np.array([i])), objective)[1] for i in range(len(leaders))]
    assert [candidate.values[0] for candidate in kept] == values[:BEAM]
    # Ties go by the other of latency and energy.
    assert kept[0].values == best.values


def test_what_does_not_fit_is_worth_nothing(everything: Rows) -> None:
    """All weights, eight, below a register of two."""
    whole = everything.take(np.flatnonzero(everything.levels["W"][:, 0] == everything.loops.shape[1])[:1])
    assert ranked(PROBLEM, PLACED, whole, ENERGY)[1].values[0] == np.inf


@pytest.mark.parametrize("objective", [LATENCY, ENERGY, EDP], ids=str)
def test_climbing_never_falls_and_reaches_the_best(everything: Rows, objective: Objective) -> None:
    """From some of all mappings that fit; so small a layer has no other tops."""
    start = fitting_rows(everything)
    optimum = least_value(PROBLEM, PLACED, objective)
    for row in range(0, len(start), max(1, len(start) // 4)):
        one = start.take(np.array([row]))
        _, first = ranked(PROBLEM, PLACED, one, objective)
        found, costed = climb(PROBLEM, PLACED, one, objective)
        assert found.values <= first.values and costed > 1
        assert found.values[0] == pytest.approx(optimum)
        loops = tuple(zip(found.loops.tolist(), found.sizes.tolist(), strict=True))
        assert sorted(loops) == [(0, 2), (1, 2), (1, 2), (2, 2), (2, 2)], "the factors are those of the start"


def test_levels_alone_may_move() -> None:
    """One loop has one order: only levels are left to shift."""
    problem = MappingProblem(
        Shape(matmul(c=4)), core(ONE, register_W=register("W"), outer=outer({"W to_below": 32}, ONE)), {}
    )
    start = Rows(
        np.array([[0]]),
        np.array([[4]]),
        {"O": np.array([[1]]), "I": np.array([[1]]), "W": np.array([[0, 1]])},
    )
    found, costed = climb(problem, problem.place({}), start, ENERGY)
    # Four weights are fetched at once, not one by one. Costed are the start, its neighbour, and that one's.
    assert found.levels["W"] == (1, 1) and costed == 3


def test_without_loops_there_is_nothing_to_climb() -> None:
    problem = MappingProblem(Shape(matmul()), core(ONE, outer=outer({}, ONE)), {})
    empty = np.zeros((1, 0), np.int64)
    start = Rows(empty, empty, {op: np.array([[0]]) for op in ("O", "I", "W")})
    found, costed = climb(problem, problem.place({}), start, LATENCY)
    assert costed == 1 and found.loops.tolist() == []
