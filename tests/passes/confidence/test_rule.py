"""Thresholds of a rule: which there are, and what others are turned into."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from passes.confidence import ENTROPY, MARGIN, MAX_SOFTMAX, PATIENCE, RULES
from passes.confidence.gate import LearnedGate
from passes.confidence.probabilities import MaxSoftmax
from passes.confidence.rule import ConfidenceRule


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_the_ends_of_the_range_are_thresholds_and_what_is_beyond_is_none(rule: ConfidenceRule) -> None:
    for threshold in (rule.low, rule.high, rule.never, rule.always):
        assert rule.wrong_threshold(float(threshold)) == ""
    for threshold in (rule.low - 1, rule.high + 0.5, rule.never + 1, np.nan, np.inf, -np.inf):
        assert f"those of {rule.name} are" in rule.wrong_threshold(float(threshold))


def test_a_rule_that_counts_has_whole_thresholds() -> None:
    assert PATIENCE.wrong_threshold(2.0) == ""
    assert "whole numbers" in PATIENCE.wrong_threshold(2.5)


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (MARGIN, 0.3, 0.3),
        (MARGIN, 1.0000001, 2.0),
        (MARGIN, -3.0, 0.0),
        (ENTROPY, 0.5, 1.0),
        (ENTROPY, -70.0, -64.0),
        (PATIENCE, 300.0, 256.0),
    ],
)
def test_thresholds_beyond_the_range_let_leave_whom_they_did(
    rule: ConfidenceRule, given: float, expected: float
) -> None:
    assert rule.bounded(given) == expected
    assert rule.wrong_threshold(rule.bounded(given)) == ""


def test_parameters_are_those_that_are_not_usual() -> None:
    assert MAX_SOFTMAX.parameters == {} == PATIENCE.parameters
    assert MaxSoftmax(1.5).parameters == {"temperature": 1.5}
    assert MaxSoftmax(None).parameters == {"temperature": None}
    gate = LearnedGate((1.0, 2.0))
    assert gate.parameters == {"weights": [1.0, 2.0]}
    assert (str(MaxSoftmax(1.5)), str(gate)) == ("max_softmax{temperature=1.5}", "gate")


def test_rules_are_values() -> None:
    assert MaxSoftmax(1.5) == dataclasses.replace(MAX_SOFTMAX, temperature=1.5) != MAX_SOFTMAX
    assert len({*RULES.values(), MaxSoftmax(), MaxSoftmax(2.0)}) == len(RULES) + 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        MAX_SOFTMAX.temperature = 2.0  # type: ignore[misc]
