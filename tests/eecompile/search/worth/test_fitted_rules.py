from __future__ import annotations

import numpy as np
import pytest

from eecompile.data.dataset import Split
from eecompile.exits.confidence_fits import GATE_IMAGES, gate_images, gate_of, temperature_of
from eecompile.search.worth.fitted_rules import fit_rules, rules_of_bytes, rules_to_bytes
from passes.confidence import ConfidenceRule, confidence_rule

RULES = [confidence_rule(text) for text in ("gate", "margin", "max_softmax{temperature=fit}", "patience")]


def drawn(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what two exits answer for 80 images, and what is right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 80)
    return [(np.eye(3)[labels] * k + rng.normal(0, 1, (80, 3))).astype(np.float32) for k in (1, 2)], labels


def test_each_exit_has_its_own_gate_of_training_images_and_its_own_temperature_of_val() -> None:
    (val, labels), (train, told) = drawn(0), drawn(1)
    found = fit_rules(RULES, val, labels, lambda: (train, told))
    assert list(found) == [RULES[0], RULES[2]], "the others lack nothing"
    assert found[RULES[0]] == tuple(gate_of(logits, told) for logits in train)
    assert found[RULES[0]] != tuple(gate_of(logits, labels) for logits in val)
    temperatures = [rule.temperature for rule in found[RULES[2]]]  # type: ignore[attr-defined]
    assert temperatures == [temperature_of(logits, labels) for logits in val]


def test_training_images_are_answered_only_for_gates() -> None:
    val, labels = drawn(0)

    def never() -> tuple[list[np.ndarray], np.ndarray]:
        raise AssertionError("no gate is asked for")

    assert list(fit_rules(RULES[1:], val, labels, never)) == [RULES[2]]
    assert fit_rules(RULES[3:], val, labels, never) == {}


def test_they_come_back_from_the_cache_bit_for_bit() -> None:
    (val, labels), train = drawn(0), drawn(1)
    found = fit_rules(RULES, val, labels, lambda: train)
    again = rules_of_bytes(rules_to_bytes(found), RULES)
    assert again == found and all(
        isinstance(rule, ConfidenceRule) for some in again.values() for rule in some
    )
    for one, other, logits in zip(again[RULES[2]], found[RULES[2]], val, strict=True):
        np.testing.assert_array_equal(one.evaluate(logits), other.evaluate(logits))
    with pytest.raises(ValueError, match="argument"):
        rules_of_bytes(rules_to_bytes(found), RULES[:1])


def test_gates_see_so_many_training_images_evenly() -> None:
    every = Split(np.zeros((2 * GATE_IMAGES, 1), np.uint8), np.arange(2 * GATE_IMAGES))
    some = gate_images(every)
    assert len(some) == GATE_IMAGES and some.y[0] == 0 and 1.9 < np.diff(some.y).mean() < 2.1
