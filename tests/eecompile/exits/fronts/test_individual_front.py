from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.fronts.front_problem import FrontProblem, Kept
from eecompile.exits.fronts.individual_front import individual_front
from eecompile.exits.fronts.pareto import nondominated
from eecompile.exits.fronts.subset_front import global_front
from passes.errors import InputError
from tests.eecompile.exits.fronts.test_subset_front import (
    LIMITS,
    behind,
    drawn,
    networks,
    seen_by,
    tried,
    values_of,
)


def small(seed: int, objectives: str, limits: str = "none") -> FrontProblem:
    """Return a problem with three exits on two mounts and one final head."""
    whole = drawn(seed, 9, tuple(objectives.split()))
    costs = {
        name: AdditiveCosts(one.stages[:3], one.heads[:3], one.finals[:1])
        for name, one in whole.costs.items()
    }
    return replace(
        whole, confidence=whole.confidence[:3], correct=whole.correct[:3], mounts=(0, 0, 1),
        finals=whole.finals[:1], costs=costs, limits=LIMITS[limits],
    )  # fmt: skip


def brute_force(problem: FrontProblem) -> np.ndarray:
    """Return all that some network and some thresholds give."""
    points = []
    for kept, final in networks(problem):
        steps = [[np.inf, *np.unique(c[~np.isnan(c)])] for c in seen_by(problem, kept, final)[0]]
        for thresholds in itertools.product(*steps):
            found = tried(problem, kept, final, thresholds)
            if found is not None:
                points.append(values_of(problem, found))
    return np.round(np.array(points).reshape(-1, len(problem.objectives)), 9)


@pytest.mark.parametrize(
    ("objectives", "limits"),
    [
        ("accuracy edp", "none"),
        ("edp accuracy", "ratios"),
        ("accuracy edp memory", "sizes"),
        ("worst_latency energy accuracy", "drop"),
        ("energy memory", "drop"),
    ],
)
def test_branch_and_bound_ends_with_the_front_of_everything_tried(objectives: str, limits: str) -> None:
    problem = small(len(objectives), objectives, limits)
    front, expected = individual_front(problem, boxes=2000, levels=99), brute_force(problem)
    assert front.exact and len(front.points)
    np.testing.assert_allclose(front.values, expected[nondominated(expected)], atol=1e-8)
    for point in front.points:
        bare = tuple(np.inf if t is None else float(t) for t in point.thresholds)
        found = tried(problem, point.kept, point.final, bare)
        assert found is not None and point.gap == 0
        assert point.accuracy == pytest.approx(found.pop("accuracy"))
        assert point.figures == pytest.approx(found)


@pytest.mark.parametrize("asked", [None, [((0,), 0)]], ids=["all networks", "one network"])
def test_gaps_hold_and_nothing_is_worse_than_one_threshold(asked: list[tuple[Kept, int]] | None) -> None:
    problem = replace(small(14, "accuracy edp"), reads=(None, None, frozenset({0})))
    front, everything = individual_front(problem, networks=asked), brute_force(problem)
    assert not front.exact
    assert individual_front(problem, networks=asked, start=global_front(problem)) == front
    begun = individual_front(problem, networks=[((), 0)], start=replace(global_front(problem), points=()))
    assert len(begun.points) == 1  # from nothing, and with no exits to look at, there is static
    for accuracy, cost in global_front(problem).values:
        assert ((front.values[:, 0] <= accuracy + 1e-9) & (front.values[:, 1] <= cost + 1e-9)).any()
    for point in front.points:
        least = everything[everything[:, 0] <= -point.accuracy + 1e-9, 1].min()
        assert least >= point.figures["edp"] * (1 - point.gap) - 1e-6
    best = individual_front(problem, boxes=2000, levels=99)
    assert max(point.gap for point in front.points) > 0.01
    assert max(point.gap for point in best.points) == 0


def test_where_one_threshold_is_not_enough_others_are_found() -> None:
    """Two exits of which each is sure of what the other one gets wrong."""
    ones = np.ones(10)
    confidence = np.array([[0.9] * 5 + [0.6] * 5, [0.5] * 5 + [0.55] * 5], np.float32)
    correct = np.array([[1] * 5 + [0] * 5, [0] * 5 + [1] * 5], bool)
    costs = {"macs": AdditiveCosts(np.ones((3, 1)), np.full((2, 1), 0.01), np.ones((1, 1)))}
    problem = FrontProblem(confidence, correct, (0, 1), ones[None] > 0, ones > 0, costs, ("accuracy", "macs"))
    shared, own = global_front(problem), individual_front(problem)
    assert max(point.accuracy for point in shared.points if point.figures["macs"] < 2) < 1
    best = own.points[0]
    assert best.accuracy == 1 and best.figures["macs"] == pytest.approx((1.01 + 2.02) / 2)
    assert best.thresholds[0] is not None and best.thresholds[1] is not None
    assert 0.6 < best.thresholds[0] <= 0.9 and best.thresholds[1] <= np.float32(0.55)


def test_confidences_may_depend_on_the_exits_before() -> None:
    problem = small(5, "accuracy edp")
    paired = behind(problem)
    front, expected = individual_front(paired, boxes=2000, levels=99), brute_force(paired)
    assert front.exact
    np.testing.assert_allclose(front.values, expected[nondominated(expected)], atol=1e-8)
    assert individual_front(paired).points != individual_front(problem).points


def test_several_costs_are_descended_in_turn() -> None:
    problem = small(6, "energy latency accuracy")
    front, everything = individual_front(problem), brute_force(problem)
    assert not front.exact
    for point, value in zip(front.points, front.values, strict=True):
        as_accurate = everything[everything[:, 2] <= value[2] + 1e-9]
        assert (as_accurate[:, :2] / value[:2]).max(axis=1).min() >= 1 - point.gap - 1e-6
    for cost in ("energy", "latency"):
        alone = individual_front(replace(problem, objectives=("accuracy", cost)))
        column = problem.objectives.index(cost)
        for accuracy, least in alone.values:
            assert front.values[front.values[:, 2] <= accuracy + 1e-9, column].min() <= least + 1e-9


def test_what_has_no_one_mean_cost_is_refused() -> None:
    with pytest.raises(InputError, match="sought for one mean cost, not for none"):
        individual_front(small(0, "accuracy memory"))
    with pytest.raises(InputError, match="proven best for one mean cost, not for edp and energy"):
        individual_front(small(0, "edp energy"), boxes=5)
