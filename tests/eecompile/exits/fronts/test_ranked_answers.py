from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.fronts.ranked_answers import RankedAnswers
from tests.eecompile.exits.fronts.test_subset_front import behind, drawn


@pytest.mark.parametrize("pairs", [False, True], ids=["alone", "by the exit before"])
def test_ranks_stand_for_confidences_and_blocks_for_ranks(pairs: bool) -> None:
    problem = behind(drawn(3)) if pairs else drawn(3)
    answers = RankedAnswers(problem, 5)
    confidence, right = (problem.confidence[4], problem.correct[4])
    if problem.after is not None:
        confidence, right = problem.after(1, 4)
    seen = answers.exit(1, 4)
    expected = np.where(np.isnan(confidence), -np.inf, confidence)
    np.testing.assert_array_equal(answers.values[seen.rank], expected)
    np.testing.assert_array_equal(seen.kind, 2 * right + problem.static)
    last = problem.finals[1] if problem.after is None else problem.after(2, 6)[1]
    np.testing.assert_array_equal(answers.final(2, 1), 2 * last + problem.static)
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
    assert (answers.exit(None, 0).block == 1).all()
