"""``preprocess=auto``: try the usual rules on some validation images and say which fits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import Images, Labels, evenly
from eecompile.data.preprocess import RULES, preprocesses, white_of
from eecompile.runtime.preprocess import Float32, Preprocess
from passes.errors import InputError

AUTO = "auto"
IMAGES_TRIED = 256
_NEAR_CHANCE = 0.1
_Z95 = 1.959963984540054

Predict = Callable[[Float32], NDArray[Any]]


@dataclass(frozen=True)
class PreprocessChoice:
    """The preprocessing taken, and what else was tried.

    Attributes:
        preprocess: The one taken.
        accuracy: Its accuracy (0..1) on ``images`` validation images.
        images: How many images it was tried on; those that it is clearly better than, on fewer.
        tried: Name and accuracy of each, in the order tried.
        warning: What is probably wrong if even the best is near chance; or which others may be right as well.
    """

    preprocess: Preprocess
    accuracy: float
    images: int
    tried: tuple[tuple[str, float], ...]
    warning: str | None = None


def choose_preprocess(
    spec: str | Preprocess, predict: Predict, x_val: Images, y_val: Labels, input_shape: tuple[int, ...]
) -> PreprocessChoice:
    """Return the preprocessing a user named, or the most accurate of the usual ones.

    ``auto`` tries every rule of `RULES` in each axis order that fits, then the best of them with the
    channels reversed; of equals the one tried first, the simpler, is taken. Always the same images,
    evenly spread over the validation set: some, and more while the best cannot be told apart from others.

    Args:
        spec: ``auto``, a rule, see `eecompile.data.preprocess.parse_rule`, or the one there is.
        predict: Model: float32 batch [N, …] → logits or probabilities [N, classes].
        x_val: Validation images as stored, [N, …].
        y_val: Their labels, [N].
        input_shape: Shape of the model's input with its batch axis.

    Raises:
        InputError: A rule that does not fit the images or the model.
    """
    trials = _Trials(predict, x_val, y_val)
    for candidate in _candidates(spec, x_val, input_shape):
        trials.add(candidate)
    best = trials.best.candidate
    channels = {"NCHW": input_shape[1], "NHWC": input_shape[-1], "flat": 1}[best.layout]
    if spec == AUTO and channels == 3:
        trials.add(replace(best, reverse_channels=True))
    trials.tell_apart()
    found = trials.best
    return PreprocessChoice(
        preprocess=found.candidate,
        accuracy=found.accuracy,
        images=len(found.right),
        tried=tuple((trial.candidate.name, trial.accuracy) for trial in trials.all),
        warning=_warning(spec, found) or trials.undecided(),
    )


@dataclass
class _Trial:
    """A candidate with its answers to the first images of the order they are looked at in."""

    candidate: Preprocess
    logits: NDArray[Any]
    labels: Labels

    @property
    def right(self) -> NDArray[np.bool_]:
        # NaN has no largest entry; such an image is answered wrongly.
        answered = np.isfinite(self.logits).all(axis=1)
        found: NDArray[np.bool_] = answered & (self.logits.argmax(axis=1) == self.labels)
        return found

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.right))


class _Trials:
    """Candidates, tried on some images; the best two on more of them while they cannot be told apart."""

    def __init__(self, predict: Predict, x_val: Images, y_val: Labels) -> None:
        self._predict, self._x, self._y = predict, x_val, y_val
        first = evenly(np.arange(len(y_val)), IMAGES_TRIED)
        rest = np.setdiff1d(np.arange(len(y_val)), first)
        # What is looked at later is evenly spread as well, however much of it that will be.
        self._order = np.concatenate([first, np.random.default_rng(0).permutation(rest)])
        self._first = len(first)
        self.all: list[_Trial] = []

    def add(self, candidate: Preprocess) -> None:
        index = self._order[: self._first]
        self.all.append(_Trial(candidate, self._ask(candidate, index), self._y[index]))

    def _ask(self, candidate: Preprocess, index: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._predict(candidate.apply(self._x[index])))

    @property
    def best(self) -> _Trial:
        """The most accurate of those tried on most images; the first, and simplest, of equals."""
        return max(self.all, key=lambda trial: (len(trial.labels), trial.accuracy))

    def _rivals(self) -> list[_Trial]:
        """Return those that the best cannot be told apart from, on the images that both were tried on."""
        best = self.best
        return [trial for trial in self.all if trial is not best and _alike(best, trial)]

    def tell_apart(self) -> None:
        """Try the best and its rivals on twice as many images, up to all, until there is no rival left."""
        while rivals := self._rivals():
            best = self.best
            level = all(len(rival.labels) == len(best.labels) for rival in rivals)
            wanted = min(len(best.labels) * (2 if level else 1), len(self._order))
            if level and wanted == len(best.labels):
                return
            for trial in [best, *rivals]:
                index = self._order[len(trial.labels) : wanted]
                if len(index):
                    trial.logits = np.concatenate([trial.logits, self._ask(trial.candidate, index)])
                    trial.labels = self._y[self._order[:wanted]]

    def undecided(self) -> str | None:
        """Return what to know of a choice that all validation images could not make."""
        best = self.best
        names = [f"{r.candidate.name!r} ({100 * r.accuracy:.1f} %)" for r in self._rivals()]
        if not names:
            return None
        return (
            f"preprocessing {best.candidate.name!r} ({100 * best.accuracy:.1f} %) was taken, but on all "
            f"{len(best.labels)} validation images it cannot be told apart from {', '.join(names)}; "
            "if you know which the model was trained with, say so with `preprocess`"
        )


def _alike(one: _Trial, other: _Trial) -> bool:
    """Whether the paired difference of two accuracies lies within its 95 % interval around 0.

    The interval is that of paired shares by the normal distribution. Two that are right on the same images
    need no telling apart.
    """
    count = min(len(one.labels), len(other.labels))
    right, rival = one.right[:count], other.right[:count]
    lost, gained = np.count_nonzero(right & ~rival), np.count_nonzero(rival & ~right)
    half = _Z95 * math.sqrt(max(lost + gained - (lost - gained) ** 2 / count, 0.0))
    return bool(lost + gained and abs(lost - gained) <= half)


def _candidates(spec: str | Preprocess, x: Images, input_shape: tuple[int, ...]) -> list[Preprocess]:
    if isinstance(spec, Preprocess):
        return [spec]
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


def _warning(spec: str | Preprocess, found: _Trial) -> str | None:
    """Return the likely cause if the accuracy is near that of always answering the most common class."""
    accuracy, labels = found.accuracy, found.labels
    chance = float(np.bincount(labels).max() / len(labels))
    if accuracy > chance + _NEAR_CHANCE * (1 - chance):
        return None
    text = (
        f"accuracy with preprocessing {found.candidate.name!r} is {100 * accuracy:.1f} % on {len(labels)} "
        f"validation images, near chance ({100 * chance:.1f} %)"
    )
    return f"{text}; likely cause: {_likely_cause(spec, found.logits, labels)}"


def _likely_cause(spec: str | Preprocess, logits: NDArray[Any], labels: Labels) -> str:
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
    if isinstance(spec, Preprocess):
        return "it has learnt little of these images"
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
