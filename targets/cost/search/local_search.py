"""Better mappings near good ones: orders with two loops exchanged or one moved, levels shifted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from targets.cost.model.allocation import Levels, allocate, fitting
from targets.cost.model.batch import Batch
from targets.cost.model.nest import Ints
from targets.cost.model.unrolling import Placed
from targets.cost.search.problem import BestOrder, MappingProblem
from targets.objective import Objective

MAX_ROUNDS = 24
# Mappings kept from round to round.
BEAM = 4
# Rows costed at once.
MAX_ROWS = 6000


@dataclass(frozen=True)
class Rows:
    """N mappings: orders and, per operand, the level of each memory (``[N, L]``)."""

    loops: Ints
    sizes: Ints
    levels: dict[str, Ints]

    def __len__(self) -> int:
        return len(self.loops)

    def take(self, rows: Ints) -> Rows:
        """Return some of the mappings."""
        return Rows(self.loops[rows], self.sizes[rows], {op: lv[rows] for op, lv in self.levels.items()})

    def columns(self) -> Levels:
        """Return the levels as the cost functions take them."""
        return {op: list(lv.T) for op, lv in self.levels.items()}


def join(parts: list[Rows]) -> Rows:
    """Return all mappings of ``parts``."""
    return Rows(
        np.vstack([p.loops for p in parts]),
        np.vstack([p.sizes for p in parts]),
        {op: np.vstack([p.levels[op] for p in parts]) for op in parts[0].levels},
    )


def climb(
    problem: MappingProblem, placed: Placed, start: Rows, objective: Objective, beam: int = BEAM
) -> tuple[BestOrder, int]:
    """Improve the best of ``start`` until no neighbour is better.

    Returns:
        The best mapping found and how many were costed.
    """
    costed = len(start)
    leaders, best = ranked(problem, placed, start, objective, beam)
    for _ in range(MAX_ROUNDS):
        near = _neighbours(problem, placed, leaders)
        if near is None:
            break
        costed += len(near)
        candidates, found = ranked(problem, placed, near, objective, beam)
        if not found.values < best.values:
            break
        leaders, best = candidates, found
    return best, costed


def ranked(
    problem: MappingProblem, placed: Placed, rows: Rows, objective: Objective, beam: int = BEAM
) -> tuple[Rows, BestOrder]:
    """Return the best ``beam`` of ``rows``, each with other costs, and the best of all."""
    batch = Batch(problem.shape, rows.loops, rows.sizes)
    levels = rows.columns()
    fits = fitting(batch, problem.hierarchy, placed, problem.links, levels)
    first, second = problem.values(placed, batch, levels, fits, objective)
    order = np.lexsort((second, first))
    values = first[order]
    distinct = order[np.concatenate([[True], values[1:] != values[:-1]])][:beam]
    best = problem.candidate(placed, batch, levels, first, second, int(order[0]))
    return rows.take(distinct), best


def _neighbours(problem: MappingProblem, placed: Placed, rows: Rows) -> Rows | None:
    length = rows.loops.shape[1]
    moves = _permutations(length)
    parts = []
    for loops, sizes, *levels in zip(rows.loops, rows.sizes, *rows.levels.values(), strict=True):
        names = list(rows.levels)
        if len(moves):
            new_loops, new_sizes = loops[moves], sizes[moves]
            kept = {op: np.tile(lv, (len(moves), 1)) for op, lv in zip(names, levels, strict=True)}
            parts.append(Rows(new_loops, new_sizes, kept))
            batch = Batch(problem.shape, new_loops, new_sizes)
            greedy, _ = allocate(batch, problem.hierarchy, placed, problem.links)
            parts.append(Rows(new_loops, new_sizes, {op: np.stack(greedy[op], axis=1) for op in names}))
        parts.append(_shifted(loops, sizes, dict(zip(names, levels, strict=True)), length))
    filled = [p for p in parts if len(p)]
    if not filled:
        return None
    joined = join(filled)
    return joined.take(np.arange(min(len(joined), MAX_ROWS)))


def _shifted(loops: Ints, sizes: Ints, levels: dict[str, Ints], length: int) -> Rows:
    """Return the mapping with one level, or levels of two operands, moved by one or two loops."""
    slots = [(op, i) for op, lv in levels.items() for i in range(len(lv) - 1)]
    steps: list[tuple[tuple[tuple[str, int], int], ...]] = [
        ((slot, by),) for slot in slots for by in (-2, -1, 1, 2)
    ]
    steps += [
        ((a, by), (b, to)) for a, b in itertools.combinations(slots, 2) for by in (-1, 1) for to in (-1, 1)
    ]
    found: dict[str, list[Ints]] = {op: [] for op in levels}
    for step in steps:
        moved = {op: lv.copy() for op, lv in levels.items()}
        for (op, i), by in step:
            moved[op][i] += by
        if all((np.diff(lv) >= 0).all() and lv[0] >= 0 and lv[-1] <= length for lv in moved.values()):
            for op, lv in moved.items():
                found[op].append(lv)
    count = len(next(iter(found.values())))
    stacked = {op: np.array(lvs, np.int64).reshape(count, len(levels[op])) for op, lvs in found.items()}
    return Rows(np.tile(loops, (count, 1)), np.tile(sizes, (count, 1)), stacked)


@lru_cache(maxsize=32)
def _permutations(length: int) -> Ints:
    """Return all orders in which two positions are exchanged, or one is moved elsewhere."""
    base = list(range(length))
    found = []
    for i, j in itertools.combinations(range(length), 2):
        swapped = base.copy()
        swapped[i], swapped[j] = swapped[j], swapped[i]
        found.append(swapped)
        for a, b in ((i, j), (j, i)):
            moved = base.copy()
            moved.insert(b, moved.pop(a))
            found.append(moved)
    unique = list(dict.fromkeys(map(tuple, found)))
    return np.array(unique, np.int64).reshape(len(unique), length)
