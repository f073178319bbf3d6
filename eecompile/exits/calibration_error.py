"""How far probabilities are from how often they are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import wilson_interval

Float32 = NDArray[np.float32]
BINS = 10
"""Of diagrams and calibration errors. Of equal count: of a network that is mostly sure, bins of equal width
hold nearly all images in the last one, where errors of either sign cancel, and few in the others."""


@dataclass(frozen=True)
class Bin:
    """Images of about the same probability: how many, mean probability, share right and its 95 % bounds."""

    count: int
    sure: float
    right: float
    low: float
    high: float


def bins_of(probability: Float32, correct: NDArray[np.bool_], count: int = BINS) -> tuple[Bin, ...]:
    """Return bins of equal count by rising probability; fewer where equal probabilities stay together.

    Args:
        probability: That the answer is right, [N]; images without one (NaN) are left out.
        correct: Whether it is, [N].
        count: How many.
    """
    known = ~np.isnan(probability)
    sure, right = probability[known].astype(np.float64), correct[known]
    if not len(sure):
        return ()
    starts = np.arange(1, count) * len(sure) // count
    where = np.searchsorted(np.unique(np.sort(sure)[starts]), sure, side="right")
    found = []
    for number in np.unique(where):
        mine = where == number
        total, hits = int(mine.sum()), int(right[mine].sum())
        found.append(Bin(total, float(sure[mine].mean()), hits / total, *wilson_interval(hits, total)))
    return tuple(found)


def calibration_error(probability: Float32, correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, 0..1; NaN where no image has a probability.

    Sum over :func:`bins_of` of share of images times |mean probability - share of right answers|: ECE of Guo
    et al. 2017, with bins of equal count as in the adaptive form of Nixon et al. 2019.

    Args:
        probability: That the answer is right, [N]; images without one (NaN) are left out.
        correct: Whether it is, [N].
    """
    return error_of_bins(bins_of(probability, correct))


def error_of_bins(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error of bins that are known, 0..1; NaN without any."""
    if not bins:
        return float("nan")
    return sum(b.count * abs(b.right - b.sure) for b in bins) / sum(b.count for b in bins)
