"""How well the probabilities of an exit tell how often it is right."""

from __future__ import annotations

from typing import Any

from eecompile.exits.answers import Answers, right
from eecompile.exits.calibration_error import calibration_error
from eecompile.exits.confidence_fits import temperature_of
from passes.confidence.gate import LearnedGate
from passes.confidence.probabilities import MaxSoftmax
from passes.confidence.rule import ConfidenceRule


def reliability(rule: ConfidenceRule, number: int, val: Answers, test: Answers) -> dict[str, Any]:
    """Return how well an exit knows how sure it may be, as it stands in ``run.json``.

    Of each pair the first is of the logits as they are, the second at the temperature that was fitted on val,
    whether the rule uses it or not.

    Args:
        rule: Its rule.
        number: Which exit.
        val: Answers on validation images.
        test: Answers on test images.
    """
    temperature = temperature_of(val.logits[number], val.labels)
    found: dict[str, Any] = {"temperature_val": temperature}
    for name, seen in (("val", val), ("test", test)):
        logits = seen.logits[number]
        correct = right(logits, seen.labels)
        sure = [MaxSoftmax(t).evaluate(logits) for t in (1.0, temperature)]
        found[f"calibration_error_{name}"] = [calibration_error(c, correct) for c in sure]
        if isinstance(rule, LearnedGate) and not rule.unfitted:
            found[f"calibration_error_gate_{name}"] = calibration_error(rule.evaluate(logits), correct)
    return found
