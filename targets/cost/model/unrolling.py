"""Spatial mapping on one core: loops unrolled over the array, and how they spread over the memory levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from targets.cost.model.nest import Floats, Shape
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Unrolling

# How latency counts what unrollings that leave a remainder move: all of it, so that no layer is faster than
# its data or its work allows; or by all rules of ZigZag 3.8.5, which rounds their factors down.
Rules = Literal["exact", "zigzag"]
EXACT: Rules = "exact"
ZIGZAG: Rules = "zigzag"
RULES = (EXACT, ZIGZAG)


@dataclass(frozen=True)
class Spread:
    """Extents of the unrolled loops around each memory of one operand's chain of L memories.

    Attributes:
        inside: ``[L + 1, loops]``, loops unrolled below memory ``i - 1``: what one instance of it serves
            per cycle. Row 0 is one multiplier.
        fan_out: ``[L]``, different elements memory ``i`` exchanges with the instances below it, for each
            element one of those holds.
        units: ``[L + 1]``, number of instances of memory ``i - 1`` in use; index 0 counts multipliers.
        reduces: ``[L + 1]``, irrelevant loops are unrolled at this level or above it: for outputs, partial
            sums of several instances meet.
        exact: Fractions are counted wherever they matter. What the instances below a memory hold together
            is counted too, where that is more than one holds times ``fan_out``.
    """

    inside: Floats
    fan_out: Floats
    units: Floats
    reduces: tuple[bool, ...]
    exact: bool = False


@dataclass(frozen=True)
class Placed:
    """A spatial mapping of a nest, ready to be costed.

    Attributes:
        unrolling: As asked, after clipping to array and layer.
        remaining: Temporal iterations left of each loop.
        mean: Spread per operand with fractional factors: a loop of 20 unrolled by 8 takes 3 turns of 6.67.
            Energy counts these.
        whole: Spread per operand with those factors rounded down, by the rules ``exact`` as they are. Latency
            counts these.
        rules: How latency counts what is left of loops.
        uneven: Some loop is no multiple of its unrolling.
    """

    unrolling: Unrolling
    remaining: tuple[int, ...]
    mean: dict[str, Spread]
    whole: dict[str, Spread]
    rules: Rules = ZIGZAG
    uneven: bool = False


def place(
    shape: Shape, hierarchy: Hierarchy, unrolling: Unrolling, links: dict[str, str], rules: Rules = ZIGZAG
) -> Placed:
    """Spread ``unrolling`` over the chains of memories.

    A loop whose size is no multiple of its unrolling takes ``ceil`` turns; its mean factor is the size over
    the turns. By the rules ``zigzag`` the turns that remain are found from that factor, so that rounding may
    add one: 34 over 5 are 7 turns of 34 / 7, and 34 / (34 / 7) is a little more than 7. Where a loop is
    unrolled over several array dimensions, the first of those with the largest factor is the one that absorbs
    the fraction; dimensions after it are not counted. Source: ZigZag 3.8.5, but for the rules ``exact``.
    """
    operands = shape.nest.operands
    mean = _factors(shape, unrolling, whole=False)
    rounded = _factors(shape, unrolling, whole=True)
    spreads_mean = {op: _spread(shape, hierarchy, op, links.get(op, op), mean) for op in operands}
    spreads_whole = spreads_mean
    exact, uneven = rules == EXACT, mean != rounded
    if uneven or (exact and _overlap(shape, hierarchy, links, mean)):
        whole = mean if exact else rounded
        spreads_whole = {
            op: _spread(shape, hierarchy, op, links.get(op, op), whole, exact) for op in operands
        }
    first_input = shape.nest.operands[1]
    levels = _levels(hierarchy, links.get(first_input, first_input), mean)
    remaining = _turns(shape, unrolling) if exact else _turns_of_means(shape, levels)
    return Placed(unrolling, remaining, spreads_mean, spreads_whole, rules, uneven)


def _turns(shape: Shape, unrolling: Unrolling) -> tuple[int, ...]:
    """Return the iterations left of each loop, counted in whole numbers."""
    unrolled = {
        loop: math.prod(factors.get(loop, 1) for factors in unrolling.values()) for loop in shape.names
    }
    return tuple(-(-size // unrolled[loop]) for loop, size in shape.nest.loops)


def _turns_of_means(shape: Shape, levels: list[dict[str, float]]) -> tuple[int, ...]:
    """Return the iterations left of each loop as the reference finds them: by means, level by level."""
    remaining = [size for _, size in shape.nest.loops]
    for level in levels:
        for loop, factor in level.items():
            at = shape.index[loop]
            remaining[at] = math.ceil(remaining[at] / factor)
    return tuple(remaining)


def _overlap(
    shape: Shape, hierarchy: Hierarchy, links: dict[str, str], factors: dict[str, dict[str, float]]
) -> bool:
    """Whether windows are unrolled over several instances of a memory of the inputs."""
    windowed = {loop for w in shape.nest.windows for loop in (w.outer, w.inner)}
    above = _levels(hierarchy, links.get("I", "I"), factors)[1:-1] if windowed else []
    return any(loop in windowed and factor > 1 for level in above for loop, factor in level.items())


def _factors(shape: Shape, unrolling: Unrolling, whole: bool) -> dict[str, dict[str, float]]:
    sizes = shape.nest.sizes
    result: dict[str, dict[str, float]] = {}
    for dimension, factors in unrolling.items():
        for loop, factor in factors.items():
            value: float = factor
            largest = max(f.get(loop, 0) for f in unrolling.values())
            first = next(d for d, f in unrolling.items() if f.get(loop, 0) == largest)
            if dimension == first:
                earlier = math.prod(f[loop] for d, f in result.items() if loop in f and d != dimension)
                turns = math.ceil(sizes[loop] / (factor * earlier))
                value = sizes[loop] / turns / earlier
                value = math.trunc(value) if whole else value
            result.setdefault(dimension, {})[loop] = value
    return result


def _levels(
    hierarchy: Hierarchy, memories_of: str, factors: dict[str, dict[str, float]]
) -> list[dict[str, float]]:
    """Return the loops unrolled below each memory of a chain, and last those above all of them."""
    left = dict(factors)
    levels = []
    for _, memory in hierarchy.levels(memories_of):
        served: dict[str, float] = {}
        for dimension in memory.served_dimensions:
            for loop, factor in left.pop(dimension, {}).items():
                served[loop] = served.get(loop, 1) * factor
        levels.append(served)
    rest: dict[str, float] = {}
    for entry in left.values():
        for loop, factor in entry.items():
            rest[loop] = rest.get(loop, 1) * factor
    return [*levels, rest]


def _spread(
    shape: Shape,
    hierarchy: Hierarchy,
    operand: str,
    memories_of: str,
    factors: dict[str, dict[str, float]],
    exact: bool = False,
) -> Spread:
    levels = _levels(hierarchy, memories_of, factors)
    inside = np.ones((len(levels) + 1, len(shape.names)))
    for i, level in enumerate(levels):
        inside[i + 1] = inside[i]
        for loop, factor in level.items():
            inside[i + 1, shape.index[loop]] *= factor
    footprint = shape.footprint(operand, inside, exact)
    counts = [math.prod(f for level in levels[i:] for f in level.values()) for i in range(len(levels))]
    irrelevant = shape.irrelevant[operand]
    unrolled = [any(irrelevant[shape.index[loop]] and f > 1 for loop, f in level.items()) for level in levels]
    fan_out = footprint[1:-1] / footprint[:-2]
    return Spread(
        inside=inside[:-1],
        fan_out=fan_out if exact else np.round(fan_out),
        units=np.array([round(round(c, 3)) for c in counts], float),
        reduces=tuple(any(unrolled[i:]) for i in range(len(levels))),
        exact=exact,
    )
