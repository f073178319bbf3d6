"""How well probabilities tell: worked out by hand, and before and after a temperature."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.answers import Answers
from eecompile.exits.confidence_fits import gate_of, temperature_of
from eecompile.exits.reliability import bins_of, calibration_error, reliability
from eecompile.exits.statistics import wilson_interval
from passes.confidence import MAX_SOFTMAX
from passes.confidence.gate import LearnedGate
from tests.eecompile.exits.test_confidence_fits import drawn


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


def test_a_temperature_of_val_makes_test_reliable() -> None:
    """Logits are three times too large."""
    (val, val_labels), (test, test_labels) = drawn(3.0, 4000), drawn(3.0, 4000, seed=1)
    seen = Answers((val,), val_labels, ()), Answers((test,), test_labels, ())
    found = reliability(MAX_SOFTMAX, 0, *seen)
    assert found["temperature_val"] == temperature_of(val, val_labels)
    before, after = found["calibration_error_test"]
    assert after < 0.03 and before > 0.2
    assert before == calibration_error(MAX_SOFTMAX.evaluate(test), test.argmax(axis=1) == test_labels)
    assert set(found) == {"temperature_val", "calibration_error_val", "calibration_error_test"}
    gate = gate_of(val, val_labels)
    of_gate = reliability(gate, 0, *seen)
    expected = calibration_error(gate.evaluate(test), test.argmax(axis=1) == test_labels)
    assert of_gate["calibration_error_gate_test"] == expected < 0.05
    assert reliability(LearnedGate(), 0, *seen) == found
