"""The front over subsets of exits with a threshold for each exit, and how far it may be from the best.

What one threshold for all gives is where it begins. Each network is then moved along one threshold at a time,
for prices of a wrong answer from dear to cheap: all steps of that threshold are points. What no thresholds
can beat is told by the Lagrangian, in which every image chooses its exit freely; branch and bound
(``branch_and_bound.py``) narrows it, to a proof where it comes to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.exits.branch_and_bound import solve
from eecompile.exits.fronts.free_choice import PRICES, free_choice, free_choice_of_all, gap_of
from eecompile.exits.fronts.front_archive import FrontArchive, FrontSpot
from eecompile.exits.fronts.front_measures import FrontMeasures
from eecompile.exits.fronts.front_points import SubsetFront, point_at, undominated
from eecompile.exits.fronts.front_problem import ACCURACY, LATENCY, FrontProblem, Kept
from eecompile.exits.fronts.ranked_answers import RankedAnswers
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.problem import ThresholdProblem
from passes.errors import InputError

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Networks that are looked at: all of fewer, else so many of those on the front with one threshold.
MOST_NETWORKS = 100
# Counts of right answers at which branch and bound looks for less cost.
LEVELS = 20
_ROUNDS = 4
_EPSILON = 1e-9


def individual_front(
    problem: FrontProblem,
    boxes: int = 0,
    networks: Sequence[tuple[Kept, int]] | None = None,
    levels: int = LEVELS,
    start: SubsetFront | None = None,
) -> SubsetFront:
    """Return a front with a threshold for each exit of a network, none of it worse than with one for all.

    Args:
        problem: What is searched; of its objectives at least one is a mean cost.
        boxes: Boxes of thresholds that branch and bound looks at, for each network and level; none: it is
            left out, and gaps are wide. Only for one mean cost.
        networks: Kept exits and final head of those to look at; if not given, all where they are few, else
            those on the front with one threshold. Gaps are against all there are.
        levels: So many counts of right answers are looked at by branch and bound.
        start: The front with one threshold, where that is known.

    Raises:
        InputError: The objectives have no mean cost, or several and ``boxes`` are asked for.
    """
    means = tuple(name for name in problem.objectives if name in problem.costs)
    if not means or (boxes and len(means) > 1):
        raise InputError(
            f"a threshold for each exit is {'proven best' if means else 'sought'} for one mean cost, not for "
            f"{' and '.join(means) or 'none'}",
            f"choose one objective of {', '.join(problem.costs)}, or take one threshold for all exits",
        )
    return _Individual(problem, means).run(boxes, networks, levels, start)


@dataclass
class _Own:
    """A network: its thresholds as steps, and what is known of it.

    Attributes:
        kept: Its early exits.
        final: Its final head.
        thresholds: Where its images leave.
        distinct: Of each exit the ranks that its steps reach.
        values: [figures, exits, n] cost of each path.
        fixed: What thresholds do not change.
        bound: [images + 1] no thresholds with so many right answers or more cost less, over all images.
    """

    kept: Kept
    final: int
    thresholds: ThresholdProblem
    distinct: tuple[Ints, ...]
    values: Float64
    fixed: dict[str, float]
    bound: Float64


class _Individual:
    def __init__(self, problem: FrontProblem, figures: tuple[str, ...]) -> None:
        self._problem = problem
        self._figures, self._figure = figures, figures[0]
        self._measures = FrontMeasures(problem)
        self._answers = RankedAnswers(problem, 1)
        self._archive = FrontArchive(self._measures.levels())
        self._static = int(problem.static.sum())
        self._evaluations = self._boxes = 0

    def run(
        self,
        boxes: int,
        networks: Sequence[tuple[Kept, int]] | None,
        levels: int,
        start: SubsetFront | None,
    ) -> SubsetFront:
        shared = start or global_front(self._problem)
        self._evaluations = shared.evaluations
        starts: dict[tuple[Kept, int], list[tuple[np.float32 | None, ...]]] = {}
        for point in shared.points:
            starts.setdefault((point.kept, point.final), []).append(point.thresholds)
        every = self._every() if self._problem.subsets <= MOST_NETWORKS else None
        if networks is None:
            networks = every
        if networks is None:
            onfront = sorted(starts)
            networks = [onfront[n] for n in evenly(np.arange(len(onfront)), MOST_NETWORKS).tolist()]
        looked = list(dict.fromkeys([*networks, *starts]))
        known = [self._own(*network) for network in looked]
        asked = set(networks)
        for own in known:
            for thresholds in starts.get((own.kept, own.final), []):
                self._offer_lines(own, self._steps(own, thresholds), 0)
            if (own.kept, own.final) in asked and not self._measures.is_too_much(own.fixed):
                self._descend(own)
        complete = every is not None and set(every) <= set(looked)
        if boxes:
            for own in known:
                self._branch(own, boxes, levels)
        return self._result(shared, known, complete)

    def _every(self) -> list[tuple[Kept, int]]:
        """Return all networks there are."""
        kept: list[Kept] = [()]
        for options in self._problem.options:
            grown = [(*some, k) if k is not None else some for some in kept for k in options]
            kept = [some for some in grown if self._problem.is_network(some)]
        return [(some, final) for some in kept for final in range(len(self._problem.finals))]

    def _own(self, kept: Kept, final: int) -> _Own:
        """Return a network with its thresholds as steps."""
        problem, measures, images = self._problem, self._measures, self._problem.images
        seen = self._answers.network(kept)
        distinct = tuple(np.unique(one.rank[one.rank < self._answers.count]) for one in seen)
        ranks = [np.searchsorted(some, one.rank) for some, one in zip(distinct, seen, strict=True)]
        kinds = np.stack([*(one.kind for one in seen), self._answers.final(final)])
        paths = np.stack([problem.costs[n].paths(kept, problem.mounts, final) for n in measures.figures])
        limits, amounts, budgets = problem.limits, [], []
        if limits.final_ratio is not None:
            amounts.append(np.arange(len(kept) + 1) == len(kept))
            budgets.append(float(measures.most_left))
        for name, most in measures.most_costs.items():
            amounts.append(paths[measures.figures.index(name)])
            budgets.append(most)
        cost = paths[measures.figures.index(self._figure)]
        thresholds = ThresholdProblem(
            rank=np.array(ranks, np.int64).reshape(len(kept), images),
            steps=tuple(len(some) for some in distinct),
            cost=cost,
            change=(kinds >> 1) - (kinds & 1),
            allows=lambda lost, gained: measures.allowed(self._static + gained - lost, lost),
            amounts=np.array(amounts, np.float64).reshape(-1, len(kept) + 1),
            budgets=np.array(budgets),
            most_drop=np.inf,
            reach=0,
        )
        worst = paths[measures.figures.index(LATENCY)][-1] if LATENCY in measures.figures else None
        fixed = measures.fixed(kept, final, worst)
        values = np.broadcast_to(paths[:, :, None], (*paths.shape, images))
        bound = free_choice(cost, kinds >> 1)
        if measures.is_too_much(fixed):
            bound = np.full(images + 1, np.inf)
        return _Own(kept, final, thresholds, distinct, values, fixed, bound)

    def _steps(self, own: _Own, thresholds: tuple[np.float32 | None, ...]) -> tuple[int, ...]:
        """Return the steps of an own network that thresholds are."""
        return tuple(
            0 if threshold is None else int((self._answers.values[some] >= threshold).sum())
            for threshold, some in zip(thresholds, own.distinct, strict=True)
        )

    def _descend(self, own: _Own) -> None:
        """Move one threshold after the other to where cost and the price of wrong answers are least."""
        self._offer_lines(own, (0,) * len(own.kept), 0)
        for figure in self._figures:
            self._descend_for(own, self._measures.figures.index(figure))

    def _descend_for(self, own: _Own, figure: int) -> None:
        point, paths = (0,) * len(own.kept), own.values[figure, :, 0]
        for price in PRICES * float(paths.mean()):
            for _ in range(_ROUNDS):
                before = point
                for number in range(len(point)):
                    costs, right = self._offer_lines(own, point, number)
                    step = int((costs[figure] - price * right).argmin())
                    point = (*point[:number], step, *point[number + 1 :])
                if point == before:
                    break

    def _offer_lines(self, own: _Own, point: tuple[int, ...], number: int) -> tuple[Float64, Float64]:
        """Take all steps of one exit, the others held; return costs and right answers."""
        change = own.thresholds.change
        final = np.zeros(change.shape)
        final[-1] = 1.0
        values = [*own.values, (change < 0).astype(np.float64), change.astype(np.float64), final]
        if point:
            *costs, lost, changed, left = own.thresholds.lines(point, number, values)
        else:
            *costs, lost, changed, left = [value.sum(axis=1) for value in values]
        self._evaluations += len(lost)
        table, right = np.stack(costs), np.rint(changed).astype(np.int64) + self._static
        places = np.flatnonzero(self._measures.keeps(np.rint(left).astype(np.int64), table))
        vectors = self._measures.vectors(right, table, own.fixed)
        if self._measures.is_too_much(own.fixed):
            places = places[:0]
        places = places[self._archive.is_open(vectors[places])]
        places = places[self._measures.allowed(right[places], np.rint(lost[places]).astype(np.int64))]
        if len(places):
            self._archive.add(vectors[places], lambda n: self._spot(own, point, number, int(places[n])))
        return table, right.astype(np.float64)

    def _spot(self, own: _Own, point: tuple[int, ...], number: int, step: int) -> FrontSpot:
        steps = (*point[:number], step, *point[number + 1 :]) if point else ()
        ranks = tuple(int(some[at - 1]) if at else -1 for some, at in zip(own.distinct, steps, strict=True))
        return FrontSpot(own.kept, own.final, ranks)

    def _branch(self, own: _Own, boxes: int, levels: int) -> None:
        """Look for cheaper thresholds at some counts of right answers, and raise the bound there."""
        first, images = self._measures.fewest_right, self._problem.images
        if ACCURACY not in self._problem.objectives:
            counts = [first]
        else:
            possible = np.flatnonzero(np.isfinite(own.bound) & (np.arange(images + 1) >= first))
            counts = evenly(possible, levels).tolist()
        for count in counts:
            if count > images:
                continue
            known = self._known(own)[count]
            if own.bound[count] >= known * (1 - _EPSILON):
                continue
            if not own.kept:
                # There is nothing to choose: what it gives was offered.
                own.bound[count:] = np.maximum(own.bound[count:], known)
                continue
            found = solve(self._at_least(own, count), max_nodes=boxes, below=known)
            self._boxes += found.nodes
            if found.point is not None:
                self._offer_lines(own, found.point, 0)
            own.bound[count:] = np.maximum(own.bound[count:], found.bound)

    def _at_least(self, own: _Own, count: int) -> ThresholdProblem:
        """Return the thresholds of a network that give so many right answers."""
        allows, static = own.thresholds.allows, self._static
        return ThresholdProblem(
            **{
                **vars(own.thresholds),
                "allows": lambda lost, gained: allows(lost, gained) & (static + gained - lost >= count),
            }
        )

    def _known(self, own: _Own) -> Float64:
        """Return the least cost known of so many right answers or more, at no more than the network needs.

        [images + 1].
        """
        values, _ = self._archive.front()
        names, images = self._measures.names, self._problem.images
        for column, name in enumerate(names):
            if name in own.fixed:
                values = values[values[:, column] <= own.fixed[name]]
        wrong = np.zeros(len(values), np.int64)
        if ACCURACY in names:
            wrong = np.rint(values[:, names.index(ACCURACY)]).astype(np.int64)
        least = np.full(images + 1, np.inf)
        np.minimum.at(least, images - wrong, values[:, names.index(self._figure)])
        return np.minimum.accumulate(least[::-1])[::-1]

    def _result(self, shared: SubsetFront, known: Sequence[_Own], complete: bool) -> SubsetFront:
        problem, measures, images = self._problem, self._measures, self._problem.images
        values, spots = self._archive.front()
        bounds = {name: free_choice_of_all(problem, name) for name in self._figures}
        if complete:
            bounds[self._figure] = np.min([own.bound for own in known], axis=0)
        first = measures.fewest_right
        counts = slice(first, images + 1) if ACCURACY in problem.objectives else slice(first, first + 1)
        exact = (
            complete
            and len(self._figures) == 1
            and all((own.bound[counts] >= self._known(own)[counts] * (1 - _EPSILON)).all() for own in known)
        )
        points = []
        for value, spot in zip(values, spots, strict=True):
            gap = 0.0 if exact else gap_of(value, bounds, problem, measures)
            points.append(point_at(problem, self._answers, spot, joint=False, gap=gap))
        front = undominated(points, problem.objectives)
        return SubsetFront(
            problem.objectives, front, len(known), self._evaluations, self._boxes, shared.least, exact
        )
