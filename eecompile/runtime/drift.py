"""Where images leave, and whether that is still as it was when the network was compiled."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS = 1e-3
WINDOW = 1000


class DriftWarning(UserWarning):
    """Images leave elsewhere than when the network was compiled: accuracy and cost may not be those told."""


@dataclass(frozen=True)
class ExitCounts:
    """What a session has answered so far.

    Attributes:
        exits: Images that left at each exit.
        without_answer: Images whose logits held NaN; they are counted at the final exit, too.
        drifted: Windows in which more or fewer images left at some exit than the interval allows.
    """

    exits: tuple[int, ...]
    without_answer: int
    drifted: int

    @property
    def images(self) -> int:
        """All of them."""
        return sum(self.exits)


def interval(seen: int, of: int, images: int, chance: float) -> tuple[float, float]:
    """Return between which counts of ``images`` lie, if ``seen`` of ``of`` images were drawn like them.

    It holds the counts for which the z-test of two proportions, with the pooled share as variance, does not
    reject at level ``chance``: with S the sum of both counts and T of both numbers of images,
    (S - T·seen/of)² <= z² · S (T - S) · images / (of · T), a quadratic in S (this project).
    """
    z = NormalDist().inv_cdf(1 - chance / 2)
    total = of + images
    spread = z * z * images / (of * total)
    middle = 2 * seen * total / of + spread * total
    root = math.sqrt(max(0.0, middle * middle - 4 * (1 + spread) * (seen * total / of) ** 2))
    low, high = ((middle + sign * root) / (2 * (1 + spread)) - seen for sign in (-1, 1))
    return max(0.0, low), min(float(images), high)


class ExitWatch:
    """Counts exits, and compares windows of images with those of compile time; for many threads.

    Args:
        names: Names of the exits.
        seen: How many images left at each at compile time.
        window: Images after which the two are compared. A false alarm has a chance of 0.1 % per window.
    """

    def __init__(self, names: Sequence[str], seen: Sequence[int], window: int = WINDOW) -> None:
        self._names, self._seen, self._window = tuple(names), tuple(seen), window
        self._lock = threading.Lock()
        self._before, self._now = np.zeros((2, len(seen)), np.int64)
        self._waiting = self._without_answer = self._drifted = 0

    @property
    def counts(self) -> ExitCounts:
        """What was counted so far."""
        with self._lock:
            exits = tuple(int(count) for count in self._before + self._now)
            return ExitCounts(exits, self._without_answer, self._drifted)

    def add(self, left_at: NDArray[np.int64], without_answer: int) -> str:
        """Count exits; return what is to be warned of, empty if nothing is."""
        new = np.bincount(left_at, minlength=len(self._seen))
        with self._lock:
            self._now += new
            self._waiting += len(left_at)
            self._without_answer += without_answer
            if self._waiting < self._window:
                return ""
            window, self._now, self._waiting = self._now, np.zeros_like(self._now), 0
            self._before += window
            told = self._outside(window)
            self._drifted += bool(told)
        return told

    def _outside(self, window: NDArray[np.int64]) -> str:
        images, of = int(window.sum()), sum(self._seen)
        if not of:
            return ""
        for name, seen, count in zip(self._names, self._seen, window, strict=True):
            low, high = interval(seen, of, images, FALSE_ALARMS / len(self._seen))
            if not low <= count <= high:
                return (
                    f"{100 * count / images:.1f} % of the last {images} images left at '{name}', against "
                    f"{100 * seen / of:.1f} % of {of} when the network was compiled "
                    f"(expected: {100 * low / images:.1f} to {100 * high / images:.1f} %): "
                    "look at the images, and compile with images like them"
                )
        return ""
