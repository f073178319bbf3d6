"""Spatial mapping on one core: loops unrolled over the array, and how they spread over the memory levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from targets.cost.model.nest import Floats, Shape
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Unrolling


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
    """

    inside: Floats
    fan_out: Floats
    units: Floats
    reduces: tuple[bool, ...]


@dataclass(frozen=True)
class Placed:
    """A spatial mapping of a nest, ready to be costed.

    Attributes:
        unrolling: As asked, after clipping to array and layer.
        remaining: Temporal iterations left of each loop.
        mean: Spread per operand with fractional factors: a loop of 20 unrolled by 8 takes 3 turns of 6.67.
            Energy counts these.
        whole: Spread per operand with those factors rounded down. Latency counts these.
    """

    unrolling: Unrolling
    remaining: tuple[int, ...]
    mean: dict[str, Spread]
    whole: dict[str, Spread]


def place(shape: Shape, hierarchy: Hierarchy, unrolling: Unrolling, links: dict[str, str]) -> Placed:
    """Spread ``unrolling`` over the chains of memories.

    A loop whose size is no multiple of its unrolling takes ``ceil`` turns; its mean factor is the size over
    the turns. As in the reference, the turns that remain are found from that factor, so that rounding may add
    one: 34 over 5 are 7 turns of 34 / 7, and 34 / (34 / 7) is a little more than 7. Where a loop is unrolled
    over several array dimensions, the first of those with the largest factor is the one that absorbs the
    fraction; dimensions after it are not counted. Source: ZigZag 3.8.5.
    """
    mean = _factors(shape, unrolling, whole=False)
    whole = _factors(shape, unrolling, whole=True)
    spreads_mean = {op: _spread(shape, hierarchy, op, links.get(op, op), mean) for op in shape.nest.operands}
    spreads_whole = (
        spreads_mean
        if mean == whole
        else {op: _spread(shape, hierarchy, op, links.get(op, op), whole) for op in shape.nest.operands}
    )
    remaining = list(dict(shape.nest.loops).values())
    first_input = shape.nest.operands[1]
    for level in _levels(hierarchy, links.get(first_input, first_input), mean):
        for loop, factor in level.items():
            at = shape.index[loop]
            remaining[at] = math.ceil(remaining[at] / factor)
    return Placed(unrolling, tuple(remaining), spreads_mean, spreads_whole)


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
    shape: Shape, hierarchy: Hierarchy, operand: str, memories_of: str, factors: dict[str, dict[str, float]]
) -> Spread:
    levels = _levels(hierarchy, memories_of, factors)
    inside = np.ones((len(levels) + 1, len(shape.names)))
    for i, level in enumerate(levels):
        inside[i + 1] = inside[i]
        for loop, factor in level.items():
            inside[i + 1, shape.index[loop]] *= factor
    footprint = shape.footprint(operand, inside)
    counts = [math.prod(f for level in levels[i:] for f in level.values()) for i in range(len(levels))]
    irrelevant = shape.irrelevant[operand]
    unrolled = [any(irrelevant[shape.index[loop]] and f > 1 for loop, f in level.items()) for level in levels]
    return Spread(
        inside=inside[:-1],
        fan_out=np.round(footprint[1:-1] / footprint[:-2]),
        units=np.array([round(round(c, 3)) for c in counts], float),
        reduces=tuple(any(unrolled[i:]) for i in range(len(levels))),
    )
