from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits import global_threshold
from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.allowed import Allows
from eecompile.exits.global_threshold import (
    GlobalProblem,
    GlobalSolution,
    check_independent,
    solve_global,
)
from passes.confidence import MAX_SOFTMAX
from passes.confidence.patience import Patience
from passes.errors import InputError

MOUNTS = (0, 0, 1, 2, 2)
LIMITS: dict[str, Allows] = {
    "difference": lambda lost, gained: lost - gained <= 2,
    "lost only": lambda lost, gained: lost <= 3 + 0 * gained,
    "bent": lambda lost, gained: lost - gained + np.sqrt(lost + gained) <= 3,
}


def drawn(seed: int, images: int = 40, limit: str = "difference", parts: int = 2) -> GlobalProblem:
    rng = np.random.default_rng(seed)
    right = rng.random((len(MOUNTS) + 2, images)) < np.linspace(0.5, 0.9, len(MOUNTS) + 2)[:, None]
    # A coarse grid of confidences, so that ties occur, between images and between exits.
    confidence = np.round(0.5 * rng.random((len(MOUNTS), images)) + 0.4 * right[:-2], 1).astype(np.float32)
    confidence[rng.random(confidence.shape) < 0.03] = np.nan
    costs = AdditiveCosts(*(rng.random((count, parts)) + 0.1 for count in (4, len(MOUNTS), 2)))
    return GlobalProblem(
        confidence, right[:-2], MOUNTS, right[-2:], right[-1] ^ (rng.random(images) < 0.05), costs,
        LIMITS[limit], 2.0, 1,
    )  # fmt: skip


def tried(
    problem: GlobalProblem, kept: tuple[int, ...], final: int, threshold: float
) -> tuple[float, int, int]:
    """Return mean cost, lost and gained images of a network, image by image."""
    paths, total, lost, gained = problem.costs.paths(kept, problem.mounts, final), 0.0, 0, 0
    if problem.exact is not None:
        paths = np.array(problem.exact(kept, final))
    for image in range(len(problem.static)):
        leaves = [n for n, k in enumerate(kept) if problem.confidence[k, image] >= np.float32(threshold)]
        at = min(leaves, default=len(kept))
        right = (problem.correct[kept[at]] if at < len(kept) else problem.finals[final])[image]
        total += paths[at]
        lost += bool(problem.static[image] and not right)
        gained += bool(right and not problem.static[image])
    return total / len(problem.static), lost, gained


def brute_force(problem: GlobalProblem) -> float:
    best = np.inf
    for chosen in itertools.product(*problem.options):
        kept = tuple(k for k in chosen if k is not None)
        if problem.reads is not None and any(problem.reads[k] not in (None, *kept) for k in kept):
            continue
        seen = problem.confidence[list(kept)]
        values = [np.inf, *np.unique(seen[~np.isnan(seen)])[::-1]]
        for final in range(2):
            points = [tried(problem, kept, final, value) for value in values]
            for step, (cost, lost, gained) in enumerate(points):
                near = points[max(0, step - problem.reach) : step + problem.reach + 1] if step else points[:1]
                around = np.mean([one[1] - one[2] for one in near])
                if (
                    problem.allows(np.array([lost]), np.array([gained]))[0]
                    and around <= problem.most_drop + 1e-9
                ):
                    best = min(best, cost)
    return best


def check(problem: GlobalProblem, found: GlobalSolution) -> None:
    threshold = np.inf if found.threshold is None else float(found.threshold)
    cost, lost, gained = tried(problem, found.kept, found.final, threshold)
    assert cost == pytest.approx(found.cost) == pytest.approx(brute_force(problem))
    assert problem.allows(np.array([lost]), np.array([gained]))[0]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from(sorted(LIMITS)), st.integers(1, 9), st.integers(1, 2))
def test_the_best_network_and_threshold_are_found(seed: int, limit: str, blocks: int, parts: int) -> None:
    problem = drawn(seed, 20, limit, parts)
    if np.isinf(brute_force(problem)):
        with pytest.raises(InputError, match="no network and no threshold"):
            solve_global(problem, blocks)
    else:
        check(problem, solve_global(problem, blocks))


def test_all_subsets_are_counted_and_most_are_not_swept() -> None:
    problem = drawn(4, 300)
    found = solve_global(problem)
    assert problem.subsets == 3 * 2 * 3 * 2
    assert found.swept < problem.subsets
    narrow = solve_global(problem, 200)
    assert (narrow.cost, narrow.kept) == (found.cost, found.kept)


def test_prefixes_are_bounded_like_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many mounts are walked at once, and however bits are counted."""
    whole = solve_global(drawn(7, 70))
    monkeypatch.setattr(global_threshold, "_WIDTH", 3)
    assert solve_global(drawn(7, 70)) == whole
    bytes_ = global_threshold._BYTES
    monkeypatch.setattr(np, "bitwise_count", lambda words: bytes_[words.view(np.uint8)], raising=False)
    assert solve_global(drawn(7, 70)) == whole


def test_costs_that_are_not_sums_are_asked_for_and_held_against_them() -> None:
    problem = drawn(2, 30)

    def exact(kept: tuple[int, ...], final: int) -> list[float]:
        return [cost * (1.5 if 3 in kept else 1.01) for cost in problem.costs.paths(kept, MOUNTS, final)]

    dearer = replace(problem, exact=exact)
    check(dearer, solve_global(dearer))
    with pytest.raises(ValueError, match="less than the sum of its parts"):
        solve_global(replace(problem, exact=lambda kept, _: [0.0] * (len(kept) + 1)))


def test_an_exit_that_reads_another_comes_only_with_it() -> None:
    problem = replace(drawn(11, 30), reads=(None, None, 0, None, 2))
    found = solve_global(problem)
    check(problem, found)
    assert all(problem.reads[k] in (None, *found.kept) for k in found.kept)  # type: ignore[index]


def test_rules_that_look_at_other_exits_are_refused() -> None:
    check_independent([MAX_SOFTMAX])
    with pytest.raises(InputError, match="'patience'"):
        check_independent([MAX_SOFTMAX, Patience()])


def test_wrong_problems_are_refused() -> None:
    problem = drawn(0)
    with pytest.raises(ValueError, match="shallow to deep"):
        replace(problem, mounts=(1, 0, 1, 2, 2))
    with pytest.raises(ValueError, match="less than nothing"):
        replace(problem, costs=replace(problem.costs, heads=-problem.costs.heads))
