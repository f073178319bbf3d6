from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits.branch_and_bound import solve
from eecompile.exits.problem import ThresholdProblem

NEVER = (0, 0, 0)


def problem(seed: int, images: int = 30, allowed: str = "difference") -> ThresholdProblem:
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, 7, (3, images))
    right = rng.random((4, images)) < np.array([[0.5], [0.6], [0.7], [0.8]])
    limits = {
        "difference": lambda lost, gained: lost - gained <= 1,
        "lost only": lambda lost, gained: lost <= 2 + 0 * gained,
        "bent": lambda lost, gained: lost - gained + np.sqrt(lost + gained) <= 3,
    }
    return ThresholdProblem(
        rank=ranks,
        steps=tuple(int(row.max()) + 1 for row in ranks),
        # Not always rising: an exit may cost more than what is behind it.
        cost=np.array([1.0, 2.0, 3.0, 4.0]) + rng.random(4) * 2,
        change=right.astype(np.int64) - right[-1],
        allows=limits[allowed],
        amounts=np.zeros((0, 4)),
        budgets=np.zeros(0),
        most_drop=1.5,
        reach=1,
    )


def brute_force(searched: ThresholdProblem) -> float:
    points = itertools.product(*(range(last + 1) for last in searched.steps))
    return min((searched.total(p) for p in points if searched.is_allowed(p)), default=np.inf)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from(["difference", "lost only", "bent"]), st.booleans())
def test_the_best_point_is_found_and_proven(seed: int, allowed: str, seeded: bool) -> None:
    searched = problem(seed, allowed=allowed)
    found = solve(searched, (NEVER,) if seeded else (), max_nodes=100_000)
    assert found.point is not None and searched.is_allowed(found.point)
    assert found.total == pytest.approx(searched.total(found.point))
    assert found.total == pytest.approx(brute_force(searched))
    assert found.gap == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(2.0, 20.0), st.floats(1.5, 4.0))
def test_budgets_are_kept_and_what_cannot_be_is_said(seed: int, final: float, mean: float) -> None:
    amounts = np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    searched = replace(problem(seed), amounts=amounts, budgets=np.array([final, mean * 30]))
    found, best = solve(searched, max_nodes=100_000), brute_force(searched)
    if np.isinf(best):
        assert found.point is None and np.isinf(found.bound)
    else:
        assert found.point is not None and searched.is_allowed(found.point)
        assert found.total == pytest.approx(best)


@pytest.mark.parametrize("nodes", [0, 1, 3, 10])
def test_a_search_that_stops_early_states_a_true_bound(nodes: int) -> None:
    for seed in range(15):
        searched = problem(seed)
        found, best = solve(searched, (NEVER,), max_nodes=nodes), brute_force(searched)
        assert found.bound <= best + 1e-9
        assert found.total * (1 - found.gap) <= best + 1e-9
        assert found.total >= best - 1e-9


def test_an_asked_gap_is_held_with_fewer_nodes() -> None:
    exact, rough = (
        [solve(problem(seed, 60), (NEVER,), gap=gap, max_nodes=100_000) for seed in range(8)]
        for gap in (0.0, 0.05)
    )
    assert all(r.gap <= 0.05 + 1e-9 for r in rough)
    assert all(r.total <= e.total * 1.0527 for e, r in zip(exact, rough, strict=True))
    assert sum(r.nodes for r in rough) < sum(e.nodes for e in exact)


def test_a_box_is_not_left() -> None:
    searched = problem(4)
    box = ((0, 2), (1, 1), (0, searched.steps[2]))
    found = solve(searched, box=box, max_nodes=100_000)
    inside = itertools.product(*(range(low, high + 1) for low, high in box))
    assert found.point is not None
    assert all(low <= step <= high for step, (low, high) in zip(found.point, box, strict=True))
    assert found.total == pytest.approx(min(searched.total(p) for p in inside if searched.is_allowed(p)))


def test_no_two_thresholds_of_what_is_found_first_can_be_moved_for_the_better() -> None:
    """Without a single box, whatever grid the search has: with 60 steps it is all of them."""
    rng = np.random.default_rng(1)
    ranks = rng.integers(0, 60, (4, 200))
    right = rng.random((5, 200)) < np.linspace(0.5, 0.8, 5)[:, None]
    searched = replace(
        problem(0),
        rank=ranks,
        steps=tuple(int(row.max()) + 1 for row in ranks),
        cost=np.arange(1.0, 6.0),
        change=right.astype(np.int64) - right[-1],
        amounts=np.zeros((0, 5)),
        most_drop=1e9,
        reach=0,
    )
    found = solve(searched, ((0,) * 4,), max_nodes=0)
    assert found.point is not None and searched.is_allowed(found.point)
    for first, second in itertools.combinations(range(4), 2):
        for steps in itertools.product(*(range(searched.steps[n] + 1) for n in (first, second))):
            moved = list(found.point)
            moved[first], moved[second] = steps
            cheaper = searched.total(tuple(moved)) < found.total * (1 - 1e-9)
            assert not (cheaper and searched.is_allowed(tuple(moved)))


def test_only_what_is_cheaper_is_sought_where_that_is_asked() -> None:
    searched = problem(5)
    best = brute_force(searched)
    found = solve(searched, below=best * 1.01)
    assert found.total == pytest.approx(best) == pytest.approx(found.bound)
    none = solve(searched, below=best * 0.99)
    assert none.point is None and np.isinf(none.total)
    assert none.bound == pytest.approx(best * 0.99)
