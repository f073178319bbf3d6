from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.fronts.front_points import FrontPoint
from eecompile.exits.fronts.front_problem import AskingExits, FrontLimits, FrontProblem
from eecompile.exits.fronts.pareto import nondominated
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.thresholds import leaves_at

MOUNTS = (0, 0, 1, 2, 2)
PARTS = {"edp": 2, "latency": 1, "energy": 1}


def drawn(seed: int, images: int = 30, objectives: tuple[str, ...] = ("accuracy", "edp")) -> FrontProblem:
    rng = np.random.default_rng(seed)
    right = rng.random((len(MOUNTS) + 2, images)) < np.linspace(0.5, 0.9, len(MOUNTS) + 2)[:, None]
    # A coarse grid of confidences, so that ties occur, between images and between exits.
    confidence = np.round(0.5 * rng.random((len(MOUNTS), images)) + 0.4 * right[:-2], 2 - seed % 2)
    confidence[rng.random(confidence.shape) < 0.03] = np.nan
    costs = {
        name: AdditiveCosts(*(rng.random((count, parts)) + 0.1 for count in (4, len(MOUNTS), 2)))
        for name, parts in PARTS.items()
    }
    return FrontProblem(
        confidence.astype(np.float32), right[:-2], MOUNTS, right[-2:],
        right[-1] ^ (rng.random(images) < 0.05), costs, objectives,
        memory=lambda kept, final: float(5 + final + sum(k * k % 7 for k in kept)) - 3 * (len(kept) == 2),
    )  # fmt: skip


def behind(problem: FrontProblem) -> FrontProblem:
    """Return the problem with confidences that depend on all exits that are kept before, but of exit 3."""
    values = np.linspace(0, 1, 11).astype(np.float32)

    def confidence(before: tuple[int, ...], k: int) -> np.ndarray:
        assert before, "the first exit has nothing to ask"
        return np.random.default_rng([7, *before, k]).choice(values, problem.images)

    exits = frozenset(range(len(problem.mounts))) - {3}
    return replace(problem, asking=AskingExits(exits, confidence, values))


def networks(problem: FrontProblem) -> Iterator[tuple[tuple[int, ...], int]]:
    for chosen in itertools.product(*problem.options):
        kept = tuple(k for k in chosen if k is not None)
        if len(kept) > (len(MOUNTS) if problem.limits.exits is None else problem.limits.exits):
            continue
        reads = [None if problem.reads is None else problem.reads[k] for k in kept]
        befores = (None, *kept)
        if all(read is None or b in read for read, b in zip(reads, befores, strict=False)):
            yield from ((kept, final) for final in range(len(problem.finals)))


def seen_by(
    problem: FrontProblem, kept: tuple[int, ...], final: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return confidences of the early exits of a network, and which answers of all of them are right."""
    confidences = []
    for number, k in enumerate(kept):
        asks = problem.asking is not None and number > 0 and k in problem.asking.exits
        confidences.append(
            problem.asking.confidence(kept[:number], k) if asks else problem.confidence[k]  # type: ignore[union-attr]
        )
    return confidences, [*(problem.correct[k] for k in kept), problem.finals[final]]


def tried(
    problem: FrontProblem, kept: tuple[int, ...], final: int, thresholds: tuple[float, ...]
) -> dict[str, float] | None:
    """Return all figures of a network at some thresholds; ``None`` where a limit is broken."""
    confidences, right = seen_by(problem, kept, final)
    paths = {name: costs.paths(kept, problem.mounts, final) for name, costs in problem.costs.items()}
    where = leaves_at(np.stack([*confidences, problem.static]), [np.float32(t) for t in thresholds])
    correct = np.stack(right)[where, np.arange(problem.images)]
    found = {name: float(path[where].mean()) for name, path in paths.items()}
    found |= {"accuracy": correct.mean(), "final_ratio": np.mean(where == len(kept))}
    lost, gained = (problem.static & ~correct).sum(), (correct & ~problem.static).sum()
    found["worst_latency"] = paths["latency"][-1]
    assert problem.memory is not None
    found["memory"] = problem.memory(kept, final)
    limits = problem.limits
    static = problem.costs[limits.figure].paths((), problem.mounts, problem.static_final)[0]
    broken = [
        limits.final_ratio is not None and found["final_ratio"] > limits.final_ratio + 1e-9,
        limits.cost_ratio is not None and found[limits.figure] > static * limits.cost_ratio + 1e-9,
        limits.worst_latency is not None and found["worst_latency"] > limits.worst_latency + 1e-9,
        limits.memory is not None and found["memory"] > limits.memory,
        limits.allows is not None and not limits.allows(np.array([lost]), np.array([gained]))[0],
    ]
    broken += [found[name] > most + 1e-9 for name, most in limits.means.items()]
    broken += [found["accuracy"] < (limits.accuracy or 0) - 1e-9]
    return None if any(broken) else found


def values_of(problem: FrontProblem, found: dict[str, float]) -> list[float]:
    return [-found[name] if name == "accuracy" else found[name] for name in problem.objectives]


def brute_force(problem: FrontProblem) -> np.ndarray:
    """Return the front of one threshold by trying everything."""
    points = []
    for kept, final in networks(problem):
        seen = np.concatenate([np.zeros(0), *seen_by(problem, kept, final)[0]])
        for threshold in [np.inf, *np.unique(seen[~np.isnan(seen)])]:
            found = tried(problem, kept, final, (threshold,) * len(kept))
            if found is not None:
                points.append(values_of(problem, found))
    table = np.round(np.array(points).reshape(-1, len(problem.objectives)), 9)
    return table[nondominated(table)]


def check(problem: FrontProblem, blocks: int) -> tuple[FrontPoint, ...]:
    """Hold a front against all that can be tried, and each of its points against its images."""
    front, expected = global_front(problem, blocks), brute_force(problem)
    assert len(front.points) == len(expected)
    np.testing.assert_allclose(front.values, expected, atol=1e-8)
    for point in front.points:
        bare = tuple(np.inf if t is None else float(t) for t in point.thresholds)
        found = tried(problem, point.kept, point.final, bare)
        assert found is not None
        assert point.accuracy == pytest.approx(found.pop("accuracy"))
        assert point.figures == pytest.approx(found)
        assert sum(point.ratios) == pytest.approx(1)
    return front.points


LIMITS = {
    "none": FrontLimits(),
    "ratios": FrontLimits(final_ratio=0.5, cost_ratio=0.7, figure="energy"),
    "sizes": FrontLimits(worst_latency=3.0, memory=11.0),
    "means": FrontLimits(means={"latency": 1.9, "energy": 2.5}, accuracy=0.6, exits=2),
    "drop": FrontLimits(allows=lambda lost, gained: lost - gained + np.sqrt(lost + gained) <= 3),
}


@pytest.mark.parametrize(
    ("objectives", "limits", "blocks"),
    [
        ("accuracy edp", "none", 1),
        ("accuracy edp", "drop", 6),
        ("edp latency accuracy", "none", 4),
        ("edp energy", "drop", 3),
        ("memory accuracy energy", "sizes", 5),
        ("accuracy worst_latency edp", "ratios", 3),
        ("worst_latency edp memory", "drop", 2),
        ("worst_latency accuracy", "ratios", 1000),
        ("edp memory", "means", 4),
    ],
)
def test_the_front_is_that_of_everything_tried(objectives: str, limits: str, blocks: int) -> None:
    points = [
        check(replace(drawn(seed, 12, tuple(objectives.split())), limits=LIMITS[limits]), blocks)
        for seed in (blocks, blocks + 1)
    ]
    assert any(points)


@pytest.mark.parametrize("asking", [False, True])
def test_an_exit_that_reads_another_comes_only_behind_it(asking: bool) -> None:
    reads = (None, None, frozenset({0}), None, frozenset({1, 2}))
    problem = replace(behind(drawn(12)) if asking else drawn(11), reads=reads)
    points = check(problem, 4)
    assert any(k in (2, 4) for point in points for k in point.kept)
    assert {point.kept for point in points} <= {kept for kept, _ in networks(problem)}
    assert len(list(networks(problem))) == problem.subsets == global_front(problem).subsets


def test_confidences_may_depend_on_the_exits_before() -> None:
    problem = drawn(12)
    assert check(behind(problem), 4) != check(problem, 4)


def test_where_nothing_is_allowed_the_nearest_is_told() -> None:
    limits = FrontLimits(
        final_ratio=0.1, cost_ratio=0.01, figure="energy", worst_latency=0.1, memory=1.0, means={"edp": 0.1}
    )
    problem = replace(drawn(5), limits=limits)
    front = global_front(problem, 3)
    assert not front.points
    free = replace(problem, limits=FrontLimits())
    # Where all leave that ever do, costs are least.
    seen = [tried(free, kept, final, (-10.0,) * len(kept)) for kept, final in networks(free)]
    for name in ("final_ratio", "worst_latency", "memory"):
        assert front.least[name] == pytest.approx(min(one[name] for one in seen if one))
    assert front.least["edp"] == pytest.approx(min(one["edp"] for one in seen if one))
    least = min(one["energy"] for one in seen if one) / problem.static_costs["energy"]
    assert front.least["cost_ratio"] == pytest.approx(least)


def test_an_image_whose_confidence_is_no_number_never_leaves() -> None:
    problem = drawn(6)
    never = replace(problem, confidence=np.full_like(problem.confidence, np.nan))
    for point in check(never, 4):
        assert point.thresholds == (None,) * len(point.kept)


def test_most_blocks_are_never_swept() -> None:
    problem = drawn(4, 400)
    front = global_front(problem, 64)
    assert front.subsets == problem.subsets == 3 * 2 * 3 * 2
    assert front.swept < front.subsets * 64 / 4


@pytest.mark.parametrize("objectives", [("accuracy", "edp"), ("accuracy", "edp", "energy")])
def test_of_too_many_networks_some_are_looked_at_and_the_gap_is_told(objectives: tuple[str, ...]) -> None:
    problem = drawn(9, 30, objectives)
    front, whole = global_front(problem, 4, most_networks=6), global_front(problem, 4)
    assert whole.exact and not front.exact
    assert front.subsets == 6 and whole.subsets == problem.subsets
    for point in front.points:
        as_accurate = [one for one in whole.points if one.accuracy >= point.accuracy - 1e-9]
        ratios = [[one.figures[c] / point.figures[c] for c in objectives[1:]] for one in as_accurate]
        assert 1 - point.gap - 1e-9 <= min(max(ratio) for ratio in ratios) <= 1 + 1e-9
    assert max(point.gap for point in front.points) > 0.01
    # Neighbours of neighbours lead to all of the front.
    np.testing.assert_allclose(global_front(problem, 4, most_networks=35).values, whole.values)
