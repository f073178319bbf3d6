"""Allocations that smaller memories would have: more room leaves fewer bits to fetch, not less time.

A memory that takes a whole tensor waits for all of it before the first operation, where one with room for a
part of it computes meanwhile. What a smaller memory holds fits a larger one, so its allocations are looked at
too: then no layer is slower where there is more room. Source: this project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from targets.cost.model.allocation import Levels, bits_held, combined
from targets.cost.model.batch import Batch, Bools, at
from targets.cost.model.nest import Floats, Ints
from targets.cost.model.unrolling import Placed
from targets.description.hierarchy import Hierarchy, MemoryLevel

# Combinations of prefixes looked at at once, to bound memory.
MAX_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Allocated:
    """Some orders of a batch with the loops of their memories so far.

    Attributes:
        rows: ``[M]``, positions in the batch; an order may be there several times.
        below: Per operand ``[M]``, loops at or below the last memory of its chain so far.
        levels: Per operand, per memory so far, ``[M]``.
        spent: ``[M]``, what the judge has added up.
    """

    rows: Ints
    below: dict[str, Ints]
    levels: Levels
    spent: Floats

    def taken(self, chosen: Ints | Bools) -> Allocated:
        """Return some of these orders."""
        return Allocated(
            self.rows[chosen],
            {op: ends[chosen] for op, ends in self.below.items()},
            {op: [ends[chosen] for ends in levels] for op, levels in self.levels.items()},
            self.spent[chosen],
        )


@dataclass(frozen=True)
class Judged:
    """What is known of allocations when one more memory has its loops; arrays ``[M]``.

    Attributes:
        worth: It is worth going on with them.
        hopeful: Those of the same orders for less room in that memory may be.
        spent: The new sum of what memories add up.
    """

    worth: Bools
    hopeful: Bools
    spent: Floats


class Judge(Protocol):
    """Tells allocations that may be good from others."""

    def judge(
        self, memory: str, held: dict[str, Floats], fetched: dict[str, Floats], spent: Floats
    ) -> Judged:
        """Judge allocations by what a memory holds and exchanges with the one above, bits per operand.

        Less room in the memory means that it holds fewer bits and exchanges more, all operands together.
        """


def all_allocations(
    batch: Batch, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], judge: Judge, most: bool = True
) -> Allocated:
    """Return the allocations that ``allocate`` makes of a batch for these memories and for all smaller ones.

    Of memories of any sizes up to those of ``hierarchy``, each allocation is there once; those for smaller
    sizes are always among those for larger ones.

    Args:
        batch: The orders.
        hierarchy: The core.
        placed: The spatial mapping.
        links: Operands that use the memories of another one.
        judge: Which of them to go on with.
        most: Decides between allocations that leave the same to fetch; see ``allocate``.
    """
    operands = batch.shape.nest.operands
    users: dict[str, str] = {links.get(op, op): op for op in operands}
    top = {op: hierarchy.levels(links.get(op, op))[-1][0] for op in operands}
    count = batch.count
    part = Allocated(
        np.arange(count), {op: np.zeros(count, np.int64) for op in operands}, {op: [] for op in operands},
        np.zeros(count),
    )  # fmt: skip
    for name, memory in hierarchy.memories.items():
        held = [users[op] for op in memory.operands if op in users]
        if not held:
            continue
        tops = [op for op in held if top[op] == name]
        others = [op for op in held if op not in tops]
        sizes = {
            op: bits_held(batch, placed, op, len(part.levels[op]), part.below[op], part.rows) for op in held
        }
        used = sum((sizes[op][:, -1] for op in tops), np.zeros(len(part.rows)))
        picks = {op: np.full(len(part.rows), batch.length) for op in tops}
        if others:
            none = np.zeros(0, np.int64)
            chosen = [
                (none, dict.fromkeys(others, none), np.zeros(0)),
                *_choices(batch, name, memory, part, others, sizes, used, judge, most),
            ]
            parents = np.concatenate([rows for rows, _, _ in chosen])
            spent = np.concatenate([sums for _, _, sums in chosen])
            part = replace(part.taken(parents), spent=spent)
            picks = {op: ends[parents] for op, ends in picks.items()}
            picks |= {op: np.concatenate([ends[op] for _, ends, _ in chosen]) for op in others}
        else:
            fits = used <= memory.size_bits
            picks = {op: ends[fits] for op, ends in picks.items()}
            part = part.taken(fits)
        for op in held:
            part.below[op] = picks[op]
            part.levels[op].append(picks[op])
    return part


def _choices(
    batch: Batch,
    name: str,
    memory: MemoryLevel,
    part: Allocated,
    operands: list[str],
    sizes: dict[str, Floats],
    used: Floats,
    judge: Judge,
    most: bool,
) -> Iterator[tuple[Ints, dict[str, Ints], Floats]]:
    """Yield orders of ``part``, the prefix of each operand that some size of ``memory`` takes, what is spent.

    The largest size comes first; the next is one that the choice of the last does not fit any more.
    """
    prefixes = batch.length + 1
    axes = (prefixes,) * len(operands)
    positions = np.arange(prefixes)
    left = (batch.cycles[:, -1:] / batch.cycles)[part.rows]
    step = max(1, MAX_COMBINATIONS // prefixes ** len(operands))
    for start in range(0, len(part.rows), step):
        chunk = np.arange(start, min(start + step, len(part.rows)))
        bits = {
            op: np.where(positions >= part.below[op][chunk, None], sizes[op][chunk], np.inf)
            for op in operands
        }
        fetched = {op: left[chunk] * sizes[op][chunk] for op in operands}
        need = combined([bits[op] for op in operands])
        away = combined([fetched[op] for op in operands])
        if most:
            # Of equal minima the last holds most.
            need, away = need[:, ::-1], away[:, ::-1]
        need, away = np.ascontiguousarray(need), np.ascontiguousarray(away)
        room = memory.size_bits - used[chunk]
        while len(chunk):
            away = np.where(need <= room[:, None], away, np.inf)
            best = away.argmin(axis=1)
            flat = need.shape[1] - 1 - best if most else best
            picks = dict(zip(operands, np.unravel_index(flat, axes), strict=True))
            there = chunk - start
            held = {op: bits[op][there, p] for op, p in picks.items()}
            moved = {op: fetched[op][there, p] for op, p in picks.items()}
            judged = judge.judge(name, held, moved, part.spent[chunk])
            fits = np.isfinite(at(away, best))
            good, on = fits & judged.worth, fits & judged.hopeful
            yield chunk[good], {op: p[good] for op, p in picks.items()}, judged.spent[good]
            room = np.nextafter(at(need, best)[on], -np.inf)
            chunk, need, away = chunk[on], need[on], away[on]
