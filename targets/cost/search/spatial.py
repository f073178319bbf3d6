"""Which loops are unrolled over the array: given ones clipped, missing ones searched."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from targets.cost.imc.peak import has_rows
from targets.cost.model.nest import Shape
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import MappingRule, Unrolling

Limits = dict[str, dict[str, int]]
# Candidates costed per layer where unrollings are searched; the best by array use come first.
MAX_CANDIDATES = 24
# Combinations of what single array dimensions unroll that are looked at, before the best are costed.
MAX_COMBINATIONS = 1500


def unrollings(
    shape: Shape, hierarchy: Hierarchy, rule: MappingRule, links: dict[str, str]
) -> list[Unrolling]:
    """Return the unrollings worth costing, most used array first.

    Given unrollings are kept, clipped to the layer, the array and the bandwidth of the innermost memories.
    Array dimensions the rule leaves out take one loop of the hint (any loop without one) by any divisor of
    the most it can take, or several loops together. Source of the clipping: ZigZag 3.8.5; the search covers
    its candidates and goes on.
    """
    limits = _limits(shape, hierarchy, links)
    given = _clipped(shape, hierarchy, rule.spatial, limits)
    missing = [d for d in hierarchy.array.dimensions if d not in rule.spatial]
    if not missing:
        return [_fit_capacity(shape, hierarchy, given, links)]
    most = max(2, round(MAX_COMBINATIONS ** (1 / len(missing))))
    options = [
        _options(shape, limits[d], hierarchy.array.dimensions[d], rule.hint.get(d, ()))[:most]
        for d in missing
    ]
    sizes = shape.nest.sizes
    ranked: dict[tuple[float, float, str], dict[str, dict[str, int]]] = {}
    for choice in itertools.product(*options):
        full = given | dict(zip(missing, choice, strict=True))
        totals = _totals(full)
        if all(total <= sizes[loop] for loop, total in totals.items()):
            if hierarchy.array.imc is not None and not has_rows(hierarchy, shape.nest, full):
                continue
            used = math.prod(totals.values())
            ranked[-used, max(totals.values(), default=1), str(full)] = full
    return _best_fitting(shape, hierarchy, [ranked[key] for key in sorted(ranked)], links)


def _best_fitting(
    shape: Shape, hierarchy: Hierarchy, ranked: list[dict[str, dict[str, int]]], links: dict[str, str]
) -> list[Unrolling]:
    """Return the unrollings that use most of the array once they fit the innermost memories.

    Args:
        shape: The layer.
        hierarchy: The core.
        ranked: Unrollings by array use, the most first; fitting lowers it.
        links: Operands that use the memories of another one.
    """
    found: dict[str, tuple[int, Unrolling]] = {}
    for unrolling in ranked:
        if len(found) >= MAX_CANDIDATES:
            least = sorted((used for used, _ in found.values()), reverse=True)[MAX_CANDIDATES - 1]
            if math.prod(_totals(unrolling).values()) <= least:
                break
        ordered = {d: unrolling[d] for d in hierarchy.array.dimensions}
        fitted = _fit_capacity(shape, hierarchy, ordered, links)
        found.setdefault(str(fitted), (math.prod(_totals(fitted).values()), fitted))
    best = sorted(found.values(), key=lambda entry: -entry[0])
    return [fitted for _, fitted in best[:MAX_CANDIDATES]]


def _totals(unrolling: Unrolling) -> dict[str, int]:
    totals: dict[str, int] = {}
    for factors in unrolling.values():
        for loop, factor in factors.items():
            totals[loop] = totals.get(loop, 1) * factor
    return totals


def _inner(shape: Shape, hierarchy: Hierarchy, links: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield memories with nothing below them for any operand, and each operand they hold."""
    users = {links.get(op, op): op for op in shape.nest.operands}
    innermost = {op: hierarchy.levels(op)[0][0] for op in ("W", "I", "O") if hierarchy.levels(op)}
    for name, memory in hierarchy.memories.items():
        if all(innermost[op] == name for op in memory.operands):
            yield from ((name, users[op]) for op in memory.operands if op in users)


def _limits(shape: Shape, hierarchy: Hierarchy, links: dict[str, str]) -> Limits:
    """Return the largest unrolling of every loop on every array dimension."""
    limits = {
        d: {loop: min(loop_size, size) for loop, loop_size in shape.nest.loops}
        for d, size in hierarchy.array.dimensions.items()
    }
    for name, op in _inner(shape, hierarchy, links):
        memory = hierarchy.memories[name]
        port = memory.port_of(links.get(op, op), "from_below" if op == "O" else "to_below")
        bits = shape.bits[op]
        if port is None or bits == 0:
            continue
        at_once = max(1, port.bandwidth_bits_per_cycle // bits)
        for d in memory.served_dimensions:
            for loop in limits[d]:
                if not shape.irrelevant[op][shape.index[loop]]:
                    limits[d][loop] = min(limits[d][loop], at_once)
    return limits


def _clipped(
    shape: Shape, hierarchy: Hierarchy, unrolling: Unrolling, limits: Limits
) -> dict[str, dict[str, int]]:
    sizes = shape.nest.sizes
    result: dict[str, dict[str, int]] = {}
    for d in hierarchy.array.dimensions:
        if d not in unrolling:
            continue
        factors = {loop: min(f, limits[d][loop]) for loop, f in unrolling[d].items() if loop in sizes}
        while math.prod(factors.values()) > hierarchy.array.dimensions[d]:
            factors.popitem()
        result[d] = factors
    for loop, asked in _totals(result).items():
        total = asked
        for factors in reversed(result.values()):
            if total > sizes[loop] and loop in factors:
                total //= factors.pop(loop)
    return result


def _options(shape: Shape, limits: dict[str, int], size: int, hint: tuple[str, ...]) -> list[dict[str, int]]:
    """Return what one array dimension may unroll, most used first, then fewest loops.

    One loop, or several that fit together, by divisors of the most each can take; an option of whose factors
    one could be larger is left out, but for those of a single loop: what is left of that may go elsewhere.
    """
    known = [loop for loop in hint if loop in shape.index]
    loops = sorted(known or shape.names, key=shape.index.__getitem__)
    divisors = {loop: [f for f in range(limits[loop], 1, -1) if limits[loop] % f == 0] for loop in loops}
    loops = [loop for loop in loops if divisors[loop]]
    found: list[dict[str, int]] = [{}]
    for together in range(1, len(loops) + 1):
        for chosen in itertools.combinations(loops, together):
            fitting = [
                f for f in itertools.product(*(divisors[loop] for loop in chosen)) if math.prod(f) <= size
            ]
            largest = fitting if together == 1 else [f for f in fitting if not _dominated(f, fitting)]
            found += [dict(zip(chosen, factors, strict=True)) for factors in largest]
    return sorted(found, key=lambda option: (-math.prod(option.values()), len(option)))


def _dominated(factors: tuple[int, ...], others: list[tuple[int, ...]]) -> bool:
    return any(o != factors and all(a >= b for a, b in zip(o, factors, strict=True)) for o in others)


def _fit_capacity(
    shape: Shape, hierarchy: Hierarchy, unrolling: Unrolling, links: dict[str, str]
) -> dict[str, dict[str, int]]:
    """Shrink the largest factors until the innermost memories hold what they serve at once."""
    result = {d: dict(factors) for d, factors in unrolling.items()}
    for name, op in _inner(shape, hierarchy, links):
        memory = hierarchy.memories[name]
        irrelevant, bits = shape.irrelevant[op], shape.bits[op]
        here = [d for d in memory.served_dimensions if d in result]
        while bits:
            held = [
                (factor, d, loop)
                for d in here
                for loop, factor in result[d].items()
                if not irrelevant[shape.index[loop]]
            ]
            held = [entry for entry in held if entry[0] > 1]
            if not held or math.prod(f for f, _, _ in held) <= memory.size_bits / bits:
                break
            factor, d, loop = max(held, key=lambda entry: entry[0])
            result[d][loop] = factor - 1
    return result
