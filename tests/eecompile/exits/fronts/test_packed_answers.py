from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.exits.fronts import packed_answers
from eecompile.exits.fronts.front_problem import FrontProblem
from eecompile.exits.fronts.packed_answers import PackedAnswers, SubsetCandidates
from tests.eecompile.exits.fronts.test_subset_front import MOUNTS, behind, drawn, seen_by

FIGURES = ("edp", "latency")


def candidates(problem: FrontProblem, levels: int, count: int = 300) -> SubsetCandidates:
    rng = np.random.default_rng(1)
    options = [np.array([-1, *some[1:]], np.int64) for some in problem.options]
    exits = np.stack([some[rng.integers(len(some), size=count)] for some in options], axis=1)
    return SubsetCandidates(exits, rng.integers(0, levels, exits.shape), rng.integers(0, 2, count))


@pytest.mark.parametrize("images", [1, 64, 130])
@pytest.mark.parametrize("asking", [False, True])
def test_candidates_are_what_their_images_do_one_by_one(images: int, asking: bool) -> None:
    problem = behind(drawn(3, images)) if asking else drawn(3, images)
    answers = PackedAnswers(problem, FIGURES, 8)
    some = candidates(problem, answers.levels)
    found = answers.figures(some)
    costs = found.costs
    values = np.append(answers.ranked.values, -np.inf)
    for n in range(len(some)):
        kept = tuple(k for k in some.exits[n].tolist() if k >= 0)
        final = int(some.finals[n])
        confidences, right = seen_by(problem, kept, final)
        where = np.full(images, len(kept))
        for number, confidence in reversed(list(enumerate(confidences))):
            level = int(some.levels[n, MOUNTS[kept[number]]])
            lowest = values[answers.ranked.edges[level] - 1] if level else np.inf
            where[np.nan_to_num(confidence, nan=-np.inf) >= max(lowest, -1e9)] = number
        correct = np.stack(right)[where, np.arange(images)]
        counts = np.zeros(4, np.int64)
        np.add.at(counts, [*(MOUNTS[kept[w]] if w < len(kept) else 3 for w in where.tolist())], 1)
        assert found.leaving[n].tolist() == counts.tolist()
        assert found.right[n] == correct.sum()
        assert found.lost[n] == (problem.static & ~correct).sum()
        for figure, name in enumerate(FIGURES):
            paths = problem.costs[name].paths(kept, problem.mounts, final)
            assert costs[figure, n] == pytest.approx(paths[where].sum())
            assert found.paths[figure, n, -1] == pytest.approx(paths[-1])


def test_bits_are_counted_alike_without_the_function_of_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).integers(0, 2**63, (5, 3)).astype(np.uint64)
    found = packed_answers._ones(rows)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert packed_answers._ones(rows).tolist() == found.tolist()
    assert found.tolist() == [sum(bin(word).count("1") for word in row) for row in rows.tolist()]


def test_without_mounts_there_is_the_final_exit() -> None:
    problem = drawn(4)
    none: NDArray[np.float32] = np.zeros((0, problem.images), np.float32)
    costs = {
        name: replace(one, heads=one.heads[:0], stages=one.stages[-1:]) for name, one in problem.costs.items()
    }
    bare = replace(problem, confidence=none, correct=none.astype(bool), mounts=(), costs=costs)
    answers = PackedAnswers(bare, FIGURES)
    found = answers.figures(SubsetCandidates(np.zeros((2, 0), int), np.zeros((2, 0), int), np.array([0, 1])))
    assert found.leaving.tolist() == [[problem.images]] * 2
    assert found.right.tolist() == problem.finals.sum(axis=1).tolist()
    expected = [costs["edp"].paths((), (), final)[0] * problem.images for final in (0, 1)]
    assert found.costs[0] == pytest.approx(expected)
