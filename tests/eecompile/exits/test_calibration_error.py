"""Bins and calibration errors, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.calibration_error import bins_of, calibration_error
from eecompile.exits.statistics import wilson_interval


def test_bins_hold_equal_counts_by_rising_probability() -> None:
    probability = np.array([0.9, 0.5, 0.6, 0.8], np.float32)
    correct = np.array([True, False, True, False])
    low, high = bins_of(probability, correct, 2)
    assert (low.count, high.count) == (2, 2)
    assert [low.sure, high.sure] == pytest.approx([0.55, 0.85])
    assert low.right == high.right == 0.5
    assert (low.low, low.high) == wilson_interval(1, 2)
    rng = np.random.default_rng(0)
    assert [b.count for b in bins_of(rng.random(1000, np.float32), rng.random(1000) < 0.5)] == [100] * 10


def test_equal_probabilities_stay_together_and_those_without_are_left_out() -> None:
    probability = np.array([1, 1, 1, 1, 1, 0.5, np.nan, np.nan], np.float32)
    found = bins_of(probability, np.ones(8, bool), 4)
    assert [b.count for b in found] == [1, 5]
    assert bins_of(np.full(3, np.nan, np.float32), np.ones(3, bool)) == ()


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([1.0, 1.0], [True, False], 0.5),
        ([0.9, 0.9, 0.5, 0.5], [True, True, True, False], 0.05),
        ([0.0, 1.0], [False, True], 0.0),
        ([0.62, 0.95], [True, False], 0.5 * 0.38 + 0.5 * 0.95),
        ([0.7, np.nan], [True, False], 0.3),
        # Errors of either sign, close to each other but in bins of their own, do not cancel.
        ([0.98] * 10 + [0.99] * 10, [True] * 10 + [True] * 9 + [False], 0.5 * 0.02 + 0.5 * 0.09),
    ],
)
def test_calibration_error_by_hand(confidence: list[float], correct: list[bool], error: float) -> None:
    found = calibration_error(np.array(confidence, np.float32), np.array(correct))
    assert found == pytest.approx(error, abs=1e-6)


def test_without_any_confidence_there_is_no_error_to_tell() -> None:
    assert np.isnan(calibration_error(np.full(2, np.nan, np.float32), np.array([True, False])))
