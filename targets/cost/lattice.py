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

from targets.cost.batch import Bools
from targets.cost.energy import READS, moved_words
from targets.cost.nest import Floats, Shape
from targets.cost.orderings import Factor, temporal_factors
from targets.cost.unrolling import Placed, Spread
from targets.hierarchy import Hierarchy, MemoryLevel


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
        direction: As ``targets.hierarchy.DIRECTIONS``.
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
        held_bits: ``[S]``, what the memory then holds of the operand.
        energy_pj: ``[S]``, energy of all accesses the choice decides.
        flows: Transfers between the memory and the one above; for level -1, those of the multipliers.
    """

    operand: str
    level: int
    memory: str
    allowed: Bools
    held_bits: Floats
    energy_pj: Floats
    flows: tuple[Flow, ...]


def boundaries(
    shape: Shape, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], lattice: Lattice
) -> dict[str, list[Boundary]]:
    """Return the boundaries of every operand, innermost first; outermost memories hold all and need none."""
    return {op: _of_operand(op, shape, hierarchy, placed, links, lattice) for op in shape.nest.operands}


def _of_operand(
    op: str, shape: Shape, hierarchy: Hierarchy, placed: Placed, links: dict[str, str], lattice: Lattice
) -> list[Boundary]:
    own = links.get(op, op)
    chain = hierarchy.levels(own)
    mean, whole = placed.mean[op], placed.whole[op]
    total = lattice.cycles[-1]
    reduced = lattice.finished(shape.irrelevant[op])
    bits = shape.bits
    result: list[Boundary] = []

    def energy(level: int, direction: str, elements: Floats, width: float | Floats, count: Floats) -> Floats:
        _, memory = chain[level]
        port = memory.port_of(own, direction)
        if port is None:
            return np.zeros(lattice.count)
        words = moved_words(port, elements, width, count, float(mean.units[level + 1]))
        return words * (memory.read_energy_pj if direction in READS else memory.write_energy_pj)

    # Below the innermost memory: one element per multiplier and period.
    ones = np.ones(lattice.count)
    if op == "O":
        partial = bool(~reduced[0]) or mean.reduces[1]
        width = float(bits["O"] if partial else bits["O_final"])
        inner = energy(0, "from_below", mean.fan_out[0] * ones, width, total * ones)
        if partial:
            inner = inner + energy(0, "to_below", mean.fan_out[0] * ones, width, total * ones)
        still = np.zeros(lattice.count, bool)
        still[0] = True
    else:
        width = float(bits[op])
        inner = energy(0, "to_below", mean.fan_out[0] * ones, width, total / lattice.cycles)
        still = lattice.untouched(~shape.irrelevant[op])
    bottom = _bottom_flows(op, own, shape, chain, whole, lattice, total)
    result.append(Boundary(op, -1, "", still, np.zeros(lattice.count), inner, bottom))
    for level in range(len(chain) - 1):
        name, memory = chain[level]
        count = total / lattice.cycles
        amount = np.round(shape.footprint(op, lattice.extents * mean.inside[level + 1]))
        exact = np.round(shape.footprint(op, lattice.extents * mean.inside[level + 1]), 6)
        if op == "O":
            sums = ~reduced | mean.reduces[level + 2]
            wide = np.where(sums, bits["O"], bits["O_final"]).astype(float)
            moves = [("to_above", "from_below", ones, wide), ("from_above", "to_below", sums * 1.0, wide)]
            # Final sums are held only where all that reduces lies below the memory below this one. Above the
            # innermost, where that ends is another choice: as little as it may be is taken here.
            waits = partial if level == 0 else ~reduced | mean.reduces[level + 1]
            held = exact * np.where(waits, bits["O"], bits["O_final"])
        else:
            moves = [("from_above", "to_below", ones, float(bits[op]) * ones)]
            held = exact * bits[op]
        spent = np.zeros(lattice.count)
        flows: list[Flow] = []
        for low, high, active, width_here in moves:
            up = amount * active
            down = up * mean.fan_out[level + 1]
            spent = spent + energy(level, low, up, width_here, count * active)
            spent = spent + energy(level + 1, high, down, width_here, count * active)
            here = (low, high)
            flows += _flows(
                op, own, shape, chain, whole, lattice, level, here, np.asarray(active, float), total
            )
        allowed = held <= memory.size_bits
        result.append(Boundary(op, level, name, allowed, held, spent, tuple(flows)))
    return result


def _flows(
    op: str,
    own: str,
    shape: Shape,
    chain: list[tuple[str, MemoryLevel]],
    whole: Spread,
    lattice: Lattice,
    level: int,
    directions: tuple[str, str],
    active: Floats,
    total: float,
) -> list[Flow]:
    amount = np.round(shape.footprint(op, lattice.extents * whole.inside[level + 1]))
    if op == "O":
        sums = ~lattice.finished(shape.irrelevant["O"]) | whole.reduces[level + 2]
        width = np.where(sums, shape.bits["O"], shape.bits["O_final"])
    else:
        width = np.full(lattice.count, shape.bits[op])
    flows = []
    ends = ((level, directions[0], amount), (level + 1, directions[1], amount * whole.fan_out[level + 1]))
    for at, direction, elements in ends:
        name, memory = chain[at]
        port = memory.port_of(own, direction)
        if port is not None:
            bandwidth = float(port.bandwidth_bits_per_cycle)
            moved = elements * width * active
            count = total / lattice.cycles * active
            flows.append(
                Flow((name, port.name), bandwidth, moved, np.ceil(moved / bandwidth), count, direction)
            )
    return flows


def _bottom_flows(
    op: str,
    own: str,
    shape: Shape,
    chain: list[tuple[str, MemoryLevel]],
    whole: Spread,
    lattice: Lattice,
    total: float,
) -> tuple[Flow, ...]:
    name, memory = chain[0]
    ones = np.ones(lattice.count)
    if op == "O":
        partial = bool(~lattice.finished(shape.irrelevant["O"])[0]) or whole.reduces[1]
        width = shape.bits["O" if partial else "O_final"]
        moves = [("from_below", total * ones)] + ([("to_below", total * ones)] if partial else [])
    else:
        width = shape.bits[op]
        moves = [("to_below", total / lattice.cycles)]
    flows = []
    for direction, count in moves:
        port = memory.port_of(own, direction)
        if port is not None:
            bandwidth = float(port.bandwidth_bits_per_cycle)
            moved = whole.fan_out[0] * width * ones
            flows.append(
                Flow((name, port.name), bandwidth, moved, np.ceil(moved / bandwidth), count, direction)
            )
    return tuple(flows)
