"""Choose thresholds: least expected cost such that the accuracy drop stays within bounds.

Thresholds only matter through which images leave where, so the candidates are the midpoints between
observed confidences: nothing lies between them. One and two exits are searched exhaustively; with
more, every pair in turn is, the others held, until no pair gets better. Of more than ``MAX_STEPS``
midpoints every so many is taken, evenly in images, so that the time of a pair does not grow with the
square of the validation set.

As a threshold falls, the observed drop wanders upwards; where it dips back under the limit for a few
images is luck that a search would find and a test set would not repeat. So the limit must also hold
for the mean drop over neighbouring thresholds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.exits.statistics import DropBound
from passes.confidence import ConfidenceRule

Array = NDArray[Any]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CHUNK_CELLS = 4_000_000
_EPSILON = 1e-9
NEIGHBOUR_SHARE = 0.05
MAX_NEIGHBOURS = 32
MAX_STEPS = 1000


@dataclass(frozen=True)
class Observed:
    """What a network with exits answered for n validation images.

    Attributes:
        confidence: [exits - 1, n] float32 confidence at each early exit.
        correct: [exits, n] whether the answer at each exit is right; the last row is the static network.
        rules: Rule of the confidence at each early exit.
    """

    confidence: NDArray[np.float32]
    correct: Bools
    rules: tuple[ConfidenceRule, ...]

    def select(self, kept: Sequence[int]) -> Observed:
        """Return the observations of the early exits ``kept`` and the final one."""
        rows = [*kept, len(self.correct) - 1]
        rules = tuple(self.rules[k] for k in kept)
        return Observed(self.confidence[list(kept)], self.correct[rows], rules)


@dataclass(frozen=True)
class Limit:
    """How much accuracy may be lost, in points.

    Attributes:
        max_drop: Largest drop.
        optimistic: Whether the plain estimate must stay within it, not the upper 90 % bootstrap bound.
    """

    max_drop: float
    optimistic: bool

    def __str__(self) -> str:
        kind = "estimated drop" if self.optimistic else "upper 90 % bound of the drop"
        return (
            f"the {kind} on val (and the mean drop over neighbouring thresholds) within "
            f"{self.max_drop:g} points"
        )

    def allows(self, bound: DropBound, lost: Array, gained: Array) -> Bools:
        """Return which (lost, gained) counts are within the limit."""
        plain = 100.0 * (lost - gained) / bound.total
        allowed: Bools = plain <= self.max_drop + _EPSILON
        if self.optimistic or not allowed.any():
            return allowed
        allowed[allowed] = bound.points_of(lost[allowed], gained[allowed]) <= self.max_drop + _EPSILON
        return allowed


@dataclass(frozen=True)
class Choice:
    """Chosen thresholds and their cost.

    Attributes:
        thresholds: One per early exit; ``never`` of its rule: the exit is not worth having.
        cost: Mean cost, in the unit of the costs given.
    """

    thresholds: tuple[np.float32, ...]
    cost: float


def leaves_at(confidence: NDArray[np.float32], thresholds: Sequence[np.float32]) -> NDArray[np.int64]:
    """Return for each image the exit it leaves at: the first with confidence >= threshold, in float32."""
    count = confidence.shape[1]
    where = np.full(count, len(thresholds), np.int64)
    for number in reversed(range(len(thresholds))):
        where[confidence[number] >= np.float32(thresholds[number])] = number
    return where


def choose(
    observed: Observed, costs: Sequence[float], limit: Limit, bound: DropBound | None = None
) -> Choice:
    """Return the thresholds of least mean cost within ``limit``.

    Args:
        observed: Answers on validation images.
        costs: Cost of the whole path to each exit, the final one included (any unit).
        limit: Allowed drop against the final exit.
        bound: Bootstrap bound for that many images, shared between calls to save time.

    Returns:
        The best thresholds; where no image leaves early nothing is lost, so there always are some.
    """
    early, total = observed.confidence.shape
    bound = bound or DropBound(total)
    thresholds = [rule.never for rule in observed.rules]
    cost = float(costs[-1])
    if early == 0:
        return Choice((), cost)
    pairs = [(0, 0)] if early == 1 else list(itertools.combinations(range(early), 2))
    improved = True
    while improved:
        improved = False
        for first, second in pairs:
            surface = _Surface(observed, costs, thresholds, first, second)
            found = _search_pair(surface, limit, bound)
            if found is not None and found[0] < cost * (1 - 1e-12):
                cost, chosen_first, chosen_second = found
                thresholds[second] = chosen_second
                thresholds[first] = chosen_first
                improved = len(pairs) > 1
    return Choice(tuple(thresholds), cost)


def choose_sparing(
    observed: Observed, costs: Sequence[float], limit: Limit, bound: DropBound | None = None
) -> Choice:
    """Return the thresholds of least mean cost within ``limit`` for exits that all stay, taken or not.

    Thresholds near that of an exit which errs on every image let too much be lost, and so would forbid all
    thresholds of the others. So where :func:`choose` leaves an exit out, it is also asked with one exit less
    that may be taken, as long as that pays.

    Args:
        observed: Answers on validation images.
        costs: Cost of the whole path to each exit, the final one included (any unit).
        limit: Allowed drop against the final exit.
        bound: Bootstrap bound for that many images.
    """
    best = choose(observed, costs, limit, bound)
    taken = list(range(len(best.thresholds)))
    while len(taken) > 1 and any(best.thresholds[k] == observed.rules[k].never for k in taken):
        fewer = [[k for k in taken if k != left_out] for left_out in taken]
        choices = [
            choose(observed.select(kept), [*(costs[k] for k in kept), costs[-1]], limit, bound)
            for kept in fewer
        ]
        cheapest = min(range(len(fewer)), key=lambda number: choices[number].cost)
        if choices[cheapest].cost >= best.cost:
            break
        taken = fewer[cheapest]
        thresholds = [rule.never for rule in observed.rules]
        for k, threshold in zip(taken, choices[cheapest].thresholds, strict=True):
            thresholds[k] = threshold
        best = Choice(tuple(thresholds), choices[cheapest].cost)
    return best


def candidates(confidence: NDArray[np.float32], rule: ConfidenceRule) -> NDArray[np.float32]:
    """Return ``never``, then the midpoints between observed confidences, falling, then ``always``."""
    distinct = np.unique(confidence)[::-1]
    middle = ((distinct[:-1].astype(np.float64) + distinct[1:]) / 2).astype(np.float32)
    # A midpoint that rounds down onto its lower neighbour would let that one leave too.
    middle = np.where(middle <= distinct[1:], distinct[:-1], middle)
    return np.concatenate([[rule.never], middle, [rule.always]]).astype(np.float32)


class _Surface:
    """Cost and drop of the network over both thresholds of one pair of exits, the others held.

    Each image has three outcomes: it leaves at ``first``, at ``second``, or where the held thresholds
    send it; an exit behind that place cannot catch it any more. ``first == second``: one exit alone.
    """

    def __init__(
        self, observed: Observed, costs: Sequence[float], held: Sequence[np.float32], first: int, second: int
    ) -> None:
        self._observed = observed
        self._cost = np.asarray(costs, np.float64)
        self.total = observed.confidence.shape[1]
        rules = observed.rules
        others = [rules[n].never if n in (first, second) else t for n, t in enumerate(held)]
        self._fallback = leaves_at(observed.confidence, others)
        # +1 gained, -1 lost against the static network
        self._change = observed.correct.astype(np.int64) - observed.correct[-1].astype(np.int64)
        self._base = self._change[self._fallback, np.arange(self.total)]
        self._confidence, self._first = self._effect(first)
        alone = first == second
        steps = candidates(observed.confidence[first], rules[first])
        self.steps = (steps if alone else evenly(steps, MAX_STEPS)), np.array([rules[second].never])
        confidence, second_effect = self._effect(second)
        if not alone:
            seconds = candidates(observed.confidence[second], rules[second])
            self.steps = self.steps[0], evenly(seconds, MAX_STEPS)
        # Sorted by falling confidence, the images that leave at second are a prefix; its end per step.
        self._order = np.argsort(-confidence, kind="stable")
        self._ends = np.searchsorted(-confidence[self._order], -self.steps[1], side="right")
        self._second = second_effect[:, self._order]

    def _effect(self, number: int) -> tuple[NDArray[np.float32], Float64]:
        """Return confidence [n], and what leaving at exit ``number`` adds to (cost, lost, gained) [3, n]."""
        reached = number < self._fallback
        confidence = np.where(reached, self._observed.confidence[number], np.float32(-np.inf))
        change = self._change[number]
        added = np.stack(
            [
                self._cost[number] - self._cost[self._fallback],
                (change == -1).astype(np.float64) - (self._base == -1),
                (change == 1).astype(np.float64) - (self._base == 1),
            ]
        )
        return confidence, np.where(reached, added, 0.0)

    def rows(self, start: int, stop: int) -> Float64:
        """Return (cost, lost, gained) [3, rows, steps of second], summed over images."""
        leaves = self._confidence[None, :] >= self.steps[0][start:stop, None]
        stays = ~leaves[:, self._order]
        base = [self._cost[self._fallback].sum(), (self._base == -1).sum(), (self._base == 1).sum()]
        sums = []
        for start_value, first, second in zip(base, self._first, self._second, strict=True):
            prefix = np.zeros((len(leaves), self.total + 1))
            np.cumsum(stays * second, axis=1, out=prefix[:, 1:])
            sums.append(start_value + (leaves @ first)[:, None] + prefix[:, self._ends])
        return np.stack(sums)


def _search_pair(
    surface: _Surface, limit: Limit, bound: DropBound
) -> tuple[float, np.float32, np.float32] | None:
    """Return mean cost and both thresholds of the cheapest allowed point, or None."""
    total, (first, second) = surface.total, surface.steps
    best: tuple[float, np.float32, np.float32] | None = None
    reach = min(MAX_NEIGHBOURS, round(NEIGHBOUR_SHARE * total))
    size = max(2 * reach + 1, _CHUNK_CELLS // (total + 1))
    for start in range(0, len(first), size):
        halo = min(reach, start)  # neighbours of the first rows
        cost, lost, gained = surface.rows(start - halo, start + size + reach)
        around = _neighbour_mean(_neighbour_mean(100.0 * (lost - gained) / total, reach, 0), reach, 1)
        own = slice(halo, halo + size)
        value = np.where(around <= limit.max_drop + _EPSILON, cost / total, np.inf)[own]
        # Cheap first: only points that could win are put before the bootstrap bound.
        ranking = np.argsort(value, axis=None, kind="stable")[: np.count_nonzero(np.isfinite(value))]
        counts = lost[own].ravel().astype(np.int64), gained[own].ravel().astype(np.int64)
        found = _first_allowed(ranking, *counts, limit, bound)
        if found is not None:
            row, column = divmod(found, value.shape[1])
            if best is None or value[row, column] < best[0]:
                best = (float(value[row, column]), first[start + row], second[column])
    return best


def _neighbour_mean(values: Float64, reach: int, axis: int) -> Float64:
    """Return the mean over up to ``reach`` neighbours on either side along ``axis``, fewer at the ends."""
    count = values.shape[axis]
    sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
    low = np.maximum(np.arange(count) - reach, 0)
    high = np.minimum(np.arange(count) + reach + 1, count)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    result: Float64 = (sums.take(high, axis) - sums.take(low, axis)) / (high - low).reshape(shape)
    return result


def _first_allowed(ranking: Array, lost: Array, gained: Array, limit: Limit, bound: DropBound) -> int | None:
    """Return the first cell of ``ranking`` within the limit, looking at growing pieces of it."""
    start, size = 0, 1024
    while start < len(ranking):
        piece = ranking[start : start + size]
        allowed = limit.allows(bound, lost[piece], gained[piece])
        if allowed.any():
            return int(piece[int(np.argmax(allowed))])
        start, size = start + size, size * 4
    return None
