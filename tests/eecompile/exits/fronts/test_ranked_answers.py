from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.fronts.front_problem import AskingExits
from eecompile.exits.fronts.ranked_answers import RankedAnswers
from tests.eecompile.exits.fronts.test_subset_front import behind, drawn


@pytest.mark.parametrize("asking", [False, True], ids=["alone", "by the exits before"])
def test_ranks_stand_for_confidences_and_blocks_for_ranks(asking: bool) -> None:
    problem = behind(drawn(3)) if asking else drawn(3)
    answers = RankedAnswers(problem, 5)
    confidence, right = problem.confidence_of((1, 2), 4), problem.correct[4]
    assert np.array_equal(confidence, problem.confidence[4], equal_nan=True) != asking
    seen = answers.exit((1, 2), 4)
    assert [one.rank.tolist() for one in answers.network((1, 2, 4))] == [
        one.rank.tolist() for one in (answers.exit((), 1), answers.exit((1,), 2), seen)
    ]
    expected = np.where(np.isnan(confidence), -np.inf, confidence)
    np.testing.assert_array_equal(answers.values[seen.rank], expected)
    np.testing.assert_array_equal(seen.kind, 2 * right + problem.static)
    np.testing.assert_array_equal(answers.final(1), 2 * problem.finals[1] + problem.static)
    for edge, behind_ranks in enumerate(answers.edges):
        np.testing.assert_array_equal(seen.block <= edge, seen.rank < behind_ranks)
    assert answers.edges[-1] == answers.count == np.isfinite(answers.values).sum()


def test_a_frequent_confidence_has_a_block_of_its_own() -> None:
    problem = drawn(3, 200)
    problem.confidence[:, ::3] = 0.95
    answers = RankedAnswers(problem, 6)
    rank = int(np.flatnonzero(answers.values == np.float32(0.95))[0])
    assert rank in answers.edges and rank + 1 in answers.edges
    assert not answers.wide[answers.edges.tolist().index(rank)]


def test_without_any_confidence_there_is_one_edge() -> None:
    problem = drawn(3)
    problem.confidence[:] = np.nan
    answers = RankedAnswers(problem, 4)
    assert answers.blocks == answers.count == 0
    assert (answers.exit((), 0).block == 1).all()


def test_confidences_that_depend_on_exits_before_have_edges_too() -> None:
    """Alone exits are all as sure as 1; edges lie between the numbers that they may reach together."""
    problem = drawn(3)
    problem.confidence[:] = 1
    counts = np.arange(1, 5, dtype=np.float32)
    asking = AskingExits(frozenset(range(5)), lambda before, _: counts[[len(before)] * 30], counts)
    answers = RankedAnswers(replace(problem, asking=asking), 8)
    assert answers.values.tolist() == [4, 3, 2, 1] and answers.edges.tolist() == [0, 1, 2, 3, 4]
    assert answers.exit((0, 2), 3).rank.tolist() == [1] * 30
