from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.statistics import DropBound
from eecompile.thresholds import NEVER, Limit, Observed, candidates, choose, leaves_at


def random_answers(seed: int, exits: int, images: int) -> Observed:
    rng = np.random.default_rng(seed)
    correct = rng.random((exits, images)) < np.linspace(0.6, 0.9, exits)[:, None]
    # A coarse grid of confidences, so that ties between images occur.
    confidence = np.round(rng.random((exits - 1, images)) * 0.5 + 0.5 * correct[:-1], 1)
    return Observed(confidence.astype(np.float32), correct)


def mean_cost(seen: Observed, thresholds: tuple[np.float32, ...], costs: list[float]) -> float:
    return float(np.array(costs)[leaves_at(seen.confidence, thresholds)].mean())


def drop_counts(seen: Observed, thresholds: tuple[np.float32, ...]) -> tuple[int, int]:
    where = leaves_at(seen.confidence, thresholds)
    dynamic = seen.correct[where, np.arange(len(where))]
    static = seen.correct[-1]
    return int((static & ~dynamic).sum()), int((dynamic & ~static).sum())


def brute_force(seen: Observed, costs: list[float], limit: Limit) -> float:
    bound = DropBound(seen.correct.shape[1])
    best = np.inf
    for thresholds in itertools.product(*(candidates(c) for c in seen.confidence)):
        lost, gained = drop_counts(seen, thresholds)
        if limit.allows(bound, np.array([lost]), np.array([gained])).all():
            best = min(best, mean_cost(seen, thresholds, costs))
    return best


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.booleans(), st.sampled_from([0.0, 2.0, 5.0]))
def test_one_and_two_exits_are_searched_exhaustively(
    seed: int, exits: int, optimistic: bool, drop: float
) -> None:
    seen = random_answers(seed, exits, 40)
    costs = [1.0, 2.5, 4.2][:exits]
    limit = Limit(drop, optimistic)
    found = choose(seen, costs, limit)
    assert np.isclose(found.cost, brute_force(seen, costs, limit))
    assert np.isclose(found.cost, mean_cost(seen, found.thresholds, costs))
    lost, gained = drop_counts(seen, found.thresholds)
    assert limit.allows(DropBound(40), np.array([lost]), np.array([gained])).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_three_exits_are_no_worse_than_any_two(seed: int) -> None:
    seen = random_answers(seed, 4, 60)
    costs, limit = [1.0, 2.0, 3.0, 4.5], Limit(3.0, True)
    full = choose(seen, costs, limit)
    for kept in itertools.combinations(range(3), 2):
        part = choose(seen.select(kept), [*(costs[k] for k in kept), costs[-1]], limit)
        assert full.cost <= part.cost + 1e-9
    lost, gained = drop_counts(seen, full.thresholds)
    assert 100 * (lost - gained) / 60 <= 3.0 + 1e-9


def test_midpoints_separate_what_they_lie_between() -> None:
    close = np.array([0.9, np.nextafter(np.float32(0.9), np.float32(1))], np.float32)
    for value in candidates(close)[1:-1]:
        assert (close >= value).sum() == 1


def test_an_exit_that_never_pays_is_left_out() -> None:
    seen = random_answers(1, 2, 50)
    assert choose(seen, [5.0, 4.0], Limit(100.0, True)).thresholds == (NEVER,)


def test_cautious_choice_never_costs_less_than_the_optimistic_one() -> None:
    for seed in range(20):
        seen = random_answers(seed, 3, 80)
        costs = [1.0, 2.0, 4.0]
        assert choose(seen, costs, Limit(1.0, False)).cost >= choose(seen, costs, Limit(1.0, True)).cost


def test_comparison_is_in_float32_and_includes_equality() -> None:
    confidence = np.array([[0.1, 0.2, 0.3]], np.float32)
    assert leaves_at(confidence, [np.float32(0.2)]).tolist() == [1, 0, 0]
    # 0.2 in double precision lies below float32(0.2): compared as doubles nothing would change here,
    # but 0.1 in double precision lies below float32(0.1) too, and float32 makes them equal.
    assert leaves_at(confidence, [np.float32(0.1)]).tolist() == [0, 0, 0]
