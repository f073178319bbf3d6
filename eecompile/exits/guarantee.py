"""Thresholds with a promise: the accuracy drop exceeds the limit with probability at most delta.

Learn then test (Angelopoulos et al., arXiv 2110.01052) with a fixed sequence: one part of the validation
images chooses exits, heads and a path of thresholds from safe to bold; the other, which has chosen nothing,
tests them one after the other, and the first that fails ends it. Each test has a level of delta, and bolder
thresholds are accepted only behind all safer ones, so the first false acceptance happens with probability at
most delta, whatever the network (for images drawn like the validation images).

The drop is paired: an image is lost (static right, early-exit wrong, +1), gained (-1) or unchanged (0). What
the tests ask of it:

* ``binomial``: drop <= share of lost images, a mean of zeros and ones, so an exact binomial tail tests that
share
  against the limit. Gained images are given away.
* ``hoeffding-bentkus``: (1 + difference) / 2 lies in [0, 1] and has the mean (1 + drop) / 2, which is tested
  against (1 + limit) / 2 (Bates et al., arXiv 2101.02703). It knows nothing of the small spread of the
  differences.
* ``wsr``: the same loss, by betting (Waudby-Smith and Ramdas, arXiv 2010.09686): a wealth that no strategy
can
  make grow on average if the drop exceeds the limit, with bets fitted to the spread seen so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.thresholds import Observed, candidates, leaves_at

Thresholds = tuple[np.float32, ...]
Differences = NDArray[np.int64]

# The path goes to so many times the images that leave at thresholds chosen by the bootstrap bound, in so many
# steps. How far and how finely changes what is saved, never the promise.
BOLDEST, STEPS = 2.0, 40
# Where the limit is so many images, but fewer than the second, the binomial form accepts most.
_FEW_LOST = (5.0, 18.0)
# What bets begin with before any image was seen: unchanged images, and about one in 25 that is not.
_FIRST_MEAN, _FIRST_SPREAD = 0.5, 0.01


@dataclass(frozen=True)
class Tested:
    """What the images that choose nothing say of a path of thresholds.

    Attributes:
        path: The thresholds, from safe to bold.
        p_values: Of each that was tested: all accepted ones, and the first that failed if one did.
        accepted: How many of the path hold the promise, from the first on.
        test: Which of ``TESTS`` gave the p-values.
    """

    path: tuple[Thresholds, ...]
    p_values: tuple[float, ...]
    accepted: int
    test: str


def binomial(difference: Differences, limit: float) -> float:
    """Return the p-value of "the share of lost images is above ``limit``" (0..1): an exact binomial tail."""
    lost = int(np.count_nonzero(difference > 0))
    return binomial_tail(lost, len(difference), limit)


def hoeffding_bentkus(difference: Differences, limit: float) -> float:
    """Return the p-value of "the drop is above ``limit``" (0..1) by the bounds of Hoeffding and Bentkus."""
    total, mean, bound = len(difference), (1 + float(difference.mean())) / 2, (1 + limit) / 2
    below = min(mean, bound)
    exponent = total * (_cross(below, bound) + _cross(1 - below, 1 - bound))
    bentkus = math.e * binomial_tail(math.ceil(total * mean - 1e-9), total, bound)
    return min(1.0, math.exp(-exponent), bentkus)


def wsr(difference: Differences, limit: float, level: float = 0.1) -> float:
    """Return the p-value of "the drop is above ``limit``" (0..1) by betting against it, image by image.

    Args:
        difference: Of each image, in an order that has nothing to do with its value.
        limit: Of the drop, 0..1.
        level: Bets aim at this one; the p-value holds at any.
    """
    loss, bound, total = (1 + difference) / 2, (1 + limit) / 2, len(difference)
    number = np.arange(1, total + 1)
    mean = (_FIRST_MEAN + np.cumsum(loss)) / (number + 1)
    spread = (_FIRST_SPREAD + np.cumsum((loss - mean) ** 2)) / (number + 1)
    # A bet knows the images before its own only.
    before = np.concatenate([[_FIRST_SPREAD], spread[:-1]])
    most = 1 / (1 - bound) if bound < 1 else math.inf
    bets = np.minimum(np.sqrt(2 * math.log(1 / level) / (total * before)), 0.99 * most)
    wealth = np.cumsum(np.log1p(bets * (bound - loss)))
    return min(1.0, math.exp(-float(wealth.max(initial=0.0))))


# Name -> p-value of "the drop is above the limit" from differences and the limit.
TESTS: dict[str, Callable[[Differences, float], float]] = {
    "binomial": binomial,
    "hoeffding-bentkus": hoeffding_bentkus,
    "wsr": wsr,
}


def binomial_tail(count: int, total: int, share: float) -> float:
    """Return the probability that of ``total`` draws with probability ``share`` at most ``count`` succeed."""
    if count >= total or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    ways = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in range(count + 1)
    ]
    k = np.arange(count + 1)
    terms = np.array(ways) + k * math.log(share) + (total - k) * math.log1p(-share)
    return min(1.0, float(np.exp(terms).sum()))


def _cross(share: float, other: float) -> float:
    return 0.0 if share <= 0 else share * math.log(share / other)


def path_through(seen: Observed, thresholds: Sequence[np.float32]) -> tuple[Thresholds, ...]:
    """Return thresholds from safe to bold, along which as many times the images may leave at each exit.

    Args:
        seen: The images that choose.
        thresholds: Where once the images may leave: what these images make of the limit. An exit that they
            leave out stays left out.
    """
    steps = [candidates(c, rule) for c, rule in zip(seen.confidence, seen.rules, strict=True)]
    counts = [
        np.count_nonzero(row[None, :] >= values[:, None], axis=1)
        for row, values in zip(seen.confidence, steps, strict=True)
    ]
    chosen = [int(np.count_nonzero(row >= t)) for row, t in zip(seen.confidence, thresholds, strict=True)]
    path: dict[Thresholds, None] = {}
    for factor in np.linspace(0, BOLDEST, STEPS + 1)[1:]:
        found = []
        for number, rule in enumerate(seen.rules):
            if thresholds[number] == rule.never:
                found.append(rule.never)
                continue
            most = factor * chosen[number]
            found.append(np.float32(steps[number][np.searchsorted(counts[number], most, side="right") - 1]))
        path[tuple(found)] = None
    path.pop(tuple(rule.never for rule in seen.rules), None)
    return tuple(path)


def differences(seen: Observed, thresholds: Sequence[np.float32]) -> Differences:
    """Return +1 for each image that is lost, -1 for each that is gained, else 0, shape [n]."""
    where = leaves_at(seen.confidence, thresholds)
    dynamic = seen.correct[where, np.arange(len(where))]
    return seen.static_correct.astype(np.int64) - dynamic.astype(np.int64)


def form_for(images: int, max_drop: float) -> str:
    """Return which of ``TESTS`` accepts most, by how many images the limit is: known before any is looked at.

    Where they are few, giving gained images away costs little and the exact tail is the steadier one; where
    they are many, betting, which counts them, goes further; and where they are next to none, a little. The
    bounds are those of docs/results/threshold_guarantee.md.

    Args:
        images: How many test.
        max_drop: Allowed drop in points.
    """
    low, high = _FEW_LOST
    return "binomial" if low <= images * max_drop / 100 < high else "wsr"


def fixed_sequence(
    path: Sequence[Thresholds], held: Observed, max_drop: float, level: float, test: str
) -> Tested:
    """Test a path from safe to bold, up to the first that fails.

    Args:
        path: Thresholds that ``held`` had no part in.
        held: Images that chose nothing.
        max_drop: Allowed drop in points.
        level: Delta: the promise fails with this probability at most.
        test: Name of one of `TESTS`.
    """
    p_values: list[float] = []
    for thresholds in path:
        p_values.append(TESTS[test](differences(held, thresholds), max_drop / 100))
        if p_values[-1] > level:
            return Tested(tuple(path), tuple(p_values), len(p_values) - 1, test)
    return Tested(tuple(path), tuple(p_values), len(p_values), test)


def images_needed(max_drop: float, level: float) -> int:
    """Return how many images a test needs at least: with fewer it fails though none is lost (binomial)."""
    return math.ceil(math.log(level) / math.log1p(-max_drop / 100)) if max_drop < 100 else 1
