"""A walk over all subsets of exits that keeps, for each, what happens at the edges of blocks of thresholds.

Subsets form a tree: each grows by one deeper exit at a time. Of each image it is known from which block on it
has left, so one more exit takes those that leave there before: their counts over all edges are differences
of two histograms. Inside a block images only move to earlier exits. Hence a block costs at least what its
lower end costs; and it has at most so many right answers as one of its ends has, and one more for each image
that could gain by moving inside of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import FrontProblem
from eecompile.exits.fronts.ranked_answers import AnswersByRank, RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_KINDS = 4


@dataclass(frozen=True)
class SubsetNode:
    """Early exits that are kept, and what has left at them at each edge.

    Attributes:
        kept: The exits.
        answers: What each of them answers.
        block: [n] from which edge on an image has left; one more than there are blocks: never.
        lands_right: [n] whether it is right where it lands there.
        leaving: Of each exit [edges] how many images leave there.
        heads: Of each figure its parts, the sum over all heads.
        paths: Of each exit and figure the cost of its path.
        costs: [figures, edges] of those that have left.
        right: [edges] right answers of those.
        lost: [edges] wrong answers of those where static is right.
        up: [blocks] images that become right by moving inside a block, at most.
        down: [blocks] images that become wrong, at most.
        used: [blocks] whether any image is at the last exit somewhere in a block.
    """

    kept: tuple[int, ...]
    answers: tuple[AnswersByRank, ...]
    block: Ints
    lands_right: Ints
    leaving: tuple[Ints, ...]
    heads: tuple[tuple[float, ...], ...]
    paths: tuple[tuple[float, ...], ...]
    costs: Float64
    right: Ints
    lost: Ints
    up: Ints
    down: Ints
    used: Bools


@dataclass(frozen=True)
class SubsetNetwork:
    """A whole network at each edge: a node and a final head.

    Attributes:
        node: Its early exits.
        final: Its final head.
        answers: [n] kinds of answers of that.
        path: Of each figure the cost of the path to it.
        left: [edges] images that reach it.
        costs: [figures, edges] of all images.
        right: [edges] right answers.
        lost: [edges] wrong ones where static is right.
        most_right: [blocks] right answers at most inside a block.
    """

    node: SubsetNode
    final: int
    answers: Ints
    path: tuple[float, ...]
    left: Ints
    costs: Float64
    right: Ints
    lost: Ints
    most_right: Ints


class SubsetWalk:
    """Visits each subset of exits once, those behind their own beginnings.

    Args:
        problem: What is searched.
        answers: Its answers, ranked.
        figures: Names of the costs that are looked at.
    """

    def __init__(self, problem: FrontProblem, answers: RankedAnswers, figures: tuple[str, ...]) -> None:
        self._problem = problem
        self._answers = answers
        self._costs = [problem.costs[name] for name in figures]
        self._reached = [np.cumsum(costs.stages, axis=0).tolist() for costs in self._costs]
        self._heads = [costs.heads.tolist() for costs in self._costs]
        self._finals = [costs.finals.tolist() for costs in self._costs]

    def nodes(self) -> Iterator[SubsetNode]:
        """Yield all subsets, each after those it begins with."""
        stack = [self._root()]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(self._grown(node, k) for k in reversed(self._next(node)))

    def of(self, kept: Sequence[int]) -> SubsetNode:
        """Return the node of some exits, shallow to deep."""
        node = self._root()
        for k in kept:
            node = self._grown(node, k)
        return node

    def network(self, node: SubsetNode, final: int) -> SubsetNetwork:
        """Return a subset with a final head."""
        blocks, images = self._answers.blocks, self._problem.images
        kinds = self._answers.final(final)
        moves = _counted(node.block, kinds, node.lands_right, blocks)
        everyone = np.bincount(kinds, minlength=_KINDS)[:, None]
        left = everyone - (moves[:, 0] + moves[:, 1])[:, : blocks + 1].cumsum(axis=1)
        count = left[0] + left[1] + left[2] + left[3]
        path = self._path(node.heads, self._finals, final, -1)[1]
        right, lost = node.right + left[2] + left[3], node.lost + left[1]
        inside = moves[:, :, 1 : blocks + 1]
        up, down = node.up + inside[0, 1] + inside[1, 1], node.down + inside[2, 0] + inside[3, 0]
        most = np.minimum(np.minimum(right[:-1] + up, right[1:] + down), images)
        costs = node.costs + np.multiply.outer(path, count)
        return SubsetNetwork(node, final, kinds, path, count, costs, right, lost, most)

    def _root(self) -> SubsetNode:
        blocks, images = self._answers.blocks, self._problem.images
        none, empty = np.zeros(blocks + 1, np.int64), np.zeros(blocks, np.int64)
        heads = tuple((0.0,) * costs.stages.shape[1] for costs in self._costs)
        never, costs = np.full(images, blocks + 1), np.zeros((len(self._costs), blocks + 1))
        return SubsetNode(
            (), (), never, np.zeros(images, np.int64), (), heads, (), costs, none, none, empty, empty,
            np.zeros(blocks, bool),
        )  # fmt: skip

    def _next(self, node: SubsetNode) -> list[int]:
        """Return the exits that may be the next deeper one."""
        mounts = self._problem.mounts
        deepest = mounts[node.kept[-1]] if node.kept else -1
        return [
            k
            for k, mount in enumerate(mounts)
            if mount > deepest and self._problem.is_network((*node.kept, k))
        ]

    def _grown(self, node: SubsetNode, k: int) -> SubsetNode:
        """Return a node with one more exit behind those it has."""
        blocks = self._answers.blocks
        seen = self._answers.exit(node.kept, k)
        here = np.flatnonzero(seen.block < node.block)
        kinds, until, lands = seen.kind[here], node.block[here], node.lands_right[here]
        moves = _counted(until, kinds, lands, blocks)
        coming = np.bincount(kinds * (blocks + 2) + seen.block[here], minlength=_KINDS * (blocks + 2))
        coming = coming.reshape(_KINDS, -1) - moves[:, 0] - moves[:, 1]
        leaving = coming[:, : blocks + 1].cumsum(axis=1)
        count = leaving[0] + leaving[1] + leaving[2] + leaving[3]
        # Those that come and go within one block are at no edge, and may be right in between.
        within = np.flatnonzero(seen.block == node.block)
        keys = (seen.kind[within] >> 1) * (blocks + 2) + node.block[within]
        passing = np.bincount(keys, minlength=2 * (blocks + 2)).reshape(2, -1)[:, 1 : blocks + 1]
        inside = moves[:, :, 1 : blocks + 1]
        heads, path = self._path(node.heads, self._heads, k, self._problem.mounts[k])
        lands_right = node.lands_right.copy()
        lands_right[here] = kinds >> 1
        return SubsetNode(
            (*node.kept, k),
            (*node.answers, seen),
            np.minimum(node.block, seen.block),
            lands_right,
            (*node.leaving, count),
            heads,
            (*node.paths, path),
            node.costs + np.multiply.outer(path, count),
            node.right + leaving[2] + leaving[3],
            node.lost + leaving[1],
            node.up + inside[0, 1] + inside[1, 1] + passing[1],
            node.down + inside[2, 0] + inside[3, 0] + passing[1],
            (count[:-1] > 0) | (count[1:] > 0) | (passing[0] + passing[1] > 0),
        )

    def _path(
        self, heads: tuple[tuple[float, ...], ...], added: list[list[list[float]]], number: int, mount: int
    ) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
        """Return heads with one more, and of each figure the path to it: as ``AdditiveCosts.paths``."""
        grown, paths = [], []
        for before, parts, reached in zip(heads, added, self._reached, strict=True):
            with_it = tuple(h + a for h, a in zip(before, parts[number], strict=True))
            path = 1.0
            for stage, head in zip(reached[mount], with_it, strict=True):
                path *= stage + head
            grown.append(with_it)
            paths.append(path)
        return tuple(grown), tuple(paths)


def _counted(until: Ints, kinds: Ints, lands_right: Ints, blocks: int) -> Ints:
    """Return how many images move on at each edge, by their kind and whether they are right from then on.

    [kinds, 2, edges + 1].
    """
    keys = (2 * kinds + lands_right) * (blocks + 2) + until
    return np.bincount(keys, minlength=2 * _KINDS * (blocks + 2)).reshape(_KINDS, 2, -1)
