"""The whole front over subsets of exits, their heads and one threshold for all: exactly.

Every subset is looked at behind the edges of blocks of thresholds (``front_walk.py``). Only blocks that may
hold a point that nothing known dominates are swept, threshold by threshold (``front_sweep.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.free_choice import free_choice_of_all, gap_of
from eecompile.exits.fronts.front_archive import FrontArchive, FrontSpot
from eecompile.exits.fronts.front_measures import FrontMeasures
from eecompile.exits.fronts.front_points import SubsetFront, point_at, undominated
from eecompile.exits.fronts.front_problem import (
    FINAL_RATIO,
    LATENCY,
    MEMORY,
    WORST_LATENCY,
    FrontProblem,
    Kept,
)
from eecompile.exits.fronts.front_sweep import sweep
from eecompile.exits.fronts.front_walk import SubsetNetwork, SubsetWalk
from eecompile.exits.fronts.ranked_answers import RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCKS = 256
# More networks than these are not all looked at: some minutes.
MOST_NETWORKS = 1_000_000
# Networks that are looked at first, as a share of all.
_FIRST_SHARE = 20


def global_front(
    problem: FrontProblem, blocks: int = BLOCKS, most_networks: int = MOST_NETWORKS
) -> SubsetFront:
    """Return the front with one threshold for all exits of a network; exact unless there are too many.

    Every point that is attained is there, or one with the same objectives. Without points no network and no
    threshold keeps all limits. Points are of the images given, without a margin for others.

    Args:
        problem: What is searched.
        blocks: Of thresholds, bounded at once; any number gives the same front.
        most_networks: Of more than these only so many are looked at, each like one of the front but for an
            exit; the front says that it is not exact, and by how much it may be missed.
    """
    return _Search(problem, blocks).run(most_networks)


class _Search:
    def __init__(self, problem: FrontProblem, blocks: int) -> None:
        self._problem = problem
        self._measures = FrontMeasures(problem)
        self._answers = RankedAnswers(problem, blocks)
        self._walk = SubsetWalk(problem, self._answers, self._measures.figures)
        self._archive = FrontArchive(self._measures.levels())
        self._subsets = self._evaluations = self._swept = 0
        self._least: dict[str, float] = {}

    def run(self, most_networks: int) -> SubsetFront:
        problem = self._problem
        exact = problem.subsets <= most_networks
        if exact:
            self._climb(self._at_edges, problem.subsets // _FIRST_SHARE)
            for node in self._walk.nodes():
                for final in range(len(problem.finals)):
                    self._look(self._walk.network(node, final))
        else:
            self._climb(self._look, most_networks)
        found = [
            point_at(problem, self._answers, spot, joint=True, gap=gap)
            for spot, gap in zip(self._archive.front()[1], self._gaps(exact), strict=True)
        ]
        points = undominated(found, problem.objectives)
        counts = self._subsets, self._evaluations, self._swept
        return SubsetFront(problem.objectives, points, *counts, self._least, exact)

    def _gaps(self, exact: bool) -> list[float]:
        """Return for each point found how much less others may cost; all of it where that is not bounded."""
        values = self._archive.front()[0]
        means = [name for name in self._measures.names if name in self._problem.costs]
        if exact:
            return [0.0] * len(values)
        bounds = {name: free_choice_of_all(self._problem, name) for name in means}
        return [gap_of(value, bounds, self._problem, self._measures) for value in values]

    def _climb(self, look: Callable[[SubsetNetwork], object], most: int) -> None:
        """Look at networks that differ by one exit from those that are on the front so far.

        Where all will be looked at, most then need no more than a look at their edges.
        """
        seen: set[Kept] = set()
        new: list[Kept] = [()]
        while new:
            for kept in new:
                if len(seen) * len(self._problem.finals) >= most:
                    return
                seen.add(kept)
                node = self._walk.of(kept)
                for final in range(len(self._problem.finals)):
                    look(self._walk.network(node, final))
            near = {kept for spot in self._archive.front()[1] for kept in self._neighbours(spot.kept)}
            new = sorted(near - seen)

    def _neighbours(self, kept: Kept) -> list[Kept]:
        """Return the networks with one exit more, less or another one at its mount."""
        mounts = self._problem.mounts
        found = [tuple(k for k in kept if k != one) for one in kept]
        for k, mount in enumerate(mounts):
            if k not in kept:
                found.append(tuple(sorted((k, *(other for other in kept if mounts[other] != mount)))))
        return [some for some in found if self._problem.is_network(some)]

    def _look(self, network: SubsetNetwork) -> None:
        """Take what a network has at edges, and sweep blocks that may have more."""
        self._subsets += 1
        fixed = self._at_edges(network)
        node, cheapest = network.node, network.costs[:, 1:]
        if fixed is None or not node.kept:
            return
        open_ = self._answers.wide & (network.most_right >= self._measures.fewest_right)
        open_ &= self._measures.keeps(network.left[1:], cheapest)
        if not self._measures.needs_memory:
            open_ &= node.used
        places = np.flatnonzero(open_)
        bounds = self._measures.vectors(network.most_right[places], cheapest[:, places], fixed)
        open_[places] = self._archive.is_open(bounds)
        if open_.any():
            self._sweep(network, open_, fixed)

    def _at_edges(self, network: SubsetNetwork) -> dict[str, float] | None:
        """Take what a network has at edges; return what is fixed of it, ``None`` where that is too much."""
        node, measures = network.node, self._measures
        worst = network.path[measures.figures.index(LATENCY)] if LATENCY in measures.figures else None
        fixed = measures.fixed(node.kept, network.final, worst)
        self._note_least(network, fixed)
        if measures.is_too_much(fixed):
            return None
        edges = np.zeros(len(network.left), bool)
        if node.kept:
            # Where none leaves at the last exit, the network without it is as good.
            edges[:] = True if measures.needs_memory else node.leaving[-1] > 0
        else:
            edges[0] = True
        self._evaluations += int(edges.sum())
        edges &= measures.keeps(network.left, network.costs)
        points = measures.vectors(network.right, network.costs, fixed)
        self._offer(network, edges, points, network.right, network.lost, self._answers.edges - 1)
        return fixed

    def _sweep(self, network: SubsetNetwork, blocks: Bools, fixed: Mapping[str, float]) -> None:
        swept = sweep(network, self._answers, blocks)
        self._swept += int(blocks.sum())
        self._evaluations += len(swept.ranks)
        costs = np.zeros((len(self._measures.figures), len(swept.ranks)))
        for path, leaving in zip((*network.node.paths, network.path), swept.leaving, strict=True):
            costs += np.multiply.outer(path, leaving)
        points = self._measures.vectors(swept.right, costs, fixed)
        kept = self._measures.keeps(swept.leaving[-1], costs)
        self._offer(network, kept, points, swept.right, swept.lost, swept.ranks)

    def _offer(
        self, network: SubsetNetwork, which: Bools, points: Float64, right: Ints, lost: Ints, ranks: Ints
    ) -> None:
        """Take the points that are allowed and that nothing known is better than."""
        places = np.flatnonzero(which)
        places = places[self._archive.is_open(points[places])]
        places = places[self._measures.allowed(right[places], lost[places])]
        kept = network.node.kept
        if len(places):
            self._archive.add(
                points[places],
                lambda n: FrontSpot(kept, network.final, (int(ranks[places[n]]),) * len(kept)),
            )

    def _note_least(self, network: SubsetNetwork, fixed: Mapping[str, float]) -> None:
        """Note what limited figures can be at least; the mean of costs falls with the threshold."""
        images, limits = self._problem.images, self._problem.limits
        seen = {}
        if limits.final_ratio is not None:
            seen[FINAL_RATIO] = network.left[-1] / images
        costs = dict(zip(self._measures.figures, network.costs[:, -1] / images, strict=True))
        if limits.cost_ratio is not None:
            seen["cost_ratio"] = costs[limits.figure] / self._problem.static_costs[limits.figure]
        seen |= {name: costs[name] for name in limits.means}
        if limits.worst_latency is not None:
            seen[WORST_LATENCY] = fixed[WORST_LATENCY]
        if limits.memory is not None:
            seen[MEMORY] = fixed[MEMORY]
        for name, value in seen.items():
            self._least[name] = min(float(value), self._least.get(name, np.inf))
