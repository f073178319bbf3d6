"""What a choice of thresholds is: where images leave, what that costs, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.allowed import Allows, most_lost

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]

_EPSILON = 1e-9


@dataclass(frozen=True)
class ThresholdProblem:
    """Where images leave, what that costs and what is allowed.

    Attributes:
        rank: [exits - 1, n]: an image may leave at an early exit from step ``rank + 1`` on.
        steps: Last step of each early exit; at step 0 nothing leaves.
        cost: [exits] cost of the path to each exit.
        change: [exits, n] +1 where an exit is right and static wrong, -1 the reverse, else 0.
        allows: From (lost, gained), arrays of counts, to which of them are within the limit on the drop. More
            lost images are never allowed where fewer are not.
        amounts: [budgets, exits]: what an image that leaves at an exit takes of each budget.
        budgets: [budgets]: how much all images together may take.
        most_drop: Largest mean of lost - gained over neighbouring steps, in images.
        reach: How many steps to either side are neighbours.
    """

    rank: Ints
    steps: tuple[int, ...]
    cost: Float64
    change: Ints
    allows: Allows
    amounts: Float64
    budgets: Float64
    most_drop: float
    reach: int

    def where(self, point: tuple[int, ...]) -> Ints:
        """Return the exit at which each image leaves, [n]."""
        found = np.full(self.rank.shape[1], len(point), np.int64)
        for number in reversed(range(len(point))):
            found[self.rank[number] < point[number]] = number
        return found

    def total(self, point: tuple[int, ...]) -> float:
        """Return the cost of all images."""
        return float(self.cost[self.where(point)].sum())

    def lines(self, point: tuple[int, ...], number: int, values: Sequence[Float64]) -> list[Float64]:
        """Return sums over images of each of ``values`` [exits, n], for all steps of one exit."""
        where = self.where((*point[:number], 0, *point[number + 1 :]))
        images, last = np.arange(len(where)), self.steps[number]
        reached = np.flatnonzero((where > number) & (self.rank[number] < last))
        ranks = self.rank[number, reached]
        lines = []
        for value in values:
            stays = value[where, images]
            extra = np.bincount(ranks, value[number, reached] - stays[reached], minlength=last)
            lines.append(stays.sum() + np.concatenate([[0.0], np.cumsum(extra)]))
        return lines

    def neighbour_drop(self, point: tuple[int, ...]) -> float:
        """Return lost - gained, the mean over all neighbouring steps of the exits that are taken.

        Neighbours are a box around ``point``, so the share of them at which an image would leave at an exit
        is a product over exits: no neighbour is visited. An exit at step 0 is left out and has none.
        """
        staying = np.ones(self.rank.shape[1])
        mean = np.zeros_like(staying)
        for number, step in enumerate(point):
            if step == 0:
                continue
            low, high = max(0, step - self.reach), min(self.steps[number], step + self.reach)
            leaves = np.clip((high - self.rank[number]) / (high - low + 1), 0.0, 1.0)
            mean += staying * leaves * self.change[number]
            staying *= 1 - leaves
        mean += staying * self.change[-1]
        return -float(mean.sum())

    def most_lost(self) -> Ints:
        """Return for each count of gained images how many may be lost at most; -1: not even none."""
        gained, lost = (int(side.any(axis=0).sum()) for side in (self.change > 0, self.change < 0))
        return most_lost(self.allows, gained, lost)

    def is_allowed(self, point: tuple[int, ...]) -> bool:
        """Return whether a point keeps all limits."""
        where = self.where(point)
        change = self.change[where, np.arange(len(where))]
        lost, gained = np.array([np.sum(change < 0)]), np.array([np.sum(change > 0)])
        spent = self.amounts[:, where].sum(axis=1)
        return (
            bool(self.allows(lost, gained)[0])
            and bool((spent <= self.budgets * (1 + 1e-12) + _EPSILON).all())
            and self.neighbour_drop(point) <= self.most_drop + _EPSILON
        )
