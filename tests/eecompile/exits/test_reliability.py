"""How well probabilities tell: worked out by hand, and before and after a temperature."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.answers import Answers
from eecompile.exits.confidence_fits import gate_of, temperature_of
from eecompile.exits.reliability import calibration_error, reliability
from passes.confidence import MAX_SOFTMAX
from passes.confidence.gate import LearnedGate
from tests.eecompile.exits.test_confidence_fits import drawn


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([1.0, 1.0], [True, False], 0.5),
        ([0.9, 0.9, 0.5, 0.5], [True, True, True, False], 0.05),
        ([0.0, 1.0], [False, True], 0.0),
        ([0.62, 0.95], [True, False], 0.5 * 0.38 + 0.5 * 0.95),
        ([0.61, 0.65], [True, False], 0.5 * abs(0.61 + 0.65 - 1)),
        ([0.7, np.nan], [True, False], 0.3),
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
