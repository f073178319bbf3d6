"""Which loops run below which memory: orders of loops allocated bottom-up, many at once."""

from __future__ import annotations

from functools import reduce

import numpy as np

from targets.cost.model.batch import Batch, Bools, at
from targets.cost.model.nest import Floats, Ints
from targets.cost.model.unrolling import Placed
from targets.description.hierarchy import Hierarchy, MemoryLevel

# Combinations of prefixes looked at at once, to bound memory.
MAX_COMBINATIONS = 2_000_000
# Per operand, per memory of its chain, [N]: how many loops run at or below it.
Levels = dict[str, list[Ints]]


def allocate(
    batch: Batch, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], most: bool = True
) -> tuple[Levels, Bools]:
    """Give every memory, from the inside, as many loops of each operand as pay.

    A memory takes the combination of prefixes that fits it and leaves the fewest bits to fetch from the
    memory above (iterations left x bits held, summed over its operands); of equal ones, the one that holds
    most of the first operand, then of the second, or least without ``most``. Outermost memories take all
    that is left. Source: ZigZag's loop-order based memory allocation.

    Returns:
        Levels per operand and which orders fit at all.
    """
    users: dict[str, str] = {links.get(op, op): op for op in batch.shape.nest.operands}
    top = {op: hierarchy.levels(links.get(op, op))[-1][0] for op in batch.shape.nest.operands}
    below = {op: np.zeros(batch.count, np.int64) for op in batch.shape.nest.operands}
    levels: Levels = {op: [] for op in batch.shape.nest.operands}
    fits = np.ones(batch.count, bool)
    for name, memory in hierarchy.memories.items():
        held = [users[op] for op in memory.operands if op in users]
        if not held:
            continue
        sizes = {op: bits_held(batch, placed, op, len(levels[op]), below[op]) for op in held}
        tops = [op for op in held if top[op] == name]
        chosen = {op: np.full(batch.count, batch.length) for op in tops}
        used = sum((sizes[op][:, -1] for op in tops), np.zeros(batch.count))
        others = [op for op in held if op not in tops]
        if others:
            picks, feasible = _best_prefixes(batch, memory, others, sizes, below, used, most)
            chosen |= picks
            fits &= feasible
        else:
            fits &= used <= memory.size_bits
        for op in held:
            below[op] = chosen[op]
            levels[op].append(chosen[op])
    return levels, fits


def fitting(
    batch: Batch, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], levels: Levels
) -> Bools:
    """Return which mappings, orders with their levels, fit all memories; the rule of :func:`allocate`."""
    used: dict[str, Floats] = {}
    for (_, name), held in rooms(batch, hierarchy, placed, links, levels).items():
        used[name] = used.get(name, 0.0) + held
    fits: Bools = np.all([bits <= hierarchy.memories[name].size_bits for name, bits in used.items()], axis=0)
    return fits


def rooms(
    batch: Batch, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], levels: Levels
) -> dict[tuple[str, str], Floats]:
    """Return the bits each operand takes in one instance of each of its memories, ``[N]``.

    Results are as wide as partial sums where loops that add to them are left above the memory below.
    """
    found: dict[tuple[str, str], Floats] = {}
    for op in batch.shape.nest.operands:
        below = np.zeros(batch.count, np.int64)
        for level, (name, _) in enumerate(hierarchy.levels(links.get(op, op))):
            end = levels[op][level]
            found[op, name] = at(bits_held(batch, placed, op, level, below), end)
            below = end
    return found


def bits_held(
    batch: Batch, placed: Placed, operand: str, level: int, below: Ints, rows: Ints | None = None
) -> Floats:
    """Return ``[M, n + 1]``, bits of ``operand`` in one instance of its memory ``level`` per prefix.

    Args:
        batch: The orders.
        placed: The spatial mapping.
        operand: Whose memories these are.
        level: Of these, from the inside.
        below: ``[M]``, loops at or below the memory below.
        rows: ``[M]``, the orders; all of the batch if not given.
    """
    bits = batch.shape.bits
    elements = batch.footprint(operand, placed.mean[operand].inside[level + 1])
    reduced = batch.reduced_from["O"]
    if rows is not None:
        elements, reduced = elements[rows], reduced[rows]
    if operand != "O":
        return elements * bits[operand]
    partial = (below < reduced) | placed.mean["O"].reduces[level + 1]
    return elements * np.where(partial, bits["O"], bits["O_final"])[:, None]


def _best_prefixes(
    batch: Batch,
    memory: MemoryLevel,
    operands: list[str],
    sizes: dict[str, Floats],
    below: dict[str, Ints],
    used: Floats,
    most: bool,
) -> tuple[dict[str, Ints], Bools]:
    """Return the prefix of each operand that ``memory`` takes, and which orders fit."""
    prefixes = batch.length + 1
    positions = np.arange(prefixes)
    left = batch.cycles[:, -1:] / batch.cycles
    bits, fetched = [], []
    for op in operands:
        allowed = positions >= below[op][:, None]
        bits.append(np.where(allowed, sizes[op], np.inf))
        fetched.append(left * sizes[op])
    best = np.zeros(batch.count, np.int64)
    fits = np.zeros(batch.count, bool)
    step = max(1, MAX_COMBINATIONS // prefixes ** len(operands))
    for start in range(0, batch.count, step):
        rows = slice(start, start + step)
        room = memory.size_bits - used[rows]
        best[rows], fits[rows] = _least_fetched(
            [b[rows] for b in bits], [f[rows] for f in fetched], room, most
        )
    where = np.unravel_index(best, (prefixes,) * len(operands))
    return {op: where[axis].astype(np.int64) for axis, op in enumerate(operands)}, fits


def _least_fetched(bits: list[Floats], fetched: list[Floats], room: Floats, most: bool) -> tuple[Ints, Bools]:
    """Return, over all combinations of prefixes in row-major order, which fits and fetches least."""
    flat = np.where(combined(bits) <= room[:, None], combined(fetched), np.inf)
    # Of equal minima the last holds most.
    best = flat.shape[1] - 1 - flat[:, ::-1].argmin(axis=1) if most else flat.argmin(axis=1)
    return best, np.isfinite(at(flat, best))


def combined(terms: list[Floats]) -> Floats:
    """Return the sums over all combinations of prefixes in row-major order, ``[N, (n + 1) ** operands]``."""
    count, axes = len(terms[0]), len(terms)
    shapes = [[count, *(-1 if i == axis else 1 for i in range(axes))] for axis in range(axes)]
    total = reduce(np.add, (term.reshape(shape) for term, shape in zip(terms, shapes, strict=True)))
    return np.asarray(total).reshape(count, -1)
