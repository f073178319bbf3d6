"""Answers with their confidences as ranks, and blocks of ranks, over all exits together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_problem import FrontProblem, Kept

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
    """Answers of all exits, behind the exits that are kept before them.

    Attributes:
        values: Distinct confidences, falling, then minus infinity if some never leave.
        count: How many of these are reached by a threshold.
        wide: Which blocks have more than one rank, so that thresholds lie between their ends.
        edges: Edge ``j`` lies behind so many ranks: all confidences of these ranks have left there.
    """

    def __init__(self, problem: FrontProblem, blocks: int) -> None:
        self._problem = problem
        self._static = problem.static.astype(np.int64)
        seen = _known(problem.confidence)
        asking = problem.asking
        values = seen.ravel() if asking is None else np.concatenate([seen.ravel(), asking.values])
        falling, ranks = np.unique(-values, return_inverse=True)
        self.values: Float32 = -falling.astype(np.float32)
        self.count = int(np.count_nonzero(self.values > -np.inf))
        ranks = ranks.ravel()[: seen.size].reshape(seen.shape)
        self.edges: Ints = self._even(self._spread(ranks), blocks)
        self.wide: Bools = np.diff(self.edges) > 1
        self._alone = [
            self._as_ranked(rank, right) for rank, right in zip(ranks, problem.correct, strict=True)
        ]
        self._finals: list[Ints] = [2 * right.astype(np.int64) + self._static for right in problem.finals]

    @property
    def blocks(self) -> int:
        """How many blocks there are between edges."""
        return len(self.edges) - 1

    def exit(self, before: Kept, k: int) -> AnswersByRank:
        """Return what an exit answers behind all that are kept before it."""
        if not before or not self._problem.asks(k):
            return self._alone[k]
        seen = _known(self._problem.confidence_of(before, k))
        return self._as_ranked(self._ranks(seen), self._problem.correct[k])

    def network(self, kept: Kept) -> list[AnswersByRank]:
        """Return what all early exits of a network answer."""
        return [self.exit(kept[:number], k) for number, k in enumerate(kept)]

    def final(self, final: int) -> Ints:
        """Return the kinds of answers [n] of a final head, as in ``AnswersByRank``."""
        return self._finals[final]

    def _spread(self, ranks: Ints) -> Ints:
        """Return ranks [exits, n] that stand for those in all networks: of exits that ask, all alike."""
        asking = self._problem.asking
        if asking is None:
            return ranks
        found = ranks.copy()
        found[sorted(asking.exits)] = np.resize(self._ranks(asking.values), self._problem.images)
        return found

    def _ranks(self, confidence: Float32) -> Ints:
        """Return the ranks of confidences that are among all there may be."""
        return np.searchsorted(-self.values, -confidence)

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

    def _as_ranked(self, rank: Ints, right: Bools) -> AnswersByRank:
        block = np.searchsorted(self.edges, rank, side="right")
        return AnswersByRank(rank.astype(np.int64), block, 2 * right.astype(np.int64) + self._static)


def _known(confidence: Float32) -> Float32:
    """Return confidences; what is not a number leaves at no threshold."""
    found: Float32 = np.where(np.isnan(confidence), -np.inf, confidence).astype(np.float32)
    return found
