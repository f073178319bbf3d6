"""Parameters that images say: found where they are known, and right on images they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.exits.answers import Answers
from eecompile.exits.calibration_error import calibration_error
from eecompile.exits.confidence_fits import COLDEST, HOTTEST, fitted, gate_of, temperature_of
from passes.confidence import GATE, MARGIN, MAX_SOFTMAX, PATIENCE
from passes.confidence.gate import LearnedGate
from passes.confidence.probabilities import Entropy, MaxSoftmax
from tests.passes.confidence.small_graph import Float32

Labels = NDArray[np.int64]


def drawn(temperature: float, count: int, seed: int = 0) -> tuple[Float32, Labels]:
    """Return logits [count, 5] and labels of softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 5)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(temperature: float) -> None:
    logits, labels = drawn(temperature, 20_000)
    found = temperature_of(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    broken = np.vstack([logits, np.full((50, 5), np.nan, np.float32)])
    assert temperature_of(broken, np.append(labels, np.zeros(50, np.int64))) == found

    def loss(t: float) -> float:
        z = logits / t
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]))

    assert loss(found) < min(loss(0.98 * found), loss(1.02 * found)), "the likeliest, not one near it"


def test_temperatures_stay_within_bounds() -> None:
    sure = 4 * np.eye(3, dtype=np.float32)
    assert temperature_of(sure, np.arange(3)) == pytest.approx(COLDEST, rel=1e-5), "never wrong"
    assert temperature_of(sure, (np.arange(3) + 1) % 3) == pytest.approx(HOTTEST, rel=1e-5), "never right"


def test_a_gate_learns_which_answers_to_trust() -> None:
    """Of answers that look alike, those of class 0 are right half as often: held out, the gate knows that."""
    rng = np.random.default_rng(1)

    def made(count: int) -> tuple[Float32, Labels]:
        answer = rng.integers(0, 4, count)
        strength = rng.uniform(0.5, 4, count)
        logits = np.zeros((count, 4), np.float32)
        logits[np.arange(count), answer] = strength
        chance = strength / 4 * np.where(answer == 0, 0.5, 1.0)
        return logits, np.where(rng.random(count) < chance, answer, (answer + 1) % 4)

    gate = gate_of(*made(8000))
    logits, labels = made(8000)
    right = logits.argmax(axis=1) == labels
    sure = gate.evaluate(logits)
    assert calibration_error(sure, right) < 0.05 < calibration_error(MAX_SOFTMAX.evaluate(logits), right)
    of_first = sure[logits.argmax(axis=1) == 0].mean() / sure[logits.argmax(axis=1) != 0].mean()
    assert of_first == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("shift", [0, 1])
def test_gates_of_exits_that_are_always_right_or_wrong(shift: int) -> None:
    logits, _ = drawn(1.0, 500)
    gate = gate_of(logits, (logits.argmax(axis=1) + shift) % 5)
    sure = gate.evaluate(logits)
    assert (sure > 0.95).all() if shift == 0 else (sure < 0.05).all()


def test_only_what_lacks_parameters_is_fitted_and_training_images_are_asked_for_gates_alone() -> None:
    logits, labels = drawn(2.0, 500)
    other, others = drawn(1.0, 500, seed=9)
    val = Answers((logits,) * 4, labels, (MARGIN,) * 3)
    train = Answers((other,) * 4, others, (MARGIN,) * 3)
    calls: list[Answers] = []

    def asked() -> Answers:
        calls.append(train)
        return train

    known = (MARGIN, PATIENCE, MaxSoftmax(3.0), LearnedGate((1.0,) * 11))
    assert fitted(known, val, asked) == known and not calls
    found = fitted((Entropy(None), MARGIN, MaxSoftmax(None), PATIENCE), val, asked)
    hot = temperature_of(logits, labels)
    assert found == (Entropy(hot), MARGIN, MaxSoftmax(hot), PATIENCE) and not calls
    assert fitted((GATE, MARGIN, GATE, GATE), val, asked)[::2] == (gate_of(other, others),) * 2
    assert calls == [train], "once"
