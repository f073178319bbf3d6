"""The whole front over subsets of exits, their heads and one threshold for all: exactly.

Every subset is looked at behind the edges of blocks of thresholds (``front_walk.py``). Only blocks that may
hold a point that nothing known dominates are swept, threshold by threshold (``front_sweep.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.allowed import most_lost
from eecompile.exits.front_archive import FrontArchive, FrontSpot
from eecompile.exits.front_problem import ACCURACY, FINAL_RATIO, LATENCY, MEMORY, WORST_LATENCY, FrontProblem
from eecompile.exits.front_sweep import sweep
from eecompile.exits.front_walk import SubsetNetwork, SubsetWalk
from eecompile.exits.pareto import nondominated
from eecompile.exits.ranked_answers import RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCKS = 256
# Levels of an objective that is not counted in images, in the screen of the archive.
_LEVELS = 64
# Networks that are looked at first, as a share of all.
_FIRST_SHARE = 20
_EPSILON = 1e-9


@dataclass(frozen=True)
class FrontPoint:
    """A network and its thresholds.

    Attributes:
        kept: Its early exits, shallow to deep.
        final: Its final head.
        thresholds: Of each early exit; an image leaves at the first whose confidence is at least that.
            ``None``: none leaves there.
        accuracy: Share of right answers.
        ratios: Share of images that leave at each exit, the final one last.
        figures: Mean of each cost over the images; ``worst_latency``, ``final_ratio`` and ``memory`` where
            they are known.
    """

    kept: tuple[int, ...]
    final: int
    thresholds: tuple[np.float32 | None, ...]
    accuracy: float
    ratios: tuple[float, ...]
    figures: Mapping[str, float]

    def value(self, objective: str) -> float:
        """Return an objective, as it is minimised: accuracy negative."""
        return -self.accuracy if objective == ACCURACY else self.figures[objective]


@dataclass(frozen=True)
class SubsetFront:
    """A front over subsets and thresholds.

    Attributes:
        objectives: What it is over.
        points: Rising in the first objective as it is minimised.
        subsets: How many networks were looked at, with their final heads.
        evaluations: How many networks at a threshold that was looked at.
        swept: Of how many blocks all thresholds were looked at; the others hold no point of the front.
        least: What each limited figure can be at least, each on its own; of accuracy the most.
    """

    objectives: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    subsets: int
    evaluations: int
    swept: int
    least: Mapping[str, float]

    @property
    def values(self) -> Float64:
        """The points as rows, all objectives minimised, [points, objectives]."""
        rows = [[point.value(name) for name in self.objectives] for point in self.points]
        return np.array(rows, np.float64).reshape(-1, len(self.objectives))


def global_front(problem: FrontProblem, blocks: int = BLOCKS) -> SubsetFront:
    """Return the front with one threshold for all exits of a network; exact.

    Every point that is attained is there, or one with the same objectives. Without points no network and no
    threshold keeps all limits. Points are of the images given, without a margin for others.

    Args:
        problem: What is searched.
        blocks: Of thresholds, bounded at once; any number gives the same front.
    """
    return _Search(problem, blocks).run()


class _Search:
    def __init__(self, problem: FrontProblem, blocks: int) -> None:
        self._problem, limits = problem, problem.limits
        self._answers = RankedAnswers(problem, blocks)
        limited = [limits.figure] if limits.cost_ratio is not None else []
        asked = [name for name in problem.objectives if name in problem.costs]
        worst = WORST_LATENCY in problem.objectives or limits.worst_latency is not None
        figures = dict.fromkeys([*asked, *limited, *([LATENCY] if worst else [])])
        self._figures = tuple(figures)
        # The objective that varies most finely comes last: the screen holds its values, not levels.
        names = sorted(problem.objectives, key=lambda name: (name != ACCURACY, name in problem.costs))
        self._names = tuple(names)
        self._walk = SubsetWalk(problem, self._answers, self._figures)
        self._archive = FrontArchive([self._levels(name) for name in self._names[:-1]])
        self._least_right = self._fewest_right()
        self._most_left = problem.images
        if limits.final_ratio is not None:
            self._most_left = int(np.floor(limits.final_ratio * problem.images + _EPSILON))
        self._most_cost = np.inf
        if limits.cost_ratio is not None:
            allowed = limits.cost_ratio * problem.static_costs[limits.figure]
            self._most_cost = allowed * problem.images * (1 + _EPSILON)
        self._subsets = self._evaluations = self._swept = 0
        self._least: dict[str, float] = {}

    def run(self) -> SubsetFront:
        self._begin()
        for node in self._walk.nodes():
            for final in range(len(self._problem.finals)):
                self._look(self._walk.network(node, final))
        values, spots = self._archive.front()
        order = [self._names.index(name) for name in self._problem.objectives]
        rows = nondominated(values[:, order]).tolist()
        points = tuple(self._point(spots[row]) for row in rows)
        return SubsetFront(
            self._problem.objectives, points, self._subsets, self._evaluations, self._swept, self._least
        )

    def _levels(self, name: str) -> Float64:
        """Return the levels of an objective in the screen."""
        problem = self._problem
        if name == ACCURACY:
            return np.arange(problem.images + 1, dtype=np.float64)
        everything = [tuple(k for k in o if k is not None)[-1:] for o in problem.options]
        full = tuple(k for one in everything for k in one)
        if name == MEMORY:
            assert problem.memory is not None
            some = {problem.memory(kept, 0) for kept in [(), full, *((k,) for k in full)]}
            return np.unique(list(some))
        costs = problem.costs[LATENCY if name == WORST_LATENCY else name]
        most = max(costs.paths(full, problem.mounts, f)[-1] for f in range(len(problem.finals)))
        images = 1 if name == WORST_LATENCY else problem.images
        return images * np.linspace(0, most, _LEVELS)

    def _fewest_right(self) -> int:
        """Return how many right answers a point within the limit on the drop has at least."""
        allows, static = self._problem.limits.allows, self._problem.static
        if allows is None:
            return 0
        wrong, right = int((~static).sum()), int(static.sum())
        most = most_lost(allows, wrong, right)
        gained = np.arange(wrong + 1)
        change = (gained - most)[most >= 0]
        return right + int(change.min()) if len(change) else len(static) + 1

    def _begin(self) -> None:
        """Look at some networks at edges alone, so that most others need no more than that.

        They differ by one exit from those that are on the front so far.
        """
        problem, seen = self._problem, set[tuple[int, ...]]()
        new = [()]
        while new and len(seen) < problem.subsets // _FIRST_SHARE:
            for kept in new:
                seen.add(kept)
                node = self._walk.of(kept)
                for final in range(len(problem.finals)):
                    self._at_edges(self._walk.network(node, final))
            near = {kept for spot in self._archive.front()[1] for kept in self._neighbours(spot.kept)}
            new = sorted(near - seen)

    def _neighbours(self, kept: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the networks with one exit more, less or another one at its mount."""
        mounts, reads = self._problem.mounts, self._problem.reads
        found = [tuple(k for k in kept if k != one) for one in kept]
        for k, mount in enumerate(mounts):
            if k not in kept:
                found.append(tuple(sorted((k, *(other for other in kept if mounts[other] != mount)))))
        if reads is None:
            return found
        return [some for some in found if all(reads[k] in (None, *some) for k in some)]

    def _look(self, network: SubsetNetwork) -> None:
        """Take what a network has at edges, and sweep blocks that may have more."""
        self._subsets += 1
        fixed = self._at_edges(network)
        node, cheapest = network.node, network.costs[:, 1:]
        if fixed is None or not node.kept:
            return
        open_ = self._answers.wide & (network.most_right >= self._least_right)
        open_ &= self._keeps(network.left[1:], cheapest)
        if self._problem.memory is None:
            open_ &= node.used
        places = np.flatnonzero(open_)
        bounds = self._vectors(network.most_right[places], cheapest[:, places], fixed)
        open_[places] = self._archive.is_open(bounds)
        if open_.any():
            self._sweep(network, open_, fixed)

    def _at_edges(self, network: SubsetNetwork) -> dict[str, float] | None:
        """Take what a network has at edges; return what is fixed of it, ``None`` where that is too much."""
        node, limits = network.node, self._problem.limits
        fixed = self._fixed(network)
        self._note_least(network, fixed)
        for name, limit in ((WORST_LATENCY, limits.worst_latency), (MEMORY, limits.memory)):
            if limit is not None and fixed[name] > limit * (1 + _EPSILON):
                return None
        edges = np.zeros(len(network.left), bool)
        if node.kept:
            # Where none leaves at the last exit, the network without it is as good.
            edges[:] = True if self._problem.memory is not None else node.leaving[-1] > 0
        else:
            edges[0] = True
        self._evaluations += int(edges.sum())
        edges &= self._keeps(network.left, network.costs)
        points = self._vectors(network.right, network.costs, fixed)
        self._offer(network, edges, points, network.right, network.lost, self._answers.edges - 1)
        return fixed

    def _sweep(self, network: SubsetNetwork, blocks: Bools, fixed: Mapping[str, float]) -> None:
        swept = sweep(network, self._answers, blocks)
        self._swept += int(blocks.sum())
        self._evaluations += len(swept.ranks)
        costs = np.zeros((len(self._figures), len(swept.ranks)))
        for path, leaving in zip((*network.node.paths, network.path), swept.leaving, strict=True):
            costs += np.multiply.outer(path, leaving)
        points = self._vectors(swept.right, costs, fixed)
        kept = self._keeps(swept.leaving[-1], costs)
        self._offer(network, kept, points, swept.right, swept.lost, swept.ranks)

    def _keeps(self, left: Ints, costs: Float64) -> Bools:
        """Return where the ratios of the final exit and of costs are kept."""
        fine: Bools = left <= self._most_left
        if self._most_cost < np.inf:
            fine &= costs[self._figures.index(self._problem.limits.figure)] <= self._most_cost
        return fine

    def _offer(
        self, network: SubsetNetwork, which: Bools, points: Float64, right: Ints, lost: Ints, ranks: Ints
    ) -> None:
        """Take the points that are allowed and that nothing known is better than."""
        places = np.flatnonzero(which)
        places = places[self._archive.is_open(points[places])]
        allows = self._problem.limits.allows
        if len(places) and allows is not None:
            static = int(self._problem.static.sum())
            gained = right[places] - static + lost[places]
            places = places[allows(lost[places], gained)]
        if len(places):
            self._archive.add(points[places], network.node.kept, network.final, ranks[places])

    def _vectors(self, right: Ints, costs: Float64, fixed: Mapping[str, float]) -> Float64:
        """Return all objectives as they are minimised, sums over the images, [points, objectives]."""
        rows = []
        for name in self._names:
            if name == ACCURACY:
                rows.append(self._problem.images - right)
            elif name in fixed:
                rows.append(np.full(len(right), fixed[name]))
            else:
                rows.append(costs[self._figures.index(name)])
        return np.stack(rows, axis=1).astype(np.float64)

    def _fixed(self, network: SubsetNetwork) -> dict[str, float]:
        """Return what does not depend on thresholds."""
        known = {}
        if LATENCY in self._figures:
            known[WORST_LATENCY] = network.path[self._figures.index(LATENCY)]
        if self._problem.memory is not None:
            known[MEMORY] = self._problem.memory(network.node.kept, network.final)
        return known

    def _note_least(self, network: SubsetNetwork, fixed: Mapping[str, float]) -> None:
        """Note what limited figures can be at least; the mean of costs falls with the threshold."""
        images, limits = self._problem.images, self._problem.limits
        seen = {}
        if limits.final_ratio is not None:
            seen[FINAL_RATIO] = network.left[-1] / images
        if limits.cost_ratio is not None:
            cost = network.costs[self._figures.index(limits.figure), -1]
            seen["cost_ratio"] = cost / images / self._problem.static_costs[limits.figure]
        if limits.worst_latency is not None:
            seen[WORST_LATENCY] = fixed[WORST_LATENCY]
        if limits.memory is not None:
            seen[MEMORY] = fixed[MEMORY]
        for name, value in seen.items():
            self._least[name] = min(float(value), self._least.get(name, np.inf))

    def _point(self, spot: FrontSpot) -> FrontPoint:
        """Return a point with all its figures, from its images one by one."""
        problem, answers, kept = self._problem, self._answers, spot.kept
        befores = (None, *kept)
        seen = [answers.exit(before, k) for before, k in zip(befores, kept, strict=False)]
        rank = np.array([one.rank for one in seen]).reshape(-1, problem.images)
        where = np.full(problem.images, len(kept))
        for number in reversed(range(len(kept))):
            where[rank[number] <= spot.rank] = number
        kinds = np.stack([*(one.kind for one in seen), answers.final(befores[-1], spot.final)])
        counts = np.bincount(where, minlength=len(kept) + 1)
        ratios = tuple((counts / problem.images).tolist())
        figures = {
            name: float(counts @ costs.paths(kept, problem.mounts, spot.final)) / problem.images
            for name, costs in problem.costs.items()
        }
        figures[FINAL_RATIO] = ratios[-1]
        if LATENCY in problem.costs:
            figures[WORST_LATENCY] = float(problem.costs[LATENCY].paths(kept, problem.mounts, spot.final)[-1])
        if problem.memory is not None:
            figures[MEMORY] = float(problem.memory(kept, spot.final))
        right = int((kinds[where, np.arange(problem.images)] > 1).sum())
        thresholds = (self._threshold(rank, spot.rank),) * len(kept)
        return FrontPoint(kept, spot.final, thresholds, right / problem.images, ratios, figures)

    def _threshold(self, rank: Ints, last: int) -> np.float32 | None:
        """Return the middle between the lowest confidence that leaves and the highest that does not."""
        leaves, stays = rank[rank <= last], rank[(rank > last) & (rank < self._answers.count)]
        if not leaves.size:
            return None
        high = self._answers.values[leaves.max()]
        if not stays.size:
            return np.float32(high)
        low = self._answers.values[stays.min()]
        middle = np.float32((float(high) + float(low)) / 2)
        return np.float32(high) if middle <= low else middle
