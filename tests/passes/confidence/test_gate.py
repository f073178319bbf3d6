"""The gate: what it reads, and how it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from passes.confidence.gate import LearnedGate, features
from passes.errors import InputError
from tests.passes.confidence.small_graph import computed, random_logits


def test_features_are_those_worked_out_by_hand() -> None:
    logits = np.log(np.array([[0.1, 0.6, 0.1, 0.2], [0.25, 0.25, 0.25, 0.25]], np.float32))
    logs = np.log([0.6, 0.2, 0.1])
    quarter = np.log(0.25)
    expected = [[0.6, 0.2, 0.1, *logs, 0, 1, 0, 0], [0.25] * 3 + [quarter] * 3 + [1, 0, 0, 0]]
    np.testing.assert_allclose(features(logits), expected, rtol=1e-5, atol=1e-6)
    two = features(np.log(np.array([[0.3, 0.7]], np.float32)))
    np.testing.assert_allclose(two, [[0.7, 0.3, np.log(0.7), np.log(0.3), 0, 1]], rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_onnxruntime_computes_what_numpy_does(classes: int) -> None:
    rng = np.random.default_rng(classes)
    count = 2 * min(3, classes) + classes
    rule = LearnedGate(tuple(rng.normal(0, 1, count)))
    logits = random_logits(classes, 300, classes)
    found, expected = computed(rule, logits), rule.evaluate(logits[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)
    np.testing.assert_array_equal(np.isnan(expected), np.isnan(logits[0]).any(axis=1))
    assert len(np.unique(expected)) > 10


def test_of_equal_logits_the_first_is_the_answer_in_both() -> None:
    logits = np.zeros((1, 4), np.float32)
    rule = LearnedGate((0.0,) * 6 + (3.0, -3.0, -3.0, -3.0))
    assert rule.evaluate(logits) == computed(rule, [logits]) > 0.9


@pytest.mark.parametrize("count", [1, 15, 17])
def test_one_weight_per_feature(count: int) -> None:
    rule = LearnedGate((1.0,) * count)
    with pytest.raises(InputError, match=f"{count} weights, and 10 classes take 16"):
        rule.check(10)
    with pytest.raises(InputError, match="take 16"):
        rule.evaluate(np.zeros((1, 10), np.float32))
    LearnedGate((1.0,) * 16).check(10)
    LearnedGate().check(10)
