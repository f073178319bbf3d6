"""The search of thresholds before branch and bound, to compare with: pair after pair, the others held."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.exits.allowed import first_allowed, neighbour_mean
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import (
    MAX_NEIGHBOURS,
    MAX_STEPS,
    NEIGHBOUR_SHARE,
    Choice,
    Limit,
    Observed,
    candidates,
    leaves_at,
)

Array = NDArray[Any]
Float64 = NDArray[np.float64]

_CHUNK_CELLS = 4_000_000
_EPSILON = 1e-9


def choose_in_pairs(observed: Observed, costs: Sequence[float], limit: Limit, rounds: int = 1000) -> Choice:
    """Return thresholds of which no pair can be changed for the better, or those after so many rounds.

    Args:
        observed: Answers on validation images.
        costs: Cost of the whole path to each exit, the final one included (any unit).
        limit: Allowed drop against the final exit.
        rounds: After so many of all pairs it stops.
    """
    early, total = observed.confidence.shape
    bound = DropBound(total)
    thresholds = [rule.never for rule in observed.rules]
    cost = float(costs[-1])
    if early == 0:
        return Choice((), cost)
    pairs = [(0, 0)] if early == 1 else list(itertools.combinations(range(early), 2))
    improved = True
    while improved and rounds > 0:
        improved, rounds = False, rounds - 1
        for first, second in pairs:
            surface = _Surface(observed, costs, thresholds, first, second)
            found = _search_pair(surface, limit, bound)
            if found is not None and found[0] < cost * (1 - 1e-12):
                cost, chosen_first, chosen_second = found
                thresholds[second] = chosen_second
                thresholds[first] = chosen_first
                improved = len(pairs) > 1
    return Choice(tuple(thresholds), cost)


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
        around = neighbour_mean(neighbour_mean(100.0 * (lost - gained) / total, reach, 0), reach, 1)
        own = slice(halo, halo + size)
        value = np.where(around <= limit.max_drop + _EPSILON, cost / total, np.inf)[own]
        # Cheap first: only points that could win are put before the bootstrap bound.
        ranking = np.argsort(value, axis=None, kind="stable")[: np.count_nonzero(np.isfinite(value))]
        counts = lost[own].ravel().astype(np.int64), gained[own].ravel().astype(np.int64)
        found = first_allowed(ranking, *counts, lambda *c: limit.allows(bound, *c))
        if found is not None:
            row, column = divmod(found, value.shape[1])
            if best is None or value[row, column] < best[0]:
                best = (float(value[row, column]), first[start + row], second[column])
    return best
