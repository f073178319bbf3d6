"""Rules on probabilities: numpy and onnxruntime agree, at every temperature and on what is no number."""

from __future__ import annotations

import numpy as np
import pytest

from passes.confidence.probabilities import Entropy, Margin, MaxSoftmax
from tests.passes.confidence.small_graph import computed, random_logits

KINDS = (MaxSoftmax, Margin, Entropy)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_onnxruntime_computes_what_numpy_does(
    kind: type[MaxSoftmax] | type[Margin] | type[Entropy], temperature: float, classes: int
) -> None:
    rule = kind(temperature)
    logits = random_logits(classes, 200, classes)
    found, expected = computed(rule, logits), rule.evaluate(logits[0])
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(expected), np.isnan(logits[0]).any(axis=1))
    assert 0 < np.isnan(expected).sum() < 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_temperature_divides_the_logits(kind: type[MaxSoftmax] | type[Margin] | type[Entropy]) -> None:
    logits = np.array([[2.0, 0.0, -1.0], [3.0, 2.9, 0.0]], np.float32)
    np.testing.assert_array_equal(kind(2.0).evaluate(logits), kind().evaluate(logits / np.float32(2)))
    assert (kind(2.0).evaluate(logits) < kind().evaluate(logits)).all(), "hotter is less sure"


def test_entropy_of_what_is_no_number_is_none() -> None:
    """A class without probability adds nothing; NaN is no such class (it was taken for one)."""
    logits = np.array([[0.0, -1e4], [np.nan, 0.0], [np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(Entropy().evaluate(logits), np.array([0.0, np.nan, np.nan], np.float32))
