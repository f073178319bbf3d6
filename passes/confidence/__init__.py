"""Confidence rules: which there are, and how they are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from passes.confidence.gate import LearnedGate
from passes.confidence.patience import Patience
from passes.confidence.probabilities import Entropy, Margin, MaxSoftmax
from passes.confidence.rule import ConfidenceRule
from passes.errors import InputError, did_you_mean

__all__ = [
    "ENTROPY", "GATE", "MARGIN", "MAX_SOFTMAX", "PATIENCE", "RULES", "ConfidenceRule", "confidence_rule",
    "rule_with",
]  # fmt: skip

MAX_SOFTMAX, MARGIN, ENTROPY, PATIENCE, GATE = MaxSoftmax(), Margin(), Entropy(), Patience(), LearnedGate()

RULES: dict[str, ConfidenceRule] = {
    rule.name: rule for rule in (MAX_SOFTMAX, MARGIN, ENTROPY, PATIENCE, GATE)
}
_TEXT = re.compile(r"([^{}]*)(?:\{([^{}]*)\})?")
FIT = "fit"


def confidence_rule(text: str) -> ConfidenceRule:
    """Return the rule of a text: ``margin``, ``max_softmax{temperature=1.5}``, ``…{temperature=fit}``.

    Raises:
        InputError: A rule, parameter or value that is not known, with those that are.
    """
    found = _TEXT.fullmatch(text)
    name, written = (text, "") if found is None else (found[1], found[2] or "")
    parameters: dict[str, object] = {}
    for item in filter(None, written.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        try:
            parameters[key] = None if value == FIT else float(value)
        except ValueError:
            raise InputError(
                f"confidence rule '{name}': '{item.strip()}' is not name=number"
                + (f", nor name={FIT}" if equals else ""),
                f"example: max_softmax{{temperature=1.5}}, or {{temperature={FIT}}}",
            ) from None
    return rule_with(name, parameters)


def rule_with(name: str, parameters: Mapping[str, object]) -> ConfidenceRule:
    """Return the rule called ``name`` with parameters as JSON has them.

    Raises:
        InputError: A rule, parameter or value that is not known, with those that are.
    """
    if name not in RULES:
        raise InputError(f"unknown confidence rule '{name}'", did_you_mean(name, RULES))
    kind = type(RULES[name])
    known = [item.name for item in dataclasses.fields(kind)]
    for key in parameters:
        if key not in known:
            raise InputError(
                f"confidence rule '{name}' has no parameter '{key}'",
                f"known: {', '.join(known)}" if known else "it has none",
            )
    return kind(**parameters)
