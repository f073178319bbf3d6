"""The cheapest path through the lattice: where each boundary lies, when every choice has a price."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import reduce

import numpy as np

from targets.cost.model.nest import Floats

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
        self._steps = {stage: self._steps_to(stage) for stage in self._stages}

    def solve(self, prices: dict[Key, Floats]) -> Path | None:
        """Return the cheapest path; ``None`` if a boundary has no allowed point on a common path.

        Args:
            prices: Per boundary ``[S]``; infinite where it must not lie.
        """
        return self.solve_all({key: price[None] for key, price in prices.items()})[0]

    def solve_all(self, prices: dict[Key, Floats]) -> list[Path | None]:
        """Return the cheapest path for each of K sets of prices, ``[K, S]`` per boundary."""
        # Sets last: then every step along an axis works on contiguous runs.
        columns = {key: np.ascontiguousarray(price.T) for key, price in prices.items()}
        points, sets = next(iter(columns.values())).shape
        best: dict[tuple[int, ...], Floats] = {self._stages[0]: np.zeros((points, sets))}
        arrived: dict[tuple[int, ...], Floats] = {}
        for stage in self._stages[1:]:
            steps = [best[before] + columns[key] for before, key in self._steps[stage]]
            here = reduce(np.minimum, steps)
            arrived[stage] = here
            best[stage] = self._upwards(here.copy())
        values = best[self._stages[-1]][-1]
        return [
            Path(float(value), self._trace(k, best, arrived, columns)) if np.isfinite(value) else None
            for k, value in enumerate(values)
        ]

    def _upwards(self, values: Floats) -> Floats:
        """Replace each value by the least at or below its point, in place."""
        points, sets = values.shape
        inner = points
        for length in self.shape:
            inner //= length
            grid = values.reshape(-1, length, inner * sets)
            for i in range(1, length):
                np.minimum(grid[:, i], grid[:, i - 1], out=grid[:, i])
        return values

    def _steps_to(self, stage: tuple[int, ...]) -> list[tuple[tuple[int, ...], Key]]:
        """Return the stages one boundary earlier, each with that boundary."""
        return [
            ((*stage[:i], stage[i] - 1, *stage[i + 1 :]), (op, self.levels[op][stage[i] - 1]))
            for i, op in enumerate(self.operands)
            if stage[i]
        ]

    def _trace(
        self,
        k: int,
        best: dict[tuple[int, ...], Floats],
        arrived: dict[tuple[int, ...], Floats],
        prices: dict[Key, Floats],
    ) -> dict[Key, int]:
        """Walk back from the last stage at the top of the grid to the boundary set first."""
        stage = self._stages[-1]
        point = int(np.prod(self.shape)) - 1
        points: dict[Key, int] = {}
        while any(stage):
            corner = np.unravel_index(point, self.shape)
            inside = arrived[stage][:, k].reshape(self.shape)[tuple(slice(0, c + 1) for c in corner)]
            # The highest of equal points: what it leaves above is least.
            at = np.flatnonzero(inside.ravel() == best[stage][point, k])[-1]
            found = np.unravel_index(at, inside.shape)
            point = int(np.ravel_multi_index(found, self.shape)) if found else 0
            for before, key in self._steps[stage]:
                if best[before][point, k] + prices[key][point, k] == arrived[stage][point, k]:
                    points[key] = point
                    stage = before
                    break
        return points
