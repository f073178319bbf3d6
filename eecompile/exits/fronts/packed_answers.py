"""Many networks at many thresholds at once, from cached answers, 64 images to a word.

Which images leave at an exit behind an edge of the thresholds is a row of bits. A network takes one row at
each of its mounts from those who are still there, and what is counted are bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import FrontProblem
from eecompile.exits.fronts.ranked_answers import RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

BLOCKS = 256
# SubsetCandidates that are looked at together, so that their bits stay near the processor.
_TOGETHER = 256
_NONE = -1
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


@dataclass(frozen=True)
class SubsetCandidates:
    """Networks at thresholds.

    Attributes:
        exits: [candidates, mounts] exit that is kept at each mount; -1: none.
        levels: [candidates, mounts] edge of the thresholds up to which images leave there; 0: none does.
        finals: [candidates] final head.
    """

    exits: Ints
    levels: Ints
    finals: Ints

    def __len__(self) -> int:
        return len(self.finals)

    def __getitem__(self, some: slice) -> SubsetCandidates:
        return SubsetCandidates(self.exits[some], self.levels[some], self.finals[some])


@dataclass(frozen=True)
class CandidateFigures:
    """What candidates do.

    Attributes:
        leaving: [candidates, mounts + 1] images that leave at each mount, those at the final exit last.
        right: [candidates] right answers.
        lost: [candidates] wrong ones where static is right.
        paths: [figures, candidates, mounts + 1] cost of the path to each of these.
    """

    leaving: Ints
    right: Ints
    lost: Ints
    paths: Float64

    @property
    def costs(self) -> Float64:
        """Costs of all images together, [figures, candidates]."""
        total: Float64 = np.einsum("fcm,cm->fc", self.paths, self.leaving.astype(np.float64))
        return total


class PackedAnswers:
    """The answers of a problem as bits.

    Args:
        problem: What is searched.
        figures: Names of the costs that are asked for.
        blocks: Thresholds lie at the edges of at most so many blocks of answers.

    Attributes:
        ranked: The answers with the edges.
        mounts: Numbers of the mounts.
    """

    def __init__(self, problem: FrontProblem, figures: Sequence[str], blocks: int = BLOCKS) -> None:
        self._problem = problem
        self._costs = [problem.costs[name] for name in figures]
        self.ranked = RankedAnswers(problem, blocks)
        self.mounts = tuple(sorted(set(problem.mounts)))
        exits, edges = range(len(problem.mounts)), self.ranked.edges
        words = len(_packed(problem.static))
        leaves = [_packed(self.ranked.exit((), k).rank < edges[:, None]) for k in exits]
        self._leaves: Words = np.array(leaves, np.uint64).reshape(-1, len(edges), words)
        self._right: Words = _packed(problem.correct).reshape(-1, words)
        self._asks = np.array([problem.asks(k) for k in exits], bool)
        self._finals: Words = _packed(problem.finals)
        self._static, self._everyone = _packed(problem.static), _packed(np.ones(problem.images, bool))

    @property
    def levels(self) -> int:
        """How many edges there are; that of number 0 lets none leave."""
        return len(self.ranked.edges)

    def figures(self, candidates: SubsetCandidates) -> CandidateFigures:
        """Return what candidates do, counted over all images."""
        parts = [
            self._counted(candidates[start : start + _TOGETHER])
            for start in range(0, len(candidates), _TOGETHER)
        ]
        empty = np.zeros((0, len(self.mounts) + 1), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        leaving, right, lost = (np.concatenate(some) for some in zip(empty, *parts, strict=True))
        return CandidateFigures(leaving, right, lost, self._paths(candidates))

    def _counted(self, some: SubsetCandidates) -> tuple[Ints, Ints, Ints]:
        leaving = np.zeros((len(some), len(self.mounts) + 1), np.int64)
        stays = np.tile(self._everyone, (len(some), 1))
        right = np.zeros_like(stays)
        for number in range(len(self.mounts)):
            here = np.flatnonzero(some.exits[:, number] != _NONE)
            k = some.exits[here, number]
            goes = self._leaves[k, some.levels[here, number]]
            for n in np.flatnonzero(self._asks[k]).tolist():
                goes[n] = self._leaving_behind(
                    some.exits[here[n], : number + 1], some.levels[here[n], number]
                )
            goes &= stays[here]
            leaving[here, number] = _ones(goes)
            stays[here] ^= goes
            right[here] |= goes & self._right[k]
        leaving[:, -1] = _ones(stays)
        right |= stays & self._finals[some.finals]
        return leaving, _ones(right), _ones(self._static & ~right)

    def _leaving_behind(self, exits: Ints, level: int) -> Words:
        """Return who leaves at the last of some exits, -1 at mounts without one, up to an edge."""
        *before, k = exits[exits != _NONE].tolist()
        return _packed(self.ranked.exit(tuple(before), k).rank < self.ranked.edges[level])

    def _paths(self, some: SubsetCandidates) -> Float64:
        """Return what the way to each mount and to the end costs, as ``AdditiveCosts.paths``."""
        found = np.ones((len(self._costs), len(some), len(self.mounts) + 1))
        for number, costs in enumerate(self._costs):
            parts = costs.stages.shape[1]
            reached = np.cumsum(costs.stages, axis=0)[[*self.mounts, -1]]
            none = np.zeros((1, parts))
            added = np.concatenate([costs.heads.reshape(-1, parts), none])[some.exits]
            added = np.concatenate([added, np.zeros((len(some), 1, parts))], axis=1)
            way = reached + added.cumsum(axis=1)
            way[:, -1] += costs.finals[some.finals]
            found[number] = way.prod(axis=2)
        return found


def _packed(rows: NDArray[np.bool_]) -> Words:
    """Return truth values [..., n] as words [..., n / 64], the last one filled with zeros."""
    packed = np.packbits(rows, axis=-1)
    filled = np.zeros((*rows.shape[:-1], -(-rows.shape[-1] // 64) * 8), np.uint8)
    filled[..., : packed.shape[-1]] = packed
    return filled.view(np.uint64)


def _ones(rows: Words) -> Ints:
    """Return how many bits of each row [rows, words] are set."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counts: NDArray[np.uint8] = np.bitwise_count(rows)
    else:
        counts = _ONES[np.ascontiguousarray(rows).view(np.uint8)]
    total: Ints = counts.sum(axis=1, dtype=np.int64)
    return total
