"""Paths to mappings: orders that lead through given points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from targets.cost.search.bounds import Bounds
from targets.cost.search.local_search import Rows
from targets.cost.search.orderings import Factor
from targets.cost.search.shortest_paths import Path

# Orders tried per path: the path leaves open how loops are ordered between two boundaries.
VARIANTS = 8

Order = tuple[list[Factor], dict[str, list[int]]]


def realised(bounds: Bounds, paths: list[Path]) -> Iterator[Order]:
    """Yield orders that lead through the points of each path, with their levels.

    Between two points, loops relevant to the operand whose memory ends there go last: what is replaced at
    once is then least, and the memory may double-buffer. Then the other way round, then at random.
    """
    lattice = bounds.lattice
    random = np.random.default_rng(0)
    for path in {tuple(sorted(p.points.items())): p for p in paths}.values():
        stops = sorted({0, *path.points.values(), lattice.count - 1}, key=lambda p: (lattice.cycles[p], p))
        for variant in range(VARIANTS):
            loops: list[Factor] = []
            position = {0: 0}
            for inner, outer in itertools.pairwise(stops):
                between = lattice.factors_between(inner, outer)
                owners = [op for (op, level), point in path.points.items() if point == outer and level >= 0]
                if variant < 2 and owners:
                    last = (bounds.shape.direct if variant == 0 else bounds.shape.irrelevant)[owners[0]]
                    between = [f for f in between if not last[f[0]]] + [f for f in between if last[f[0]]]
                else:
                    between = [between[i] for i in random.permutation(len(between))]
                loops += between
                position[outer] = len(loops)
            yield (
                loops,
                {
                    op: [*(position[path.points[op, b.level]] for b in chain if b.level >= 0), len(loops)]
                    for op, chain in bounds.boundaries.items()
                },
            )


def rows_of(orders: list[Order]) -> Rows:
    """Return orders of the same factors as arrays."""
    length = len(orders[0][0])
    return Rows(
        np.array([[loop for loop, _ in loops] for loops, _ in orders], np.int64).reshape(len(orders), length),
        np.array([[size for _, size in loops] for loops, _ in orders], np.int64).reshape(len(orders), length),
        {op: np.array([levels[op] for _, levels in orders], np.int64) for op in orders[0][1]},
    )
