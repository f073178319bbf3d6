"""How networks and thresholds of a front are measured: objectives as they are minimised, and limits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.allowed import most_lost
from eecompile.exits.fronts.front_problem import (
    ACCURACY,
    LATENCY,
    MEMORY,
    WORST_LATENCY,
    FrontProblem,
    Kept,
)

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Levels of an objective that is not counted in images, in the screen of the archive.
_LEVELS = 64
EPSILON = 1e-9


class FrontMeasures:
    """Objectives and limits of a problem, as sums over its images.

    Args:
        problem: What is searched.

    Attributes:
        names: The objectives, the one that varies most finely last: the screen holds its values, not levels.
        figures: The costs that objectives or limits need.
        fewest_right: So many right answers a point within these limits has at least.
        most_left: So many images reach the final exit at most.
        most_costs: So much of each limited figure all images take at most.
        needs_memory: Memory is an objective or limited.
    """

    def __init__(self, problem: FrontProblem) -> None:
        self._problem, limits = problem, problem.limits
        asked = [name for name in problem.objectives if name in problem.costs]
        limited = [*limits.means, *([limits.figure] if limits.cost_ratio is not None else [])]
        worst = WORST_LATENCY in problem.objectives or limits.worst_latency is not None
        self.figures = tuple(dict.fromkeys([*asked, *limited, *([LATENCY] if worst else [])]))
        self.names = tuple(
            sorted(problem.objectives, key=lambda name: (name != ACCURACY, name in problem.costs))
        )
        self.fewest_right = self._fewest_right()
        self.needs_memory = MEMORY in problem.objectives or limits.memory is not None
        self.most_left = problem.images
        if limits.final_ratio is not None:
            self.most_left = int(np.floor(limits.final_ratio * problem.images + EPSILON))
        means = dict(limits.means)
        if limits.cost_ratio is not None:
            most = limits.cost_ratio * problem.static_costs[limits.figure]
            means[limits.figure] = min(most, means.get(limits.figure, np.inf))
        self.most_costs = {name: most * problem.images * (1 + EPSILON) for name, most in means.items()}

    def levels(self) -> list[Float64]:
        """Return the levels of all objectives but the last, for the screen of the archive."""
        return [self._levels(name) for name in self.names[:-1]]

    def vectors(self, right: Ints, costs: Float64, fixed: Mapping[str, float | Float64]) -> Float64:
        """Return all objectives as they are minimised, sums over the images, [points, objectives].

        Args:
            right: [points] right answers.
            costs: [figures, points].
            fixed: What thresholds do not change: of one network, or [points] of as many.
        """
        rows = []
        for name in self.names:
            if name == ACCURACY:
                rows.append(self._problem.images - right)
            elif name in fixed:
                rows.append(np.full(len(right), fixed[name]))
            else:
                rows.append(costs[self.figures.index(name)])
        return np.stack(rows, axis=1).astype(np.float64)

    def keeps(self, left: Ints, costs: Float64) -> Bools:
        """Return where the ratios of the final exit [points] and of costs [figures, points] are kept."""
        fine: Bools = left <= self.most_left
        for name, most in self.most_costs.items():
            fine &= costs[self.figures.index(name)] <= most
        return fine

    def fixed(self, kept: Kept, final: int, worst_latency: float | None) -> dict[str, float]:
        """Return what thresholds do not change."""
        known = {} if worst_latency is None else {WORST_LATENCY: worst_latency}
        if self.needs_memory:
            assert self._problem.memory is not None
            known[MEMORY] = self._problem.memory(kept, final)
        return known

    def is_too_much(self, fixed: Mapping[str, float]) -> bool:
        """Return whether what thresholds do not change breaks a limit."""
        limits = self._problem.limits
        return any(
            limit is not None and fixed[name] > limit * (1 + EPSILON)
            for name, limit in ((WORST_LATENCY, limits.worst_latency), (MEMORY, limits.memory))
        )

    def allowed(self, right: Ints, lost: Ints) -> Bools:
        """Return which counts of right and lost images are within the limits on accuracy and its drop."""
        allows, enough = self._problem.limits.allows, np.asarray(right >= self.fewest_right)
        if allows is None:
            return enough
        return enough & allows(lost, right - int(self._problem.static.sum()) + lost)

    def _levels(self, name: str) -> Float64:
        problem = self._problem
        if name == ACCURACY:
            return np.arange(problem.images + 1, dtype=np.float64)
        full: Kept = ()
        for options in problem.options:
            full += tuple(k for k in options if k is not None and problem.is_network((*full, k)))[-1:]
        if name == MEMORY:
            assert problem.memory is not None
            some = [full[:count] for count in range(len(full) + 1)]
            return np.unique([problem.memory(kept, 0) for kept in some])
        costs = problem.costs[LATENCY if name == WORST_LATENCY else name]
        most = max(costs.paths(full, problem.mounts, f)[-1] for f in range(len(problem.finals)))
        images = 1 if name == WORST_LATENCY else problem.images
        return images * np.linspace(0, most, _LEVELS)

    def _fewest_right(self) -> int:
        limits, static = self._problem.limits, self._problem.static
        fewest = int(np.ceil((limits.accuracy or 0.0) * len(static) - EPSILON))
        if limits.allows is None:
            return fewest
        wrong, right = int((~static).sum()), int(static.sum())
        most = most_lost(limits.allows, wrong, right)
        change = (np.arange(wrong + 1) - most)[most >= 0]
        return max(fewest, right + int(change.min())) if len(change) else len(static) + 1
