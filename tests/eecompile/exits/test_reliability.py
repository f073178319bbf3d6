"""How well probabilities tell before and after a temperature, and of a gate."""

from __future__ import annotations

from eecompile.exits.answers import Answers
from eecompile.exits.calibration_error import calibration_error
from eecompile.exits.confidence_fits import gate_of, temperature_of
from eecompile.exits.reliability import reliability
from passes.confidence import MAX_SOFTMAX
from passes.confidence.gate import LearnedGate
from tests.eecompile.exits.test_confidence_fits import drawn


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
