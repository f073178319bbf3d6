"""The cheapest path through the lattice: where each boundary lies, when every choice has a price."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from targets.cost.nest import Floats

Key = tuple[str, int]  # operand, level


@dataclass(frozen=True)
class Path:
    """Points of all boundaries on one path, and the sum of their prices."""

    value: float
    points: dict[Key, int]


class PathSolver:
    """Finds points for all boundaries, in order along one path, with the least sum of prices.

    The points of an operand do not fall from level to level, and points of different operands must lie
    on a common path: each is above or below every other. Dynamic programming over how many boundaries of
    each operand have been passed; between two of them the best price so far travels up every axis of the
    grid, so one pass costs stages x axes x points.
    """

    def __init__(self, shape: tuple[int, ...], levels: dict[str, list[int]]) -> None:
        self.shape = shape
        self.operands = tuple(levels)
        self.levels = levels
        self._stages = list(itertools.product(*(range(len(levels[op]) + 1) for op in self.operands)))

    def solve(self, prices: dict[Key, Floats]) -> Path | None:
        """Return the cheapest path; ``None`` if a boundary has no allowed point on a common path.

        Args:
            prices: Per boundary ``[S]``; infinite where it must not lie.
        """
        best: dict[tuple[int, ...], Floats] = {}
        arrived: dict[tuple[int, ...], Floats] = {}
        start = (0,) * len(self.operands)
        for stage in self._stages:
            if stage == start:
                arrived[stage] = np.full(self.shape, np.inf)
                arrived[stage].flat[0] = 0.0
                best[stage] = np.zeros(self.shape)
                continue
            here: Floats = np.full(self.shape, np.inf)
            for before, key in self._steps(stage):
                here = np.minimum(here, best[before] + prices[key].reshape(self.shape))
            arrived[stage] = here
            for axis in range(len(self.shape)):
                here = np.minimum.accumulate(here, axis=axis)
            best[stage] = here
        value = float(best[self._stages[-1]].flat[-1])
        return Path(value, self._trace(best, arrived, prices)) if np.isfinite(value) else None

    def _steps(self, stage: tuple[int, ...]) -> list[tuple[tuple[int, ...], Key]]:
        steps = []
        for i, op in enumerate(self.operands):
            if stage[i]:
                before = (*stage[:i], stage[i] - 1, *stage[i + 1 :])
                steps.append((before, (op, self.levels[op][stage[i] - 1])))
        return steps

    def _trace(
        self,
        best: dict[tuple[int, ...], Floats],
        arrived: dict[tuple[int, ...], Floats],
        prices: dict[Key, Floats],
    ) -> dict[Key, int]:
        stage = self._stages[-1]
        corner = tuple(n - 1 for n in self.shape)
        points: dict[Key, int] = {}
        while any(stage):
            box = tuple(slice(0, c + 1) for c in corner)
            inside = arrived[stage][box]
            # The highest of equal points: what it leaves above is least.
            at = np.flatnonzero(inside.ravel() == best[stage][corner])[-1]
            corner = tuple(int(c) for c in np.unravel_index(at, inside.shape))
            point = int(np.ravel_multi_index(corner, self.shape)) if corner else 0
            for before, key in self._steps(stage):
                if best[before][corner] + prices[key][point] == arrived[stage][corner]:
                    points[key] = point
                    stage = before
                    break
        return points
