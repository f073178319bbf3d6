"""Answers with their confidences as ranks, and blocks of ranks, over all exits together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import FrontProblem

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class AnswersByRank:
    """What one exit answers, all [n].

    Attributes:
        rank: Of its confidence among those of all exits, the highest is 0; those that never leave come last.
        block: An image leaves here from edge ``block`` on; one more than there are blocks: never.
        kind: 2 where the answer is right, and 1 more where static is.
    """

    rank: Ints
    block: Ints
    kind: Ints


class RankedAnswers:
    """Answers of all exits, by the exit that is kept before them.

    Attributes:
        values: Distinct confidences, falling, then minus infinity if some never leave.
        count: How many of these are reached by a threshold.
        wide: Which blocks have more than one rank, so that thresholds lie between their ends.
        edges: Edge ``j`` lies behind so many ranks: all confidences of these ranks have left there.
    """

    def __init__(self, problem: FrontProblem, blocks: int) -> None:
        self._problem = problem
        self._exits = len(problem.mounts)
        self._static = problem.static.astype(np.int64)
        seen = [self._confidence(before, k) for before, k in self._pairs()]
        falling, ranks = np.unique(-np.stack(seen) if seen else np.zeros((0, 0)), return_inverse=True)
        self.values: Float32 = -falling.astype(np.float32)
        self.count = int(np.count_nonzero(self.values > -np.inf))
        self.edges: Ints = self._even(ranks, blocks)
        self.wide: Bools = np.diff(self.edges) > 1
        self._ranked = {
            pair: self._as_ranked(rank, self._correct(*pair))
            for pair, rank in zip(self._pairs(), ranks.reshape(-1, problem.images), strict=True)
        }
        self._finals: dict[tuple[int | None, int], Ints] = {}

    @property
    def blocks(self) -> int:
        """How many blocks there are between edges."""
        return len(self.edges) - 1

    def exit(self, before: int | None, k: int) -> AnswersByRank:
        """Return what an exit answers behind another, or as the first one."""
        return self._ranked[None if self._problem.after is None else before, k]

    def final(self, before: int | None, final: int) -> Ints:
        """Return the kinds of answers [n] of a final head behind an exit, as in ``AnswersByRank``."""
        key = (None if self._problem.after is None else before, final)
        if key not in self._finals:
            right = self._problem.finals[final]
            if key[0] is not None and self._problem.after is not None:
                right = self._problem.after(key[0], self._exits + final)[1]
            self._finals[key] = 2 * right.astype(np.int64) + self._static
        return self._finals[key]

    def _even(self, ranks: Ints, blocks: int) -> Ints:
        """Return edges with about as many answers in each block; many of one confidence have their own."""
        answers = np.bincount(ranks.ravel(), minlength=self.count)[: self.count].cumsum()
        shares = np.arange(1, blocks + 1) / blocks * (answers[-1] if self.count else 0)
        behind = np.searchsorted(answers, shares - 0.5) + 1
        # A block that ends with a frequent confidence begins with it.
        before = behind[np.diff(answers, prepend=0)[behind - 1] > shares[0]] - 1 if self.count else behind
        edges = np.unique(np.concatenate([[0], behind, before]))
        within: Ints = edges[edges <= self.count].astype(np.int64)
        return within

    def _pairs(self) -> list[tuple[int | None, int]]:
        mounts = self._problem.mounts
        alone: list[tuple[int | None, int]] = [(None, k) for k in range(self._exits)]
        if self._problem.after is None:
            return alone
        return alone + [
            (before, k)
            for k in range(self._exits)
            for before in range(self._exits)
            if mounts[before] < mounts[k]
        ]

    def _confidence(self, before: int | None, k: int) -> Float32:
        problem = self._problem
        seen = problem.confidence[k]
        if before is not None and problem.after is not None:
            seen = problem.after(before, k)[0]
        # What is not a number leaves at no threshold.
        confidence: Float32 = np.where(np.isnan(seen), -np.inf, seen).astype(np.float32)
        return confidence

    def _correct(self, before: int | None, k: int) -> Bools:
        problem = self._problem
        if before is not None and problem.after is not None:
            return np.asarray(problem.after(before, k)[1], bool)
        correct: Bools = problem.correct[k]
        return correct

    def _as_ranked(self, rank: Ints, right: Bools) -> AnswersByRank:
        block = np.searchsorted(self.edges, rank, side="right")
        return AnswersByRank(rank.astype(np.int64), block, 2 * right.astype(np.int64) + self._static)
