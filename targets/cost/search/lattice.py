"""All prefixes of all orders at once: what a memory can hold, and what each choice costs.

An order of temporal loops is a path through the lattice of divisors of their sizes. What moves between two
memories depends on where on the path the lower one is full, and on nothing else; so the cost of a mapping is
a sum over such points, however many orders lead through them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from targets.cost.model.batch import Bools
from targets.cost.model.energy import READS, moved_words
from targets.cost.model.nest import Floats, Shape
from targets.cost.model.unrolling import Placed, Spread
from targets.cost.search.orderings import Factor, temporal_factors
from targets.description.hierarchy import Hierarchy, MemoryLevel


class Lattice:
    """Points of the lattice as a grid; arrays over points are ``[S]``, reshaped to ``shape`` for paths.

    Attributes:
        axes: Loop and factor of each grid axis; prime without a limit.
        shape: One more than how often each factor occurs.
        extents: ``[S, loops]``, iterations of each loop below the point.
        cycles: ``[S]``, their product.
    """

    def __init__(self, nest_shape: Shape, remaining: tuple[int, ...], limit: int | None = None) -> None:
        kinds: Counter[Factor] = Counter(temporal_factors(remaining, limit))
        self.axes = tuple(kinds)
        self.shape = tuple(times + 1 for times in kinds.values())
        self.extents = np.ones((math.prod(self.shape), len(nest_shape.names)))
        if self.axes:
            exponents = np.unravel_index(np.arange(len(self.extents)), self.shape)
            for (loop, factor), exponent in zip(self.axes, exponents, strict=True):
                self.extents[:, loop] *= float(factor) ** exponent
        self.cycles = self.extents.prod(axis=1)

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.cycles)

    def finished(self, loops: Bools) -> Bools:
        """Return at which points all iterations of the chosen loops lie below, ``[S]``."""
        chosen = self.extents[:, loops]
        return np.asarray((chosen == chosen[-1]).all(axis=1))

    def untouched(self, loops: Bools) -> Bools:
        """Return at which points no iteration of the chosen loops lies below, ``[S]``."""
        return np.asarray((self.extents[:, loops] == 1).all(axis=1))

    def factors_between(self, inner: int, outer: int) -> list[Factor]:
        """Return the loops and factors between two points, the second above the first."""
        if inner == outer:
            return []
        low, high = np.unravel_index(inner, self.shape), np.unravel_index(outer, self.shape)
        return [
            self.axes[axis] for axis in range(len(self.axes)) for _ in range(int(high[axis]) - int(low[axis]))
        ]


@dataclass(frozen=True)
class Flow:
    """One direction of a boundary: bits through a port per period; arrays ``[S]``.

    Attributes:
        port: Memory and port.
        bandwidth: Bits the port moves per cycle.
        bits: Bits per period.
        real: Cycles per period.
        count: Periods; 0 where nothing moves.
        direction: As ``targets.description.hierarchy.DIRECTIONS``.
    """

    port: tuple[str, str]
    bandwidth: float
    bits: Floats
    real: Floats
    count: Floats
    direction: str


@dataclass(frozen=True)
class Boundary:
    """The choice up to which point loops run below one memory of an operand.

    Attributes:
        operand: ``W``, ``I`` or ``O``.
        level: The memory; -1 for how long an input stays in the multipliers.
        memory: Its name; empty for level -1.
        allowed: ``[S]``, points it may be at.
        held_bits: ``[S]``, what the memory then holds of the operand, at least.
        wide_bits: ``[S]``, the same if it holds partial sums.
        energy_pj: ``[S]``, energy of all accesses the choice decides.
        flows: Transfers between the memory and the one above; for level -1, those of the multipliers.
    """

    operand: str
    level: int
    memory: str
    allowed: Bools
    held_bits: Floats
    wide_bits: Floats
    energy_pj: Floats
    flows: tuple[Flow, ...]


def boundaries(
    shape: Shape, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], lattice: Lattice
) -> dict[str, list[Boundary]]:
    """Return the boundaries of every operand, innermost first; outermost memories hold all and need none."""
    result = {}
    for op in shape.nest.operands:
        own = links.get(op, op)
        tables = _Tables(op, own, shape, hierarchy.levels(own), placed.mean[op], placed.whole[op], lattice)
        upper = range(len(tables.chain) - 1)
        result[op] = [tables.bottom(), *(tables.above(level) for level in upper)]
    return result


@dataclass(frozen=True)
class _Tables:
    """The choices of one operand and what they cost at every point."""

    op: str
    own: str
    shape: Shape
    chain: list[tuple[str, MemoryLevel]]
    mean: Spread
    whole: Spread
    lattice: Lattice

    @property
    def total(self) -> float:
        """All iterations."""
        return float(self.lattice.cycles[-1])

    def sums(self, spread: Spread, level: int) -> Bools:
        """Return where outputs between memory ``level - 1`` and ``level`` are partial sums."""
        done = self.lattice.finished(self.shape.irrelevant[self.op])
        return ~done | spread.reduces[level + 1]

    def width(self, partial: Bools) -> Floats:
        """Return bits per element."""
        bits = self.shape.bits
        if self.op != "O":
            return np.full(self.lattice.count, float(bits[self.op]))
        return np.where(partial, bits["O"], bits["O_final"]).astype(float)

    def energy(self, level: int, direction: str, elements: Floats, width: Floats, count: Floats) -> Floats:
        """Return the energy of a transfer of memory ``level``, ``[S]``."""
        _, memory = self.chain[level]
        port = memory.port_of(self.own, direction)
        if port is None:
            return np.zeros(self.lattice.count)
        words = moved_words(port, elements, width, count, float(self.mean.units[level + 1]))
        return words * (memory.read_energy_pj if direction in READS else memory.write_energy_pj)

    def has_port(self, level: int, direction: str) -> bool:
        """Return whether memory ``level`` has a port for a direction."""
        return self.chain[level][1].port_of(self.own, direction) is not None

    def flow(self, level: int, direction: str, bits: Floats, count: Floats) -> list[Flow]:
        """Return a transfer of memory ``level``; none without a port for it."""
        name, memory = self.chain[level]
        port = memory.port_of(self.own, direction)
        if port is None:
            return []
        bandwidth = float(port.bandwidth_bits_per_cycle)
        return [Flow((name, port.name), bandwidth, bits, np.ceil(bits / bandwidth), count, direction)]

    def bottom(self) -> Boundary:
        """Return how long an input stays in the multipliers, and what these and the first memory exchange."""
        ones = np.ones(self.lattice.count)
        if self.op == "O":
            still = np.zeros(self.lattice.count, bool)
            still[0] = True
            # Before the first loop, sums are partial if anything reduces at all.
            partial = np.full(self.lattice.count, bool(self.sums(self.mean, 0)[0]))
            width, moves = self.width(partial), [("from_below", self.total * ones)]
            moves += [("to_below", self.total * ones)] if partial[0] else []
        else:
            still = self.lattice.untouched(~self.shape.irrelevant[self.op])
            width, moves = self.width(still), [("to_below", self.total / self.lattice.cycles)]
        spent, flows = 0.0 * ones, []
        for direction, count in moves:
            still = still & self.has_port(0, direction)
            spent = spent + self.energy(0, direction, self.mean.fan_out[0] * ones, width, count)
            flows += self.flow(0, direction, self.whole.fan_out[0] * width, count)
        nothing = np.zeros(self.lattice.count)
        return Boundary(self.op, -1, "", still, nothing, nothing, spent, tuple(flows))

    def above(self, level: int) -> Boundary:
        """Return up to where loops run below memory ``level``, and what it exchanges with the one above."""
        name, memory = self.chain[level]
        exact = self.footprint(self.mean, level)
        held, wide = self.held(level, exact)
        partial = self.sums(self.mean, level + 1)
        moves = [("from_above", "to_below", np.ones(self.lattice.count))]
        if self.op == "O":
            ones = np.ones(self.lattice.count)
            moves = [("to_above", "from_below", ones), ("from_above", "to_below", partial.astype(float))]
        width = self.width(partial)
        amount = np.round(exact)
        # By the rules `exact` latency counts fractions; what bounds it from below leaves them out.
        rounded = np.floor if self.whole.exact else np.round
        whole = rounded(self.footprint(self.whole, level)) * self.width(self.sums(self.whole, level + 1))
        allowed = held <= memory.size_bits
        spent, flows = np.zeros(self.lattice.count), []
        for low, high, active in moves:
            if not (self.has_port(level, low) and self.has_port(level + 1, high)):
                allowed = allowed & (active == 0)
            count = self.total / self.lattice.cycles * active
            up, down = amount * active, amount * active * self.mean.fan_out[level + 1]
            spent = spent + self.energy(level, low, up, width, count)
            spent = spent + self.energy(level + 1, high, down, width, count)
            flows += self.flow(level, low, whole * active, count)
            flows += self.flow(level + 1, high, whole * active * self.whole.fan_out[level + 1], count)
        return Boundary(self.op, level, name, allowed, held, wide, spent, tuple(flows))

    def footprint(self, spread: Spread, level: int) -> Floats:
        """Return the elements in one instance of memory ``level``, ``[S]``."""
        return self.shape.footprint(self.op, self.lattice.extents * spread.inside[level + 1])

    def held(self, level: int, elements: Floats) -> tuple[Floats, Floats]:
        """Return the bits of ``elements`` in memory ``level``: at least, and if it holds partial sums.

        Final sums are held only where all that reduces lies below the memory below this one. Above the
        innermost, where that ends is another choice.
        """
        exact = np.round(elements, 6)
        if self.op != "O":
            return exact * self.shape.bits[self.op], exact * self.shape.bits[self.op]
        if level == 0:
            waits = np.full(self.lattice.count, bool(self.sums(self.mean, 0)[0]))
            return exact * self.width(waits), exact * self.width(waits)
        return exact * self.width(self.sums(self.mean, level)), exact * self.shape.bits["O"]
