from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits.budgets import Budget
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import (
    MAX_NEIGHBOURS,
    NEIGHBOUR_SHARE,
    Limit,
    Observed,
    Surface,
    candidates,
    choose,
    choose_within,
    leaves_at,
)
from passes.confidence import MAX_SOFTMAX
from passes.confidence.probabilities import MaxSoftmax


def random_answers(seed: int, exits: int, images: int) -> Observed:
    rng = np.random.default_rng(seed)
    correct = rng.random((exits, images)) < np.linspace(0.6, 0.9, exits)[:, None]
    # A coarse grid of confidences, so that ties between images occur.
    confidence = np.round(rng.random((exits - 1, images)) * 0.5 + 0.5 * correct[:-1], 1)
    return Observed(confidence.astype(np.float32), correct, (MAX_SOFTMAX,) * (exits - 1))


def mean_cost(seen: Observed, thresholds: tuple[np.float32, ...], costs: list[float]) -> float:
    return float(np.array(costs)[leaves_at(seen.confidence, thresholds)].mean())


def drop_counts(seen: Observed, thresholds: tuple[np.float32, ...]) -> tuple[int, int]:
    where = leaves_at(seen.confidence, thresholds)
    dynamic = seen.correct[where, np.arange(len(where))]
    static = seen.static_correct
    return int((static & ~dynamic).sum()), int((dynamic & ~static).sum())


def brute_force(seen: Observed, costs: list[float], limit: Limit) -> float:
    """Try all thresholds; a point is allowed if it and the mean over its neighbours are within the limit."""
    images = seen.correct.shape[1]
    bound = DropBound(images)
    steps = [candidates(c, MAX_SOFTMAX) for c in seen.confidence]
    drops, values, allowed = (np.zeros([len(s) for s in steps]) for _ in range(3))
    for index in np.ndindex(*drops.shape):
        thresholds = tuple(s[i] for s, i in zip(steps, index, strict=True))
        lost, gained = drop_counts(seen, thresholds)
        drops[index] = 100 * (lost - gained) / images
        values[index] = mean_cost(seen, thresholds, costs)
        allowed[index] = limit.allows(bound, np.array([lost]), np.array([gained])).all()
    reach = min(MAX_NEIGHBOURS, round(NEIGHBOUR_SHARE * images))
    best = np.inf
    for index in np.ndindex(*drops.shape):
        # An exit that nothing leaves at is not taken, and has no neighbours.
        around = drops[tuple(slice(max(0, i - reach), i + reach + 1) if i else slice(1) for i in index)]
        if allowed[index] and around.mean() <= limit.max_drop + 1e-9:
            best = min(best, float(values[index]))
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


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0.7, 0.97), st.booleans())
def test_drops_are_against_static_where_that_is_another_network(
    seed: int, accuracy: float, optimistic: bool
) -> None:
    """The final exit may be better or worse than static: then even nobody leaving may lose too much."""
    plain = random_answers(seed, 3, 40)
    seen = replace(plain, static=np.random.default_rng(seed + 1).random(40) < accuracy)
    costs, limit, bound = [1.0, 2.5, 4.2], Limit(5.0, optimistic), DropBound(40)
    found = choose_within(seen, costs, limit, ())
    no_bound = Budget("any", "what is never too much", tuple(costs), 1e9)
    solved = choose_within(seen, costs, limit, (no_bound,))
    if found is None:
        assert solved is None and not limit.allows(bound, *seen.never()).all()
        return
    lost, gained = drop_counts(seen, found.thresholds)
    assert limit.allows(bound, np.array([lost]), np.array([gained])).all()
    assert np.isclose(found.cost, mean_cost(seen, found.thresholds, costs))
    assert solved is not None and np.isclose(found.cost, solved.cost), "branch and bound finds the same"
    alone = choose_within(seen.select([1]), costs[1:], limit, ())
    assert alone is None or alone.cost >= found.cost - 1e-9


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


@pytest.mark.parametrize(("lost", "holds"), [(0, True), (1, True), (2, False)])
def test_without_exits_the_limit_holds_or_nothing_does(lost: int, holds: bool) -> None:
    correct = np.ones((1, 20), bool)
    correct[0, :lost] = False
    none = Observed(np.zeros((0, 20), np.float32), correct, (), np.ones(20, bool))
    assert (choose_within(none, [4.0], Limit(5.0, True), ()) is not None) == holds
    if not holds:
        with pytest.raises(ValueError, match="no thresholds hold"):
            choose(none, [4.0], Limit(5.0, True))


def test_a_lucky_dip_under_the_limit_is_not_taken() -> None:
    # 20 images that leave rightly, 8 that are lost, then 3 gained: only there the drop is back at 5/100.
    correct = np.ones((2, 100), bool)
    correct[0, 20:28] = False
    correct[1, 28:31] = False
    correct[0, 31:60] = np.arange(29) % 2 == 0
    confidence = np.linspace(1, 0.5, 100, dtype=np.float32)[None]
    seen = Observed(confidence, correct, (MAX_SOFTMAX,))
    chosen = choose(seen, [1.0, 4.0], Limit(5.0, True))
    assert (leaves_at(confidence, chosen.thresholds) == 0).sum() < 28


def test_sums_are_those_of_images_that_leave_where_thresholds_say() -> None:
    seen = random_answers(5, 3, 120)
    seen.confidence[0, :2] = np.nan
    costs, surface = [1.0, 2.0, 4.0], Surface(seen, [1.0, 2.0, 4.0], 0, 1)
    cost, lost, gained = surface.sums()
    static = seen.static_correct
    for row, first in list(enumerate(surface.steps[0]))[::7]:
        for column, second in list(enumerate(surface.steps[1]))[::7]:
            where = leaves_at(seen.confidence, [first, second])
            right = seen.correct[where, np.arange(len(where))]
            assert cost[row, column] == pytest.approx(np.take(costs, where).sum())
            assert lost[row, column] == (static & ~right).sum()
            assert gained[row, column] == (right & ~static).sum()


def test_midpoints_separate_what_they_lie_between() -> None:
    close = np.array([0.9, np.nextafter(np.float32(0.9), np.float32(1))], np.float32)
    for value in candidates(close, MAX_SOFTMAX)[1:-1]:
        assert (close >= value).sum() == 1


def test_an_exit_that_never_pays_is_left_out() -> None:
    seen = random_answers(1, 2, 50)
    assert choose(seen, [5.0, 4.0], Limit(100.0, True)).thresholds == (MAX_SOFTMAX.never,)


class _Wide(MaxSoftmax):
    name, low, high = "wide", -5.0, 7.0


def test_thresholds_beyond_the_range_are_those_of_the_rule() -> None:
    wide = _Wide()
    confidence = np.linspace(-5, 7, 50, dtype=np.float32)[None]
    seen = Observed(confidence, np.ones((2, 50), bool), (wide,))
    assert choose(seen, [5.0, 4.0], Limit(0.0, True)).thresholds == (np.float32(8),), "nobody leaves"
    assert choose(seen, [3.0, 4.0], Limit(0.0, True)).thresholds == (np.float32(-5),), "all leave"
    both = Observed(np.concatenate([confidence, confidence / 24 + 0.5]), np.ones((3, 50), bool),
                    (wide, MAX_SOFTMAX))  # fmt: skip
    assert choose(both, [9.0, 3.0, 4.0], Limit(0.0, True)).thresholds == (np.float32(8), np.float32(0))


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


def test_many_images_are_searched_on_every_so_many_midpoints() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random((3, 6000)) < np.array([[0.7], [0.8], [0.9]])
    confidence = (rng.random((2, 6000)) * 0.5 + 0.5 * correct[:-1]).astype(np.float32)
    seen = Observed(confidence, correct, (MAX_SOFTMAX,) * 2)
    found = choose(seen, [1.0, 2.0, 4.0], Limit(1.0, True))
    lost, gained = drop_counts(seen, found.thresholds)
    assert 100 * (lost - gained) / 6000 <= 1.0 + 1e-9
    # One exit alone is exact whatever the number of images; two may not be worse by more than a step.
    alone = min(choose(seen.select([k]), [1.0 + k, 4.0], Limit(1.0, True)).cost for k in (0, 1))
    assert found.cost <= alone * 1.002


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.booleans())
def test_three_exits_are_searched_to_the_best_point(seed: int, optimistic: bool) -> None:
    seen = random_answers(seed, 4, 40)
    costs, limit = [1.0, 2.0, 3.0, 4.5], Limit(3.0, optimistic)
    found = choose(seen, costs, limit, max_nodes=100_000)
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    assert np.isclose(found.cost, brute_force(seen, costs, limit))
    assert np.isclose(found.cost, mean_cost(seen, found.thresholds, costs))


@pytest.mark.parametrize("exits", [2, 3, 4])
def test_an_answer_that_is_not_a_number_never_leaves_early(exits: int) -> None:
    seen = random_answers(3, exits, 40)
    seen.confidence[:, :5] = np.nan
    chosen = choose(seen, [1.0, 2.0, 3.0, 4.5][:exits], Limit(100.0, True))
    where = leaves_at(seen.confidence, chosen.thresholds)
    assert (where[:5] == exits - 1).all() and (where[5:] == 0).all()
