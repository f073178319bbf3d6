"""Parameters of confidence rules that images have to say: temperatures, and the weights of gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.exits.answers import Answers, right
from passes.confidence.gate import LearnedGate, features
from passes.confidence.rule import ConfidenceRule

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
COLDEST, HOTTEST = 0.05, 20.0
"""Between these temperatures one is looked for: a network that is never wrong has none that is best."""
# A gate has few weights: more training images than this would only take time.
GATE_IMAGES = 10_000
_HALVINGS = 50
_RIDGE = 1e-4
_STEPS = 100
_SMALL = 1e-10


def fitted(
    rules: Sequence[ConfidenceRule], val: Answers, train: Callable[[], Answers]
) -> tuple[ConfidenceRule, ...]:
    """Return the rules of all exits, the final one included, with the parameters they lack.

    Temperatures are fitted on val, as is usual. A gate is fitted on training images: one that has seen val
    tells thresholds chosen there that exits are better than they are (`docs/results/confidence_rules.md`).

    Args:
        rules: One per exit.
        val: Answers on validation images.
        train: Gives the answers on training images; called if they are needed.
    """
    found = list(rules)
    learnt = train() if any(isinstance(rule, LearnedGate) and rule.unfitted for rule in rules) else val
    for number, rule in enumerate(rules):
        if rule.unfitted == "temperature":
            temperature = temperature_of(val.logits[number], val.labels)
            found[number] = replace(rule, temperature=temperature)  # type: ignore[call-arg]
        elif rule.unfitted:
            found[number] = gate_of(learnt.logits[number], learnt.labels)
    return tuple(found)


def gate_images(train: Split) -> Split:
    """Return the training images that gates are fitted on, evenly among all."""
    return Split(evenly(train.x, GATE_IMAGES), evenly(train.y, GATE_IMAGES))


def temperature_of(logits: Float32, labels: NDArray[np.int64]) -> float:
    """Return the T, within ``COLDEST`` and ``HOTTEST``, at which softmax(logits / T) is likeliest.

    The negative log-likelihood is convex in 1/T; its derivative, the mean over images of the expected logit
    minus that of the label, is halved down to 0. Images whose logits hold NaN are left out.

    Args:
        logits: [N, classes].
        labels: [N].
    """
    known = ~np.isnan(logits).any(axis=1)
    values = logits[known].astype(np.float64)
    values -= values.max(axis=1, keepdims=True, initial=-np.inf)
    wanted = values[np.arange(len(values)), labels[known]]
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        powers = np.exp(values * np.exp(middle))
        expected = (powers * values).sum(axis=1) / powers.sum(axis=1)
        if (expected - wanted).sum() < 0:
            low = middle
        else:
            high = middle
    return float(np.float32(np.exp(-(low + high) / 2)))


def gate_of(logits: Float32, labels: NDArray[np.int64]) -> LearnedGate:
    """Return the gate that tells best when the largest of ``logits`` is that of the label.

    Logistic regression by Newton's method on features of mean 0 and deviation 1, with a ridge of ``_RIDGE``
    per image on all weights, so that there is one solution whatever the images are.

    Args:
        logits: [N, classes].
        labels: [N].
    """
    known = np.isfinite(logits).all(axis=1)
    seen = features(logits[known]).astype(np.float64)
    correct = right(logits[known], labels[known]).astype(np.float64)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0)
    deviation[deviation < _SMALL] = 1.0
    scaled = np.column_stack([(seen - mean) / deviation, np.ones(len(seen))])
    weights = _newton(scaled, correct)
    slopes = weights[:-1] / deviation
    classes = logits.shape[1]
    slopes[-classes:] += weights[-1] - mean @ slopes  # one class is the answer, so its weight bears the rest
    return LearnedGate(tuple(float(w) for w in slopes))


def _newton(seen: Float64, correct: Float64) -> Float64:
    """Return the weights [features] of least loss plus ridge."""
    ridge = _RIDGE * len(seen)
    weights = np.zeros(seen.shape[1])
    for _ in range(_STEPS):
        found = 1 / (1 + np.exp(-np.clip(seen @ weights, -500, 500)))
        slope = seen.T @ (found - correct) + ridge * weights
        bend = (seen.T * (found * (1 - found))) @ seen + ridge * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < _SMALL:
            break
    return weights
