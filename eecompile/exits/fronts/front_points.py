"""What a front over exits and thresholds consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.fronts.front_archive import FrontSpot
from eecompile.exits.fronts.front_problem import (
    ACCURACY,
    FINAL_RATIO,
    LATENCY,
    MEMORY,
    WORST_LATENCY,
    FrontProblem,
)
from eecompile.exits.fronts.pareto import nondominated
from eecompile.exits.fronts.ranked_answers import RankedAnswers

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        gap: No thresholds of any network that are as accurate cost less by more than this share, in all costs
            that are objectives; 0: none do.
    """

    kept: tuple[int, ...]
    final: int
    thresholds: tuple[np.float32 | None, ...]
    accuracy: float
    ratios: tuple[float, ...]
    figures: Mapping[str, float]
    gap: float = 0.0

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
        least: What each limited figure can be at least, each on its own.
        exact: It is the whole front; else there may be better points, by the ``gap`` of each.
    """

    objectives: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    subsets: int
    evaluations: int
    swept: int
    least: Mapping[str, float]
    exact: bool = True

    @property
    def values(self) -> Float64:
        """The points as rows, all objectives minimised, [points, objectives]."""
        rows = [[point.value(name) for name in self.objectives] for point in self.points]
        return np.array(rows, np.float64).reshape(-1, len(self.objectives))


def undominated(points: Sequence[FrontPoint], objectives: Sequence[str]) -> tuple[FrontPoint, ...]:
    """Return the points that no other dominates, by their final figures.

    Sums in another order may differ in their last digits, which would keep what is no better.
    """
    values = [[point.value(name) for name in objectives] for point in points]
    table = np.array(values, np.float64).reshape(-1, len(objectives))
    return tuple(points[row] for row in nondominated(table).tolist())


def point_at(
    problem: FrontProblem, answers: RankedAnswers, spot: FrontSpot, joint: bool, gap: float = 0.0
) -> FrontPoint:
    """Return a point with all its figures, counted from its images one by one.

    Args:
        problem: What was searched.
        answers: Its answers, ranked.
        spot: Where the point lies.
        joint: Its exits share one threshold.
        gap: By how much others may be better.
    """
    kept = spot.kept
    seen = answers.network(kept)
    rank = np.array([one.rank for one in seen]).reshape(-1, problem.images)
    where = np.full(problem.images, len(kept))
    for number in reversed(range(len(kept))):
        where[rank[number] <= spot.ranks[number]] = number
    kinds = np.stack([*(one.kind for one in seen), answers.final(spot.final)])
    counts = np.bincount(where, minlength=len(kept) + 1)
    ratios = tuple((counts / problem.images).tolist())
    paths = {name: costs.paths(kept, problem.mounts, spot.final) for name, costs in problem.costs.items()}
    figures = {name: float(counts @ path) / problem.images for name, path in paths.items()}
    figures[FINAL_RATIO] = ratios[-1]
    if LATENCY in paths:
        figures[WORST_LATENCY] = float(paths[LATENCY][-1])
    if problem.memory is not None:
        figures[MEMORY] = float(problem.memory(kept, spot.final))
    right = int((kinds[where, np.arange(problem.images)] > 1).sum())
    rows = [rank] * len(kept) if joint else list(rank)
    thresholds = tuple(_threshold(row, last, answers) for row, last in zip(rows, spot.ranks, strict=True))
    return FrontPoint(kept, spot.final, thresholds, right / problem.images, ratios, figures, gap)


def _threshold(rank: Ints, last: int, answers: RankedAnswers) -> np.float32 | None:
    """Return the middle between the lowest confidence that leaves and the highest that does not."""
    leaves, stays = rank[rank <= last], rank[(rank > last) & (rank < answers.count)]
    if not leaves.size:
        return None
    high = answers.values[leaves.max()]
    if not stays.size:
        return np.float32(high)
    low = answers.values[stays.min()]
    middle = np.float32((float(high) + float(low)) / 2)
    return np.float32(high) if middle <= low else middle
