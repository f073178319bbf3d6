"""The search of thresholds before branch and bound, to compare with: pair after pair, the others held."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.allowed import neighbour_mean
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Choice, Limit, Observed, Surface, leaves_at, search_pair

Float64 = NDArray[np.float64]


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
            rules = enumerate(observed.rules)
            held = [rule.never if n in (first, second) else thresholds[n] for n, rule in rules]
            otherwise = leaves_at(observed.confidence, held)
            found = search_pair(_Held(observed, costs, first, second, otherwise), limit, bound)
            if found is not None and found[0] < cost * (1 - 1e-12):
                cost, chosen_first, chosen_second = found
                thresholds[second] = chosen_second
                thresholds[first] = chosen_first
                improved = len(pairs) > 1
    return Choice(tuple(thresholds), cost)


class _Held(Surface):
    """Thresholds of one pair of exits, the others held; an exit not taken has neighbours as any has."""

    def around(self, drop: Float64) -> Float64:
        """Return the mean drop over neighbours."""
        return neighbour_mean(neighbour_mean(drop, self.near[0], 0), self.near[1], 1)
