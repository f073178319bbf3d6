"""Best thresholds of many exits at once, with a bound that says how far from the best they can be.

A node is a box: for each exit a range of steps, where step j lets the j most confident values leave. In a
box an image surely leaves at an exit (its rank is below the range), surely does not, or may. What is
bounded from below is the Lagrangian: the cost of the exit where an image leaves, plus prices for accuracy
lost and for each further budget. Let every image choose freely among the exits open to it, and the sum is
a bound. It is sharpened by one exit at a time: there the images have to leave in the order of their
confidence, so the bound becomes a function of the step of that exit; steps above the best known cost are cut
off the box before it is split. Boxes with the least bound come first (Land and Doig 1960; Geoffrion 1974).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.problem import ThresholdProblem

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[tuple[int, int], ...]

# Prices are these times the mean cost of one image.
_PRICES = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, 51)])
_GAIN_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
_DIVES = 40
_LINE_STEPS = 100
# Steps of each of two exits that are tried together, and how often each pair of exits is.
_GRID = 200
_PAIR_ROUNDS = 20


@dataclass(frozen=True)
class ThresholdSolution:
    """The best point found.

    Attributes:
        point: A step per early exit; None: there is none within the limits, or none was found.
        total: Its cost over all images; infinite without a point.
        bound: No allowed point costs less.
        nodes: How many boxes were looked at.
    """

    point: tuple[int, ...] | None
    total: float
    bound: float
    nodes: int

    @property
    def gap(self) -> float:
        """How much less the best point could cost, as a share of this one; 0: it is the best."""
        if self.point is None:
            return 0.0 if np.isinf(self.bound) else 1.0
        return max(0.0, (self.total - self.bound) / abs(self.total)) if self.total else 0.0


def solve(
    problem: ThresholdProblem,
    seeds: tuple[tuple[int, ...], ...] = (),
    box: Box | None = None,
    gap: float = 0.0,
    max_nodes: int = 2000,
    below: float = float("inf"),
) -> ThresholdSolution:
    """Return the cheapest allowed point.

    Args:
        problem: What is searched.
        seeds: Points to begin with.
        box: First and last step per exit; all if absent.
        gap: Stop where no point can be better by more than this share of the cost.
        max_nodes: Stop after so many boxes; the gap of the solution then says what is left.
        below: Only points that cost less are sought; without one the bound is this at most.
    """
    box = box or tuple((0, last) for last in problem.steps)
    return _Search(problem, gap, box, below).run(box, seeds, max_nodes)


class _Search:
    def __init__(self, problem: ThresholdProblem, gap: float, box: Box, below: float) -> None:
        self._problem = problem
        self._gap = gap
        self._box = box
        self._best: tuple[int, ...] | None = None
        self._total = below
        self._most_lost = problem.most_lost()
        self._largest_drop = float((self._most_lost - np.arange(len(self._most_lost))).max())
        self._costs = np.broadcast_to(problem.cost[:, None], problem.change.shape)
        self._lost, self._gained = (
            (problem.change < 0).astype(np.float64),
            (problem.change > 0).astype(np.float64),
        )
        self._unit = float(np.abs(problem.cost).mean()) or 1.0
        self._priced_values: dict[tuple[int, ...], tuple[Float64, float]] = {}

    @property
    def _cutoff(self) -> float:
        slack = self._gap * abs(self._total) if np.isfinite(self._total) else 0.0
        return self._total - max(slack, 1e-12 * abs(self._total) if np.isfinite(self._total) else 0.0)

    def run(self, box: Box, seeds: tuple[tuple[int, ...], ...], max_nodes: int) -> ThresholdSolution:
        for point in seeds:
            self._offer(point)
        prices = (0, len(_PRICES) // 2, *(0 for _ in self._problem.budgets))
        self._climb_prices(box, prices)
        count = itertools.count()
        queue: list[tuple[float, int, Box, tuple[int, ...]]] = [(-np.inf, next(count), box, prices)]
        nodes, pruned = 0, np.inf
        while queue and nodes < max_nodes:
            bound, _, box, prices = heapq.heappop(queue)
            if bound >= self._cutoff:
                pruned = min(pruned, bound)
                break
            nodes += 1
            prices = self._best_prices(box, prices)
            looked = self._look(box, bound, prices)
            if looked.bound >= self._cutoff:
                pruned = min(pruned, looked.bound)
                continue
            if nodes <= _DIVES or nodes % 50 == 0:
                self._dive(looked.rounded, box, prices)
            if looked.split is None:
                self._offer(tuple(low for low, _ in looked.box))
                continue
            number, middle = looked.split
            low, high = looked.box[number]
            for part in ((low, middle), (middle + 1, high)):
                child = (*looked.box[:number], part, *looked.box[number + 1 :])
                heapq.heappush(queue, (looked.bound, next(count), child, prices))
        bound = min(self._total, pruned, *(item[0] for item in queue), np.inf)
        total = self._total if self._best is not None else float("inf")
        return ThresholdSolution(self._best, total, float(bound), nodes)

    def _offer(self, point: tuple[int, ...]) -> bool:
        if not all(low <= step <= high for step, (low, high) in zip(point, self._box, strict=True)):
            return False
        total = self._problem.total(point)
        if total >= self._total * (1 - 1e-12) and np.isfinite(self._total):
            return False
        if not self._problem.is_allowed(point):
            return False
        self._best, self._total = point, total
        return True

    def _priced(self, prices: tuple[int, ...]) -> tuple[Float64, float]:
        """Return value per exit and image [exits, n], and what all prices together give back.

        Lost images cost a price, gained ones give back a share of it: the most that lost - share * gained
        can be within the limit is known, whatever its shape. ``prices`` are places in the lists of the
        share, of that price and of the price of each budget.
        """
        if prices not in self._priced_values:
            problem = self._problem
            share, price = _GAIN_SHARES[prices[0]], _PRICES[prices[1]] * self._unit
            further = _PRICES[list(prices[2:])] * self._unit
            most = float((self._most_lost - share * np.arange(len(self._most_lost))).max())
            path = problem.cost + further @ problem.amounts
            change = np.where(problem.change < 0, 1.0, -share * (problem.change > 0))
            value = path[:, None] + price * change
            self._priced_values[prices] = value, price * most + float(further @ problem.budgets)
        return self._priced_values[prices]

    def _best_prices(self, box: Box, prices: tuple[int, ...]) -> tuple[int, ...]:
        """Climb from ``prices`` to some with a better bound of the box, each in turn."""
        sizes = [len(_GAIN_SHARES)] + [len(_PRICES)] * (len(prices) - 1)
        best = self._free_choice(box, prices)
        for number, size in enumerate(sizes):
            for step in (1, -1):
                moved = False
                while 0 <= prices[number] + step < size:
                    trial = (*prices[:number], prices[number] + step, *prices[number + 1 :])
                    bound = self._free_choice(box, trial)
                    if bound <= best:
                        break
                    best, prices, moved = bound, trial, True
                if moved:
                    break
        return prices

    def _free_choice(self, box: Box, prices: tuple[int, ...]) -> float:
        """Return the bound of a box when every image may choose among the exits open to it."""
        value, free = self._priced(prices)
        left = value[-1]
        for number in reversed(range(len(box))):
            low, high = box[number]
            rank = self._problem.rank[number]
            left = np.where(rank < high, np.minimum(left, value[number]), left)
            left = np.where(rank < low, value[number], left)
        return float(left.sum()) - free

    def _look(self, box: Box, bound: float, prices: tuple[int, ...]) -> _Looked:
        """Bound a box, cut off what cannot be better, and say where to split what is left."""
        rank, (value, free) = self._problem.rank, self._priced(prices)
        count = len(box)
        ranges = list(box)
        low, high = (np.array([r[side] for r in box])[:, None] for side in (0, 1))
        sure, open_ = rank < low, rank < high
        after = np.empty((count + 1, rank.shape[1]))
        after[count] = value[-1]
        for number in reversed(range(count)):
            reached = np.where(open_[number], np.minimum(after[number + 1], value[number]), after[number + 1])
            after[number] = np.where(sure[number], value[number], reached)
        before = np.full(rank.shape[1], np.inf)
        alive = np.ones(rank.shape[1], bool)
        base = float(after[0].sum()) - free
        bound = max(bound, base)
        rounded = []
        split, most = None, 0.0
        for number in range(count):
            first, last = ranges[number]
            unsure = np.flatnonzero(alive & open_[number] & ~sure[number])
            if first < last:
                here = np.minimum(before[unsure], value[number, unsure])
                there = np.minimum(before[unsure], after[number + 1, unsure])
                extra = np.bincount(rank[number, unsure] - first, here - there, minlength=last - first)
                # Before the first step all unsure images stay.
                start = base + float((there - np.minimum(here, there)).sum())
                at_step = start + np.concatenate([[0.0], np.cumsum(extra)])
                good = np.flatnonzero(at_step < self._cutoff)
                if not len(good):
                    return _Looked(float(max(bound, at_step.min())), box, None, ())
                ranges[number] = (first + int(good[0]), first + int(good[-1]))
                bound = max(bound, float(at_step.min()))
                rounded.append(first + int(at_step.argmin()))
                weight = np.bincount(
                    rank[number, unsure] - first, np.abs(here - there), minlength=last - first
                )[int(good[0]) : int(good[-1])]
                total = float(weight.sum())
                if ranges[number][0] < ranges[number][1] and (split is None or total > most):
                    at = int(np.searchsorted(np.cumsum(weight), total / 2)) if total else len(weight) // 2
                    at = min(at, len(weight) - 1)
                    split, most = (number, ranges[number][0] + at), total
            else:
                rounded.append(first)
            seen = alive & open_[number]
            before = np.where(seen, np.minimum(before, value[number]), before)
            alive &= ~sure[number]
        return _Looked(bound, tuple(ranges), split, tuple(rounded))

    def _dive(self, point: tuple[int, ...], box: Box, prices: tuple[int, ...]) -> None:
        """Look for better points near one: by prices along each exit, then within the limits."""
        point = self._descend(point, box, self._priced(prices)[0])
        self._offer(point)
        self._within_limits(point)

    def _descend(self, point: tuple[int, ...], box: Box, value: Float64) -> tuple[int, ...]:
        for _ in range(10):
            before = point
            for number, (low, high) in enumerate(box):
                line = self._problem.lines(point, number, [value])[0][low : high + 1]
                point = (*point[:number], low + int(line.argmin()), *point[number + 1 :])
            if point == before:
                break
        return point

    def _climb_prices(self, box: Box, prices: tuple[int, ...]) -> None:
        """Start with thresholds that are best for some price of accuracy, from dear to cheap."""
        point = tuple(low for low, _ in box)
        for price in reversed(range(len(_PRICES))):
            point = self._descend(point, box, self._priced((prices[0], price, *prices[2:]))[0])
            self._offer(point)
        if self._best is not None:
            self._within_limits(self._best)
            self._in_pairs()

    def _best_on_line(self, point: tuple[int, ...], number: int) -> bool:
        """Offer the cheapest steps of one exit, the others held; True if one of them was better."""
        problem = self._problem
        totals, lost, gained = self._problem.lines(point, number, [self._costs, self._lost, self._gained])
        order = np.flatnonzero(
            (totals < self._total * (1 - 1e-12)) & (lost - gained <= self._largest_drop + 0.5)
        )
        order = order[np.argsort(totals[order], kind="stable")][:_LINE_STEPS]
        if not len(order):
            return False
        allowed = problem.allows(np.rint(lost[order]).astype(int), np.rint(gained[order]).astype(int))
        return any(
            self._offer((*point[:number], step, *point[number + 1 :])) for step in order[allowed].tolist()
        )

    def _within_limits(self, point: tuple[int, ...]) -> None:
        """Move one threshold at a time to the cheapest allowed step, as long as that helps."""
        improved = True
        while improved:
            improved = False
            for number in range(len(point)):
                if self._best_on_line(point, number):
                    assert self._best is not None
                    point, improved = self._best, True

    def _in_pairs(self) -> None:
        """Move two thresholds of the best point at once, as long as that helps."""
        pairs = list(itertools.combinations(range(len(self._problem.steps)), 2))
        improved, rounds = bool(pairs), _PAIR_ROUNDS
        while improved and rounds:
            rounds -= 1
            improved = sum(self._best_of_pair(*pair) for pair in pairs) > 0

    def _best_of_pair(self, first: int, second: int) -> bool:
        """Offer the cheapest steps of two exits, the others held: of a grid, then around the best."""
        better = False
        for share in (1.0, 1.0 / _GRID):
            steps = [self._grid(number, share) for number in (first, second)]
            totals, lost, gained = self._sums(first, second, steps)
            cheaper = totals < self._total * (1 - 1e-12)
            found = np.flatnonzero(cheaper & (lost - gained <= self._largest_drop + 0.5))
            found = found[np.argsort(totals.ravel()[found], kind="stable")]
            counts = (np.rint(side.ravel()[found]).astype(int) for side in (lost, gained))
            found = found[self._problem.allows(*counts)]
            if not len(found):
                continue
            # The cheapest may all lie where neighbours lose too much: others are further behind.
            places = np.unique(np.geomspace(1, len(found), _LINE_STEPS).astype(int)) - 1
            rows, columns = np.divmod(found[places], len(steps[1]))
            moves = zip(steps[0][rows].tolist(), steps[1][columns].tolist(), strict=True)
            better |= any(self._offer(self._moved({first: one, second: other})) for one, other in moves)
        return better

    def _moved(self, steps: Mapping[int, int]) -> tuple[int, ...]:
        """Return the best point with other steps of some exits."""
        assert self._best is not None
        return tuple(steps.get(number, step) for number, step in enumerate(self._best))

    def _grid(self, number: int, share: float) -> Ints:
        """Return steps of an exit to try: evenly of those within a share of all from the best one."""
        assert self._best is not None
        (low, high), at = self._box[number], self._best[number]
        width = int(np.ceil(share * (high - low)))
        low, high = max(low, at - width), min(high, at + width)
        evenly = np.linspace(low, high, min(_GRID, high - low + 1)).astype(np.int64)
        return np.unique([*evenly, at])

    def _sums(self, first: int, second: int, steps: Sequence[Ints]) -> Sequence[Float64]:
        """Return cost, lost and gained images over all steps of two exits, each [first steps, second steps].

        Whoever reaches ``first`` and is sure enough leaves there; of the others, who reaches ``second``.
        """
        where = self._problem.where(self._moved({first: 0, second: 0}))
        images, (rows, columns) = np.arange(len(where)), map(len, steps)
        # From which row and column on an image is sure enough.
        row, column = (
            np.where(where > number, np.searchsorted(known, self._problem.rank[number], side="right"), size)
            for number, known, size in ((first, steps[0], rows), (second, steps[1], columns))
        )
        cell, found = row * (columns + 1) + column, []
        for value in (self._costs, self._lost, self._gained):
            stays = value[where, images]
            here = np.bincount(row, value[first] - stays, rows + 1)[:rows].cumsum()
            there = np.bincount(cell, value[second] - stays, (rows + 1) * (columns + 1))
            grid = there.reshape(rows + 1, columns + 1)[:, :columns].cumsum(axis=0).cumsum(axis=1)
            found.append(stays.sum() + here[:, None] + grid[-1] - grid[:-1])
        return found


@dataclass(frozen=True)
class _Looked:
    """What is known of a box: a bound, what is left of it, where to split it, a point to try."""

    bound: float
    box: Box
    split: tuple[int, int] | None
    rounded: tuple[int, ...]
