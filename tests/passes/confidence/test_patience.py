"""Patience counts exits in a row that give the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.confidence import MARGIN, PATIENCE
from tests.passes.confidence.small_graph import Float32, computed, random_logits


def saying(*labels: int | None) -> Float32:
    """Return logits [N, 3] of these answers; ``None`` is NaN."""
    logits = np.zeros((len(labels), 3), np.float32)
    for row, label in zip(logits, labels, strict=True):
        row[0 if label is None else label] = np.nan if label is None else 1.0
    return logits


# One column per image: the answers of three exits, and by hand how many in a row agree with the last.
FIRST = saying(0, 0, 1, 0, None, 0, 0, None)
SECOND = saying(0, 1, 0, 1, 0, None, 0, None)
THIRD = saying(0, 1, 0, 0, 0, 0, None, 2)
BY_HAND = np.array([3, 2, 2, 1, 2, 1, np.nan, 1], np.float32)


def test_the_count_is_that_worked_out_by_hand() -> None:
    np.testing.assert_array_equal(PATIENCE.evaluate(THIRD, [FIRST, SECOND]), BY_HAND)
    np.testing.assert_array_equal(computed(PATIENCE, [FIRST, SECOND, THIRD]), BY_HAND)
    first = np.array([1, 1, 1, 1, np.nan, 1, 1, np.nan], np.float32)
    np.testing.assert_array_equal(PATIENCE.evaluate(FIRST), first)


@pytest.mark.parametrize("optimize", [True, False])
@settings(max_examples=20)
@given(seed=st.integers(0, 99), classes=st.integers(2, 5), exits=st.integers(1, 4))
def test_onnxruntime_counts_as_numpy_does(optimize: bool, seed: int, classes: int, exits: int) -> None:
    logits = random_logits(seed, 60, classes, exits)
    expected = PATIENCE.evaluate(logits[-1], logits[:-1])
    np.testing.assert_array_equal(computed(PATIENCE, logits, optimize), expected)


def test_answers_that_were_read_before_are_enough() -> None:
    own, *before = (PATIENCE.read(logits) for logits in (THIRD, FIRST, SECOND))
    assert own.tolist() == [0, 1, 0, 0, 0, 0, -1, 2]
    np.testing.assert_array_equal(PATIENCE.sure(own, before), BY_HAND)
    assert set(BY_HAND[~np.isnan(BY_HAND)]) <= set(PATIENCE.after(2))
    assert PATIENCE.after(2).tolist() == [1, 2, 3]


def test_a_rule_that_reads_no_exit_before_has_no_numbers_to_count() -> None:
    assert MARGIN.read(FIRST) is FIRST
    np.testing.assert_array_equal(MARGIN.sure(FIRST, [SECOND]), MARGIN.evaluate(FIRST))
    with pytest.raises(NotImplementedError, match="margin"):
        MARGIN.after(2)


def test_only_the_exits_that_are_there_count() -> None:
    assert PATIENCE.evaluate(THIRD, [FIRST]).tolist()[:4] == [2, 1, 1, 2]
    assert PATIENCE.evaluate(THIRD, [SECOND]).tolist()[:4] == [2, 2, 2, 1]
