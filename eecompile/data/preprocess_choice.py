"""``preprocess=auto``: try the usual rules on some validation images and say which fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import Images, Labels, evenly
from eecompile.data.preprocess import RULES, Float32, Preprocess, preprocesses, white_of
from passes.errors import InputError

AUTO = "auto"
IMAGES_TRIED = 256
_NEAR_CHANCE = 0.1

Predict = Callable[[Float32], NDArray[Any]]


@dataclass(frozen=True)
class PreprocessChoice:
    """The preprocessing taken, and what else was tried.

    Attributes:
        preprocess: The one taken.
        accuracy: Its accuracy (0..1) on ``images`` validation images.
        images: How many images each was tried on.
        tried: Name and accuracy of each, in the order tried.
        warning: What is probably wrong if even the best is near chance.
    """

    preprocess: Preprocess
    accuracy: float
    images: int
    tried: tuple[tuple[str, float], ...]
    warning: str | None = None


def choose_preprocess(
    spec: str, predict: Predict, x_val: Images, y_val: Labels, input_shape: tuple[int, ...]
) -> PreprocessChoice:
    """Return the preprocessing a user named, or the most accurate of the usual ones.

    ``auto`` tries every rule of `RULES` in each axis order that fits, then the best of them with the
    channels reversed; of equals the one tried first, the simpler, is taken. Always the same images,
    evenly spread over the validation set.

    Args:
        spec: ``auto`` or a rule, see `eecompile.data.preprocess.parse_rule`.
        predict: Model: float32 batch [N, …] → logits or probabilities [N, classes].
        x_val: Validation images as stored, [N, …].
        y_val: Their labels, [N].
        input_shape: Shape of the model's input with its batch axis.

    Raises:
        InputError: A rule that does not fit the images or the model.
    """
    index = evenly(np.arange(len(y_val)), IMAGES_TRIED)
    x, labels = x_val[index], y_val[index]
    answers: list[tuple[float, Preprocess, NDArray[Any]]] = []

    def attempt(candidate: Preprocess) -> None:
        logits = np.asarray(predict(candidate.apply(x)))
        answers.append((_accuracy(logits, labels), candidate, logits))

    for candidate in _candidates(spec, x_val, input_shape):
        attempt(candidate)
    best = max(answers, key=lambda answer: answer[0])[1]
    channels = {"NCHW": input_shape[1], "NHWC": input_shape[-1], "flat": 1}[best.layout]
    if spec == AUTO and channels == 3:
        attempt(replace(best, reverse_channels=True))
    # `max` returns the first of equals.
    accuracy, best, logits = max(answers, key=lambda answer: answer[0])
    return PreprocessChoice(
        preprocess=best,
        accuracy=accuracy,
        images=len(labels),
        tried=tuple((candidate.name, value) for value, candidate, _ in answers),
        warning=_warning(spec, best, accuracy, logits, labels),
    )


def _candidates(spec: str, x: Images, input_shape: tuple[int, ...]) -> list[Preprocess]:
    if spec != AUTO:
        found = preprocesses(spec, x, input_shape)
        if not found:
            raise InputError(
                f"preprocessing {spec!r} does not fit images of shape {list(x.shape[1:])} "
                f"for a model that takes {list(input_shape[1:])}",
                "give one number, or one per channel of the model's input",
            )
        return found
    rules = list(RULES) if white_of(x) is not None else ["raw"]
    found = []
    for rule in rules:
        for candidate in preprocesses(rule, x, input_shape):
            # ``pixels`` on 0..255 is ``raw``, and ``unit`` on 0..1 is.
            if not any(replace(candidate, rule=other.rule) == other for other in found):
                found.append(candidate)
    if not found:
        raise InputError(
            f"images of shape {list(x.shape[1:])} cannot be fed to a model "
            f"that takes {list(input_shape[1:])}",
            "choose data of the kind the model was trained on",
        )
    return found


def _accuracy(logits: NDArray[Any], labels: Labels) -> float:
    # NaN has no largest entry; such an image is answered wrongly.
    answered = np.isfinite(logits).all(axis=1)
    return float(np.mean(answered & (logits.argmax(axis=1) == labels)))


def _warning(
    spec: str, best: Preprocess, accuracy: float, logits: NDArray[Any], labels: Labels
) -> str | None:
    """Return the likely cause if the accuracy is near that of always answering the most common class."""
    chance = float(np.bincount(labels).max() / len(labels))
    if accuracy > chance + _NEAR_CHANCE * (1 - chance):
        return None
    found = (
        f"accuracy with preprocessing {best.name!r} is {100 * accuracy:.1f} % on {len(labels)} validation "
        f"images, near chance ({100 * chance:.1f} %)"
    )
    return f"{found}; likely cause: {_likely_cause(spec, logits, labels)}"


def _likely_cause(spec: str, logits: NDArray[Any], labels: Labels) -> str:
    predictions = logits.argmax(axis=1)
    if not np.isfinite(logits).all():
        return "the model gives NaN or infinite values on these images"
    # Where predictions determine labels, but under other numbers, the classes are in another order.
    counts = np.zeros((logits.shape[1], int(labels.max()) + 1), int)
    np.add.at(counts, (predictions, labels), 1)
    purity = counts.max(axis=1).sum() / len(labels)
    enough = len(labels) >= 10 * logits.shape[1]
    if enough and purity >= 0.6 and np.count_nonzero(counts.any(axis=1)) > 1:
        return "the labels number the classes in another order than the model"
    if spec != AUTO:
        return "these images need another preprocessing (try `preprocess` auto)"
    if len(np.unique(predictions)) == 1:
        return (
            "the model answers every image alike, so its input range is another than the usual ones; "
            "give the one it was trained with: `preprocess` mean=…,std=…"
        )
    return (
        "the model was trained on other images or another preprocessing than the usual ones; "
        "give that one: `preprocess` mean=…,std=…"
    )
