"""Intervals of accuracies and of paired accuracy drops; no random numbers, so runs repeat bit for bit.

Paired, an image is *lost* (static right, early-exit wrong), *gained* (the reverse) or unchanged. The
bootstrap redraws n images with replacement, so (lost, gained) of a redraw is multinomial with the
observed shares, and the distribution of their difference can be computed instead of simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

UPPER_QUANTILE = 0.90
_Z95 = 1.959963984540054
_BATCH = 256
# The Fourier transform rounds by about 1e-12: a cumulative probability this close to a quantile reaches it.
_TOLERANCE = 1e-9

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PairedDrop:
    """Accuracy of static minus that of the early-exit network on the same images, in points (percent)."""

    points: float
    lo95: float
    hi95: float


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval (Wilson 1927) of ``correct / total``, within 0..1.

    Raises:
        ValueError: No images, or counts that cannot be.
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"no accuracy from {correct} correct of {total}")
    share, z2 = correct / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high


def accuracy_interval(correct: Bools) -> tuple[float, float, float]:
    """Return accuracy and its 95 % Wilson interval (0..1) from correctness per image, shape [N]."""
    hits, total = int(np.count_nonzero(correct)), len(correct)
    low, high = wilson_interval(hits, total)
    return hits / total, low, high


def paired_drop(static: Bools, dynamic: Bools) -> PairedDrop:
    """Return the paired accuracy drop and its 95 % percentile bootstrap interval.

    Args:
        static: Whether the static network is right, per image, shape [N].
        dynamic: Whether the early-exit network is right, for the same images.

    Raises:
        ValueError: Not one entry per image in both, or no images.
    """
    if static.shape != dynamic.shape or static.ndim != 1 or len(static) == 0:
        raise ValueError(f"correctness of shapes {static.shape} and {dynamic.shape} cannot be paired")
    total = len(static)
    lost = np.array([np.count_nonzero(static & ~dynamic)], np.int64)
    gained = np.array([np.count_nonzero(dynamic & ~static)], np.int64)
    low, high = (int(bootstrap_quantile(total, lost, gained, share)[0]) for share in (0.025, 0.975))
    return PairedDrop(100 * float(lost[0] - gained[0]) / total, 100 * low / total, 100 * high / total)


@dataclass(frozen=True)
class PairedChange:
    """What a second network answers otherwise than a first, on the same images.

    Attributes:
        points: Accuracy of the second minus that of the first, in points.
        lo95: Lower end of the 95 % percentile bootstrap interval.
        hi95: Its upper end.
        gained: Images that only the second gets right.
        lost: Images that only the first gets right.
        p_value: Of McNemar's exact test: how likely it is that they are divided at least as unevenly, were
            both networks equally accurate.
    """

    points: float
    lo95: float
    hi95: float
    gained: int
    lost: int
    p_value: float


def paired_change(first: Bools, second: Bools) -> PairedChange:
    """Return how accuracy changes from a first network to a second.

    Args:
        first: Whether the first is right, per image, shape [N].
        second: Whether the second is right, for the same images.

    Raises:
        ValueError: Not one entry per image in both, or no images.
    """
    drop = paired_drop(first, second)
    gained, lost = (int(np.count_nonzero(part)) for part in (second & ~first, first & ~second))
    return PairedChange(-drop.points, -drop.hi95, -drop.lo95, gained, lost, mcnemar(gained, lost))


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's test in its exact form (binomial, McNemar 1947)."""
    count, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(count, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**count))


def bootstrap_quantile(total: int, lost: Counts, gained: Counts, quantile: float) -> Counts:
    """Return the quantile of lost - gained over bootstrap redraws, in images, for each pair of counts.

    The redrawn difference is a sum of ``total`` independent steps: +1 with probability lost/total, -1 with
    gained/total, else 0. Its characteristic function is that of one step to the power ``total``; one
    inverse Fourier transform over a window ten standard deviations wide each way gives its
    probabilities, and the quantile is the least value with at least that much mass at or below it.

    Args:
        total: Number of images.
        lost: Counts of lost images, shape [K].
        gained: Counts of gained images, shape [K]; lost + gained ≤ total.
        quantile: Between 0 and 1.

    Raises:
        ValueError: Counts that cannot be.
    """
    if np.any(lost < 0) or np.any(gained < 0) or np.any(lost + gained > total):
        raise ValueError(f"lost and gained must be at least 0 and together at most {total}")
    result = np.empty(len(lost), np.int64)
    # Pairs of similar spread share one window size.
    by_spread = np.argsort(lost + gained, kind="stable")
    for start in range(0, len(lost), _BATCH):
        part = by_spread[start : start + _BATCH]
        result[part] = _quantile_batch(total, lost[part], gained[part], quantile)
    return result


def _quantile_batch(total: int, lost: Counts, gained: Counts, quantile: float) -> Counts:
    spread = math.sqrt(float((lost + gained).max()))
    window = 1 << math.ceil(math.log2(20 * spread + 24))
    angle = 2 * np.pi * np.arange(window // 2 + 1) / window
    up, down = lost[:, None] / total, gained[:, None] / total
    step = (1 - up - down) + (up + down) * np.cos(angle) - 1j * (up - down) * np.sin(angle)
    # Differences lie cyclically in the window; turned so that its first entry is `first`.
    first = lost - gained - window // 2
    cyclic = np.fft.irfft(_power(step, total), window, axis=1)
    turn = (first[:, None] + np.arange(window)) % window
    mass_up_to = np.cumsum(np.take_along_axis(cyclic, turn, axis=1), axis=1)
    reached = np.argmax(mass_up_to >= quantile - _TOLERANCE, axis=1)
    found: Counts = first + reached
    return found


def _power(base: NDArray[np.complex128], exponent: int) -> NDArray[Any]:
    """Return ``base ** exponent`` by squaring, ten times as fast as NumPy's general complex power."""
    result = np.ones_like(base)
    while exponent:
        if exponent & 1:
            result *= base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


@dataclass(frozen=True)
class DropBound:
    """Upper bound of the paired accuracy drop from the counts of lost and gained images alone.

    The bound is the one-sided 90 % percentile bootstrap bound: the 0.90 quantile of the redrawn drop, the
    least value such that 90 % of the bootstrap's mass lies at or below it. It is computed exactly, not
    sampled, so it is the same on every run; each pair of counts is computed once, when it is first asked for.
    With nothing lost or gained it is 0, as a bootstrap cannot show what no image has shown.

    Attributes:
        total: Number of images.
        quantile: One-sided level, 0.90 in this project.
    """

    total: int
    quantile: float = UPPER_QUANTILE
    _known: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    def points(self, lost: int, gained: int) -> float:
        """Return the bound in points (percent) for one pair of counts.

        Raises:
            ValueError: Counts that cannot be.
        """
        return float(self.points_of(np.array([lost]), np.array([gained]))[0])

    def points_of(self, lost: NDArray[Any], gained: NDArray[Any]) -> NDArray[np.float64]:
        """Return the bound in points for arrays of counts, which broadcast.

        Raises:
            ValueError: Counts that cannot be.
        """
        pairs = np.broadcast_arrays(np.asarray(lost, np.int64), np.asarray(gained, np.int64))
        lost, gained = (pair.ravel() for pair in pairs)
        keys, back = np.unique(lost * (self.total + 1) + gained, return_inverse=True)
        if lost.size and (min(lost.min(), gained.min()) < 0 or (lost + gained).max() > self.total):
            raise ValueError(f"lost and gained must be at least 0 and together at most {self.total}")
        new = np.array([key for key in keys.tolist() if key not in self._known], np.int64)
        if len(new):
            images = bootstrap_quantile(self.total, *np.divmod(new, self.total + 1), self.quantile)
            self._known.update(zip(new.tolist(), images.tolist(), strict=True))
        bounds = np.array([self._known[key] for key in keys.tolist()], np.float64)
        points: NDArray[np.float64] = 100 * bounds[back] / self.total
        return points.reshape(pairs[0].shape)
