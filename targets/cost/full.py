"""The whole prime factorisation: never worse than the limited search, and how far from the best at most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from targets.cost.bounds import Bounds
from targets.cost.latency_bounds import LatencyBounds
from targets.cost.local_search import climb
from targets.cost.mapping import MappingRule
from targets.cost.orderings import Factor, prime_factors
from targets.cost.paths import Path
from targets.cost.problem import Candidate, Problem
from targets.cost.realise import Order, realised, rows_of
from targets.cost.solution import Solution
from targets.cost.spatial import unrollings
from targets.cost.unrolling import Placed

MAX_PATHS = 80
# Unrollings improved; of the others, where unrollings are searched, only the quick bound is known.
MAX_UNROLLINGS = 4
# Relative difference below which two costs are the same number.
SAME = 1e-9


@dataclass(frozen=True)
class _Bound:
    """A lower bound on the objective and the paths it came from."""

    value: float
    paths: list[Path]


def improve(
    problem: Problem, start: Candidate, objective: str, rule: MappingRule, considered: int
) -> Solution:
    """Return a mapping at least as good as ``start``, over all orders and allocations of all prime factors.

    For each unrolling, a lower bound is proven (``targets.cost.bounds``); the paths that reach it are turned
    into mappings and improved locally. The energy bound is the optimum itself.

    Args:
        problem: Nest and core.
        start: The best mapping of the limited search.
        objective: ``latency``, ``energy`` or ``edp``.
        rule: What the user asked for; a given temporal order is left as it is.
        considered: Mappings costed so far.
    """
    if rule.order:
        return replace(problem.solution(start), considered=considered)
    best = start
    least = math.inf
    for rank, (floor, placed, bounds) in enumerate(_ranked(problem, rule, objective, best.values[0])):
        skipped = rank >= MAX_UNROLLINGS and objective != "energy"  # whose bound is the optimum itself
        if skipped or floor >= best.values[0] * (1 - SAME):
            least = min(least, floor)
            continue
        bound = _lower(problem, bounds, placed, objective, best.values[0])
        least = min(least, bound.value)
        if bound.value >= best.values[0] * (1 - SAME):
            continue
        near = list(realised(bounds, bound.paths[:MAX_PATHS]))
        if placed.unrolling == start.placed.unrolling:
            near.append(_in_primes(start))
        found, costed = climb(problem, placed, rows_of(near), objective)
        considered += costed
        if found.values < best.values:
            best = found
    gap = max(0.0, 1 - least / best.values[0]) if best.values[0] else 0.0
    return replace(problem.solution(best), considered=considered, gap=0.0 if gap < SAME else gap)


def _ranked(
    problem: Problem, rule: MappingRule, objective: str, known: float
) -> list[tuple[float, Placed, Bounds]]:
    """Return the spatial mappings that leave loops to order, with a quick lower bound, least first."""
    found = []
    for unrolling in unrollings(problem.shape, problem.hierarchy, rule, problem.links):
        placed = problem.place(unrolling)
        if math.prod(placed.remaining) == 1:  # the limited search has tried the only order
            continue
        bounds = problem.bounds(placed, None)
        energy = bounds.least_energy()
        if energy is None:
            continue
        least_energy = energy.value + problem.array_energy(placed)
        if objective == "energy":
            found.append((least_energy, placed, bounds))
            continue
        scale = least_energy if objective == "edp" else 1.0
        cycles = LatencyBounds(bounds, problem.cycles_per_operation).quick(known / scale)
        found.append((cycles * scale, placed, bounds))
    return sorted(found, key=lambda entry: entry[0])


def any_fit(problem: Problem, objective: str, rule: MappingRule) -> Candidate | None:
    """Return a mapping where filling memories from the inside fits none; ``None`` if there is none at all.

    An inner memory that takes all it can may need more of the memory above than there is: such layers have
    mappings, but not greedy ones.
    """
    found = []
    for unrolling in unrollings(problem.shape, problem.hierarchy, rule, problem.links):
        placed = problem.place(unrolling)
        bounds = problem.bounds(placed, None)
        least = bounds.least_energy()
        if least is not None:
            rows = rows_of(list(realised(bounds, list(least.paths))))
            candidate, _ = climb(problem, placed, rows, objective)
            found.append(candidate)
    fitting = [c for c in found if math.isfinite(c.values[0])]
    return min(fitting, key=lambda c: c.values, default=None)


def _lower(problem: Problem, bounds: Bounds, placed: Placed, objective: str, known: float) -> _Bound:
    """Return a lower bound for one unrolling of which something fits; ``known`` has been reached."""
    energy = bounds.least_energy()
    if energy is None:
        return _Bound(math.inf, [])
    least_energy = energy.value + problem.array_energy(placed)
    if objective == "energy":
        return _Bound(least_energy, list(energy.paths))
    known_cycles = known if objective == "latency" else known / least_energy
    cycles, paths = LatencyBounds(bounds, problem.cycles_per_operation).lower(known_cycles)
    if objective == "latency":
        return _Bound(cycles, paths)
    return _Bound(cycles * least_energy, [*energy.paths, *paths])


def _in_primes(candidate: Candidate) -> Order:
    """Return a mapping with its factors split into primes."""
    loops: list[Factor] = []
    position = [0]
    for loop, size in zip(candidate.loops, candidate.sizes, strict=True):
        loops += [(int(loop), prime) for prime in prime_factors(int(size))]
        position.append(len(loops))
    return loops, {op: [position[n] for n in levels] for op, levels in candidate.levels.items()}
