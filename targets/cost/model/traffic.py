"""What moves between memories: amounts, periods and counts of every transfer of a mapping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from targets.cost.model.allocation import Levels
from targets.cost.model.batch import Batch, Bools, at
from targets.cost.model.nest import Floats, Ints
from targets.cost.model.unrolling import Placed, Spread
from targets.description.hierarchy import Hierarchy, MemoryLevel, Port


@dataclass(frozen=True)
class Transfer:
    """One operand moving one way through one memory; arrays ``[N]``.

    Attributes:
        operand: ``W``, ``I`` or ``O``.
        level: Memory of the operand's chain, 0 innermost.
        direction: One of ``targets.description.hierarchy.DIRECTIONS``.
        elements: Elements moved per period, all instances below together.
        bits: Bits per element.
        period: Iterations between two of these moves.
        count: How often it happens; 0 where it does not.
        rate: Average bits per iteration, whole.
        hold: ``level`` whose buffering decides how long the move may take: that of the lower memory.
    """

    operand: str
    level: int
    direction: str
    elements: Floats
    bits: Floats
    period: Floats
    count: Floats
    rate: Floats
    hold: int


class Chain:
    """One operand's data in its chain of L memories, over N orders.

    Attributes:
        ends: ``[L]`` of ``[N]``: loops at or below each memory. Irrelevant loops right above a memory run
            below it: the data stays.
        period: ``[L + 1]``: iterations after which the data of memory ``i - 1`` changes; entry 0 is the
            multiplier's, which holds inputs still while only irrelevant loops run.
        elements: ``[L + 1]``, elements in one instance of memory ``i - 1``.
        partial: ``[L + 1]``, for outputs: what memory i exchanges with the one below are partial sums.
    """

    def __init__(self, batch: Batch, levels: Levels, operand: str, spread: Spread) -> None:
        self.batch = batch
        self.operand = operand
        self.spread = spread
        resume = batch.resume[operand]
        self.ends = [at(resume, position) for position in levels[operand]]
        self.ends[-1] = np.full(batch.count, batch.length)
        still = np.ones(batch.count) if operand == "O" else at(batch.cycles, resume[:, 0])
        self.period = [still, *(at(batch.cycles, end) for end in self.ends)]
        self.elements = [np.ones(batch.count)]
        for level, end in enumerate(self.ends):
            held = at(batch.footprint(operand, spread.inside[level + 1], spread.exact), end)
            self.elements.append(held if spread.exact else np.round(held))
        bounds = [np.zeros(batch.count, np.int64), *self.ends[:-1]]
        reduced = batch.reduced_from[operand]
        self.partial: list[Bools] = [
            (bound < reduced) | spread.reduces[level + 1] for level, bound in enumerate(bounds)
        ]
        self.partial.append(np.zeros(batch.count, bool))

    def bits(self, level: int) -> Floats:
        """Return bits per element in memory ``level - 1``; of outputs, as memory ``level`` sees them."""
        bits = self.batch.shape.bits
        if self.operand != "O":
            return np.full(self.batch.count, float(bits[self.operand]))
        return np.where(self.partial[level], bits["O"], bits["O_final"]).astype(float)

    def top_relevant(self, level: int) -> Floats:
        """Return the product of the directly relevant loops that end memory ``level``."""
        return self._run(self.batch.relevant_run[self.operand], level)

    def top_irrelevant(self, level: int) -> Floats:
        """Return the product of the irrelevant loops that end memory ``level``."""
        return self._run(self.batch.irrelevant_run[self.operand], level)

    def _run(self, starts: Ints, level: int) -> Floats:
        end = self.ends[level]
        begin = self.ends[level - 1] if level else np.zeros_like(end)
        start = np.maximum(at(starts, end), begin)
        return np.asarray(at(self.batch.cycles, end) / at(self.batch.cycles, start))

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """Every transfer of the operand; energy and latency often ask the same chain."""
        return tuple(self._transfers())

    def _transfers(self) -> Iterator[Transfer]:
        """Yield every transfer of the operand. Source: ZigZag 3.8.5, data transfer links."""
        total = self.batch.cycles[:, -1]
        fan_out = self.spread.fan_out
        for level in range(len(self.ends)):
            bits = self.bits(level)
            period = self.period[level]
            together = self.elements[level] * fan_out[level]
            per_cycle = self.elements[level] * bits / period * fan_out[level]
            if self.spread.exact:
                together = np.maximum(together, self._together(level))
                per_cycle = together * bits / period
            low = (
                together,
                bits,
                period,
                total // period,
                np.trunc(per_cycle),
                level,
            )
            if self.operand != "O":
                yield self._move(level, "to_below", *low)
            else:
                yield self._move(level, "from_below", *low)
                yield self._move(level, "to_below", *low, only=self.partial[level])
            if level == len(self.ends) - 1:
                return
            bits = self.bits(level + 1)
            period = self.period[level + 1]
            elements = self.elements[level + 1]
            high = (elements, bits, period, total // period, np.trunc(elements * bits / period), level + 1)
            if self.operand != "O":
                yield self._move(level, "from_above", *high)
            else:
                yield self._move(level, "to_above", *high)
                yield self._move(level, "from_above", *high, only=self.partial[level + 1])

    def _together(self, level: int) -> Floats:
        """Return the different elements that all instances below memory ``level`` hold."""
        held = self.batch.footprint(self.operand, self.spread.inside[level + 1], fractions=True)
        return np.asarray(at(held, self.ends[level - 1]) if level else held[:, 0])

    def _move(
        self,
        level: int,
        direction: str,
        elements: Floats,
        bits: Floats,
        period: Floats,
        count: Floats,
        rate: Floats,
        hold: int,
        only: Bools | None = None,
    ) -> Transfer:
        if only is not None:
            elements, count, rate = elements * only, count * only, rate * only
        return Transfer(self.operand, level, direction, elements, bits, period, count, rate, hold)


def chains(batch: Batch, levels: Levels, spreads: dict[str, Spread]) -> dict[str, Chain]:
    """Return the chain of every operand."""
    return {op: Chain(batch, levels, op, spreads[op]) for op in batch.shape.nest.operands}


def both_chains(batch: Batch, levels: Levels, placed: Placed) -> tuple[dict[str, Chain], dict[str, Chain]]:
    """Return the chains with mean and with whole unrollings, one object where these are the same."""
    mean = chains(batch, levels, placed.mean)
    return mean, mean if placed.whole is placed.mean else chains(batch, levels, placed.whole)


@dataclass(frozen=True)
class Served:
    """A transfer and the port of the memory it goes through; ``None`` where the memory has none for it."""

    move: Transfer
    chain: Chain
    name: str
    memory: MemoryLevel
    port: Port | None


def served(hierarchy: Hierarchy, chains: dict[str, Chain], links: dict[str, str]) -> Iterator[Served]:
    """Yield every transfer of every operand with its port."""
    for op, chain in chains.items():
        own = links.get(op, op)
        levels = hierarchy.levels(own)
        for move in chain.transfers:
            name, memory = levels[move.level]
            yield Served(move, chain, name, memory, memory.port_of(own, move.direction))
