"""Choose thresholds: least expected cost such that the accuracy drop stays within bounds.

Thresholds only matter through which images leave where, so the candidates are the midpoints between
observed confidences: nothing lies between them. One and two exits are searched exhaustively (of more than
``MAX_STEPS`` midpoints of two exits every so many is taken, evenly in images); more exits, and further
budgets, by branch and bound, which says how far from the best it stopped.

As a threshold falls, the observed drop wanders upwards; where it dips back under the limit for a few
images is luck that a search would find and a test set would not repeat. So the limit must also hold
for the mean drop over neighbouring thresholds, of all exits at once. An exit that nothing leaves at
has no neighbours: whoever leaves it out does not have it. Nor have thresholds of a rule that counts,
which are few and far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.exits.allowed import cheapest_allowed, neighbour_mean
from eecompile.exits.branch_and_bound import solve
from eecompile.exits.budgets import Budget
from eecompile.exits.problem import ThresholdProblem
from eecompile.exits.statistics import DropBound
from passes.confidence import ConfidenceRule

Array = NDArray[Any]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_EPSILON = 1e-9
NEIGHBOUR_SHARE = 0.05
MAX_NEIGHBOURS = 32
MAX_STEPS = 1000
# Boxes a choice looks at: for three or four exits it then mostly is the best, and takes under a second.
MAX_NODES = 500


@dataclass(frozen=True)
class Observed:
    """What a network with exits answered for n validation images.

    Attributes:
        confidence: [exits - 1, n] float32 confidence at each early exit.
        correct: [exits, n] whether the answer at each exit is right.
        rules: Rule of the confidence at each early exit.
        static: [n] whether the static network is right; ``None``: it answers as the final exit does.
    """

    confidence: NDArray[np.float32]
    correct: Bools
    rules: tuple[ConfidenceRule, ...]
    static: Bools | None = None

    @property
    def static_correct(self) -> Bools:
        """What drops are against, [n]."""
        return self.correct[-1] if self.static is None else self.static

    def never(self) -> tuple[Array, Array]:
        """Return how many images are lost and gained where none leaves early, each as an array of one."""
        final, static = self.correct[-1], self.static_correct
        return np.array([(static & ~final).sum()]), np.array([(final & ~static).sum()])

    def select(self, kept: Sequence[int]) -> Observed:
        """Return the observations of the early exits ``kept`` and the final one."""
        rows = [*kept, len(self.correct) - 1]
        rules = tuple(self.rules[k] for k in kept)
        return Observed(self.confidence[list(kept)], self.correct[rows], rules, self.static)


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
        """Return which (lost, gained) counts, whole numbers of any type, are within the limit."""
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
        gap: No thresholds cost less by more than this share of ``cost``; 0: these are the best.
    """

    thresholds: tuple[np.float32, ...]
    cost: float
    gap: float = 0.0


def leaves_at(confidence: NDArray[np.float32], thresholds: Sequence[np.float32]) -> NDArray[np.int64]:
    """Return for each image the exit it leaves at: the first with confidence >= threshold, in float32."""
    count = confidence.shape[1]
    where = np.full(count, len(thresholds), np.int64)
    for number in reversed(range(len(thresholds))):
        where[confidence[number] >= np.float32(thresholds[number])] = number
    return where


def choose(
    observed: Observed,
    costs: Sequence[float],
    limit: Limit,
    bound: DropBound | None = None,
    max_nodes: int = MAX_NODES,
) -> Choice:
    """Return the thresholds of least mean cost within ``limit``.

    Args:
        observed: Answers on validation images.
        costs: Cost of the whole path to each exit, the final one included (any unit).
        limit: Allowed drop against static.
        bound: Bootstrap bound for that many images, shared between calls to save time.
        max_nodes: Boxes of thresholds that are looked at with more than two exits.

    Returns:
        The best thresholds. Where no image leaves early nothing is lost against the final exit, so there are
        some where that is static.

    Raises:
        ValueError: There are none: static is another network, and better by more than the limit.
    """
    found = choose_within(observed, costs, limit, (), bound, max_nodes)
    if found is None:
        raise ValueError("no thresholds hold the limit: ask `choose_within`")
    return found


def choose_within(
    observed: Observed,
    costs: Sequence[float],
    limit: Limit,
    budgets: Sequence[Budget],
    bound: DropBound | None = None,
    max_nodes: int = MAX_NODES,
) -> Choice | None:
    """Return the cheapest thresholds within ``limit`` and ``budgets``; ``None`` if none were found."""
    early, total = observed.confidence.shape
    bound = bound or DropBound(total)
    holds = observed.static is None or bool(limit.allows(bound, *observed.never()).all())
    if early == 0:
        kept = holds and all(budget.amounts[-1] <= budget.at_most + _EPSILON for budget in budgets)
        return Choice((), float(costs[-1])) if kept else None
    if budgets or early > 2:
        return _solved(observed, costs, limit, bound, budgets, max_nodes)
    never, cost = tuple(rule.never for rule in observed.rules), float(costs[-1])
    found = search_pair(Surface(observed, costs, 0, early - 1), limit, bound)
    if holds and (found is None or found[0] >= cost * (1 - 1e-12)):
        return Choice(never, cost)
    return None if found is None else Choice(found[1:][:early], found[0])


def least_of(observed: Observed, budget: Budget, limit: Limit, bound: DropBound | None = None) -> float:
    """Return the least mean that images can take of a budget within ``limit``, were it all that counts.

    Of what holds for every input it is the least amount that some exit lets none go beyond.
    """
    if not budget.of_every_input:
        found = choose_within(observed, budget.amounts, limit, (), bound)
        return budget.amounts[-1] if found is None else found.cost
    for most in sorted(set(budget.amounts)):
        alone = replace(budget, amounts=tuple(float(a > most) for a in budget.amounts), at_most=0.0)
        if choose_within(observed, alone.amounts, limit, (alone,), bound) is not None:
            return most
    return max(budget.amounts)


def _solved(
    observed: Observed,
    costs: Sequence[float],
    limit: Limit,
    bound: DropBound,
    budgets: Sequence[Budget],
    max_nodes: int,
) -> Choice | None:
    count, total = len(observed.rules), bound.total
    steps = [candidates(c, rule) for c, rule in zip(observed.confidence, observed.rules, strict=True)]
    last = tuple(len(values) - 1 for values in steps)
    box: list[tuple[int, int]] | None = [(0, end) for end in last]
    for budget in budgets:
        if budget.of_every_input and box is not None:
            box = _closed(box, last, budget)
    if box is None:
        return None
    problem = ThresholdProblem(
        rank=_ranks(observed.confidence, steps),
        steps=last,
        cost=np.asarray(costs, np.float64),
        change=observed.correct.astype(np.int64) - observed.static_correct,
        allows=lambda lost, gained: limit.allows(bound, lost, gained),
        amounts=np.array([b.amounts for b in budgets], np.float64).reshape(-1, count + 1),
        budgets=np.array([b.at_most * total for b in budgets], np.float64),
        most_drop=limit.max_drop / 100 * total,
        reach=0 if all(rule.whole for rule in observed.rules) else reach_of(total),
    )
    never = (0,) * count
    seeds = (never,) if all(low == 0 for low, _ in box) else ()
    found = solve(problem, seeds, tuple(box), max_nodes=max_nodes)
    if found.point is None:
        return None
    thresholds = tuple(values[step] for values, step in zip(steps, found.point, strict=True))
    return Choice(thresholds, found.total / total, found.gap)


def _closed(box: list[tuple[int, int]], last: Sequence[int], budget: Budget) -> list[tuple[int, int]] | None:
    """Return what of ``box`` keeps a budget for every input; ``None`` if every path takes some of it."""
    free = [k for k, amount in enumerate(budget.amounts) if amount <= budget.at_most]
    deepest = max(free, default=-1)
    if deepest < 0:
        return None
    kept = list(box)
    for number, end in enumerate(last):
        if number == deepest:
            kept[number] = (end, end)
        elif number not in free and number < deepest:
            kept[number] = (0, 0)
    return kept


def _ranks(confidence: NDArray[np.float32], steps: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    """Return how many candidates [exits - 1, n] an image does not reach at each exit, less one.

    A confidence that is not a number reaches none.
    """
    ranks = np.empty(confidence.shape, np.int64)
    for row, values, thresholds in zip(ranks, confidence, steps, strict=True):
        row[:] = np.searchsorted(-thresholds, -values, side="left") - 1
    return ranks


def reach_of(total: int) -> int:
    """Return how many candidates to either side are neighbours of a threshold, for so many images."""
    return min(MAX_NEIGHBOURS, round(NEIGHBOUR_SHARE * total))


def candidates(confidence: NDArray[np.float32], rule: ConfidenceRule) -> NDArray[np.float32]:
    """Return ``never``, then the midpoints between observed confidences, falling, then ``always``."""
    distinct = np.unique(confidence[~np.isnan(confidence)])[::-1]  # what is no number leaves at no threshold
    middle = ((distinct[:-1].astype(np.float64) + distinct[1:]) / 2).astype(np.float32)
    # A midpoint that rounds down onto its lower neighbour would let that one leave too.
    middle = np.where(middle <= distinct[1:], distinct[:-1], np.ceil(middle) if rule.whole else middle)
    return np.concatenate([[rule.never], middle, [rule.always]]).astype(np.float32)


class Surface:
    """Cost and drop of the network over both thresholds of two exits.

    Each image has three outcomes: it leaves at ``first``, at ``second``, or where it does otherwise; an exit
    behind that place cannot catch it any more. ``first == second``: one exit alone.

    Args:
        observed: Answers on validation images.
        costs: Cost of the whole path to each exit, the final one included.
        first: One exit.
        second: The other, behind it.
        otherwise: Number of the exit at which each image leaves else, [n]; the final one if not given.
    """

    def __init__(
        self,
        observed: Observed,
        costs: Sequence[float],
        first: int,
        second: int,
        otherwise: NDArray[np.int64] | None = None,
    ) -> None:
        self._observed = observed
        self._cost = np.asarray(costs, np.float64)
        self.total = observed.confidence.shape[1]
        rules = observed.rules
        self.near = [0 if rules[n].whole else reach_of(self.total) for n in (first, second)]
        # +1 gained, -1 lost against the static network
        self._change = observed.correct.astype(np.int64) - observed.static_correct.astype(np.int64)
        final = np.full(self.total, len(self._cost) - 1)
        self._otherwise = final if otherwise is None else otherwise
        self._base = self._change[self._otherwise, np.arange(self.total)]
        steps = candidates(observed.confidence[first], rules[first])
        if first == second:
            self.steps = steps, np.array([rules[second].never])
        else:
            seconds = candidates(observed.confidence[second], rules[second])
            self.steps = evenly(steps, MAX_STEPS), evenly(seconds, MAX_STEPS)
        self._effects = self._effect(first), self._effect(second)

    def _effect(self, number: int) -> tuple[NDArray[np.float32], Float64]:
        """Return confidence [n], and what leaving at exit ``number`` adds to (cost, lost, gained) [3, n]."""
        reached = number < self._otherwise
        # What is not a number never leaves.
        confidence = np.nan_to_num(self._observed.confidence[number], nan=-np.inf)
        change = self._change[number]
        added = self._cost[number] - self._cost[self._otherwise]
        moved = [(change == side).astype(np.float64) - (self._base == side) for side in (-1, 1)]
        return np.where(reached, confidence, np.float32(-np.inf)), np.where(
            reached, np.stack([added, *moved]), 0.0
        )

    def sums(self) -> Float64:
        """Return (cost, lost, gained) [3, steps of first, steps of second], summed over images.

        An image leaves at ``first`` from one step on, and at ``second`` from one of its steps on where it is
        there: effects are counted at these corners, and added up along both axes.
        """
        shape = len(self.steps[0]), len(self.steps[1])
        begins = [
            np.searchsorted(-steps, -confidence, side="left")
            for steps, (confidence, _) in zip(self.steps, self._effects, strict=True)
        ]
        both = (begins[0] < shape[0]) & (begins[1] < shape[1])
        corners = begins[0][both] * shape[1] + begins[1][both]
        staying = [float((self._base == side).sum()) for side in (-1, 1)]
        leaving = np.bincount(self._otherwise, minlength=len(self._cost))
        base = [float((leaving * self._cost).sum()), *staying]
        found = np.empty((3, *shape))
        for at, (start, first, second) in enumerate(
            zip(base, self._effects[0][1], self._effects[1][1], strict=True)
        ):
            # Those that are not at the second any more count at the first alone.
            gone = np.bincount(corners, second[both], shape[0] * shape[1]).reshape(shape)
            left = _up_to(begins[1], second, shape[1]) - np.cumsum(gone, axis=0)
            np.cumsum(left, axis=1, out=found[at])
            found[at] += start + np.cumsum(_up_to(begins[0], first, shape[0]))[:, None]
        return found

    def around(self, drop: Float64) -> Float64:
        """Return the mean drop over neighbours; in the first row and column no exit is taken."""
        around = neighbour_mean(neighbour_mean(drop, self.near[0], 0), self.near[1], 1)
        around[:, :1] = neighbour_mean(drop[:, :1], self.near[0], 0)
        around[:1] = neighbour_mean(drop[:1], self.near[1], 1)
        around[0, 0] = drop[0, 0]
        return around


def _up_to(begins: NDArray[np.int64], effect: Float64, count: int) -> Float64:
    """Return what effects add that begin at each of ``count`` steps."""
    return np.bincount(begins, effect, count + 1)[:count].astype(np.float64)


def search_pair(
    surface: Surface, limit: Limit, bound: DropBound
) -> tuple[float, np.float32, np.float32] | None:
    """Return mean cost and both thresholds of the cheapest allowed point, or None."""
    total, (first, second) = surface.total, surface.steps
    cost, lost, gained = surface.sums()
    around = surface.around(100.0 * (lost - gained) / total)
    among = (around <= limit.max_drop + _EPSILON).ravel()
    value, counts = cost.ravel() / total, (lost.ravel(), gained.ravel())
    # Only points that could win are put before the bootstrap bound.
    found = cheapest_allowed(value, among, *counts, lambda *c: limit.allows(bound, *c))
    if found is None:
        return None
    row, column = divmod(found, len(second))
    return float(value[found]), first[row], second[column]
