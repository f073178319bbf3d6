from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits.problem import ThresholdProblem


def small(seed: int, early: int = 3, images: int = 12, reach: int = 2, most: int = 2) -> ThresholdProblem:
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, 6, (early, images))
    right = rng.random((early + 1, images)) < 0.6
    return ThresholdProblem(
        rank=ranks,
        steps=tuple(int(row.max()) + 1 for row in ranks),
        cost=np.cumsum(rng.random(early + 1)),
        change=right.astype(np.int64) - right[-1],
        allows=lambda lost, gained: lost - gained <= most,
        amounts=np.zeros((0, early + 1)),
        budgets=np.zeros(0),
        most_drop=float(most),
        reach=reach,
    )


def drop(problem: ThresholdProblem, point: tuple[int, ...]) -> int:
    where = problem.where(point)
    return -int(sum(problem.change[exit_, image] for image, exit_ in enumerate(where)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 6), min_size=3, max_size=3))
def test_the_mean_over_neighbours_is_that_of_visiting_each(seed: int, asked: list[int]) -> None:
    problem = small(seed)
    point = tuple(min(step, last) for step, last in zip(asked, problem.steps, strict=True))
    around = [
        range(max(0, step - 2), min(last, step + 2) + 1) if step else [0]
        for step, last in zip(point, problem.steps, strict=True)
    ]
    seen = [drop(problem, near) for near in itertools.product(*around)]
    assert problem.neighbour_drop(point) == pytest.approx(np.mean(seen), abs=1e-9)


def test_an_image_leaves_at_the_first_exit_whose_step_is_beyond_its_rank() -> None:
    problem = small(0)
    for point in itertools.product(range(3), repeat=3):
        for image, found in enumerate(problem.where(point)):
            leaves = [k for k in range(3) if problem.rank[k, image] < point[k]]
            assert found == min(leaves, default=3)
        assert problem.total(point) == pytest.approx(sum(problem.cost[problem.where(point)]))


def test_most_lost_is_no_more_than_can_be_lost() -> None:
    problem = small(3, images=40)
    possible = int((problem.change[:-1] < 0).any(axis=0).sum())
    assert problem.most_lost().tolist() == [
        min(2 + gained, possible) for gained in range(len(problem.most_lost()))
    ]


def test_each_limit_counts() -> None:
    problem = small(1)
    points = list(itertools.product(*(range(last + 1) for last in problem.steps)))
    for point in points:
        expected = drop(problem, point) <= 2 and problem.neighbour_drop(point) <= 2 + 1e-9
        assert problem.is_allowed(point) == expected
    final = np.array([[0.0, 0.0, 0.0, 1.0]])
    few = ThresholdProblem(**{**vars(problem), "amounts": final, "budgets": np.array([3.0])})
    kept = [point for point in points if few.is_allowed(point)]
    assert kept and all(np.sum(problem.where(point) == 3) <= 3 for point in kept)
    assert kept == [p for p in points if problem.is_allowed(p) and np.sum(problem.where(p) == 3) <= 3]


def test_a_line_is_what_all_steps_of_one_exit_give() -> None:
    problem = small(3)
    value = np.random.default_rng(0).random(problem.change.shape)
    for number, last in enumerate(problem.steps):
        found, costs = problem.lines((2, 3, 1), number, [value, np.tile(problem.cost[:, None], (1, 12))])
        for step in range(last + 1):
            point = tuple(step if k == number else at for k, at in enumerate((2, 3, 1)))
            assert found[step] == pytest.approx(value[problem.where(point), np.arange(12)].sum())
            assert costs[step] == pytest.approx(problem.total(point))
