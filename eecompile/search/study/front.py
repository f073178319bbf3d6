"""The front of a search while it grows: which points count, and which of a candidate's points stands for it.

All vectors are minimised: accuracy with its sign turned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.pareto import best_addition, hypervolume, nondominated

Float64 = NDArray[np.float64]
Point = Mapping[str, Any]


@dataclass
class GrowingFront:
    """Points of candidates, in the order in which these were told.

    Attributes:
        objectives: Keys of the points that count.
        maximised: Those of them that are the better the larger.
        reference: What each objective is worst at, minimised; until it is known, the first candidate's worst.
        points: All points that no other dominates, with their candidate.
    """

    objectives: tuple[str, ...]
    maximised: frozenset[str]
    reference: Float64 | None = None
    points: list[tuple[int, Point]] = field(default_factory=list)

    def vectors(self, points: Sequence[Point]) -> Float64:
        """Return points as rows that are minimised."""
        rows = [
            [-float(p[name]) if name in self.maximised else float(p[name]) for name in self.objectives]
            for p in points
        ]
        return np.array(rows, np.float64).reshape(-1, len(self.objectives))

    def stands_for(self, points: Sequence[Point]) -> int:
        """Return which of a candidate's points stands for it: the one that adds most to the front.

        Where none adds any it is the one that comes nearest: of the largest volume of its own.
        """
        rows = self.vectors(points)
        corner = self._corner(rows)
        front = self.vectors([point for _, point in self.points])
        best, _ = best_addition(front, rows, corner)
        if best is None:
            best = int(np.argmax([hypervolume(row[None], corner) for row in rows]))
        return best

    def added(self, points: Sequence[Point]) -> float:
        """Return how much volume a candidate's points would add, together."""
        rows = self.vectors(points)
        corner = self._corner(rows)
        front = self.vectors([point for _, point in self.points])
        return hypervolume(np.concatenate([front, rows]), corner) - hypervolume(front, corner)

    def own(self, points: Sequence[Point]) -> float:
        """Return the hypervolume of a candidate's points by themselves, as :attr:`share`; 0 without any."""
        return self._share_of(self.vectors(points)) if points else 0.0

    def take(self, candidate: int, points: Sequence[Point]) -> None:
        """Add a candidate's points; those that are dominated go."""
        if points and self.reference is None:
            self.reference = self._corner(self.vectors(points))
        found = [*self.points, *((candidate, point) for point in points)]
        kept = nondominated(self.vectors([point for _, point in found]))
        self.points = [found[k] for k in sorted(kept.tolist())]

    @property
    def share(self) -> float:
        """Hypervolume, as a share of the box between the reference and what nothing is better than.

        That is no cost at all, and all answers right.
        """
        return self._share_of(self.vectors([point for _, point in self.points]))

    def _share_of(self, rows: Float64) -> float:
        if self.reference is None or not len(rows):
            return 0.0
        ideal = np.array([-1.0 if name in self.maximised else 0.0 for name in self.objectives])
        return hypervolume(rows, self.reference) / float(np.prod(self.reference - ideal))

    def _corner(self, rows: Float64) -> Float64:
        """Return the reference: what was told, or the worst of the first candidate, a tenth beyond."""
        if self.reference is not None:
            return self.reference
        worst = rows.max(axis=0)
        return np.asarray(worst + 0.1 * np.abs(worst))
