"""The whole prime factorisation: never worse than the limited search, and how far from the best at most."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from targets.cost.bounds import Bounds
from targets.cost.latency_bounds import LatencyBounds
from targets.cost.local_search import Rows, climb
from targets.cost.mapping import MappingRule
from targets.cost.orderings import Factor, prime_factors
from targets.cost.paths import Path
from targets.cost.problem import Candidate, Problem
from targets.cost.solution import Solution
from targets.cost.spatial import unrollings
from targets.cost.unrolling import Placed

# Orders tried per path: the path leaves open how loops are ordered between two boundaries.
VARIANTS = 8
MAX_PATHS = 80
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
    for unrolling in unrollings(problem.shape, problem.hierarchy, rule, problem.links):
        placed = problem.place(unrolling)
        if math.prod(placed.remaining) == 1:  # nothing to order: the limited search has tried it
            continue
        bounds = Bounds(problem.shape, problem.hierarchy, placed, problem.links)
        bound = _lower(problem, bounds, placed, objective, best.values[0])
        if bound is None:
            continue
        least = min(least, bound.value)
        if bound.value >= best.values[0] * (1 - SAME):
            continue
        near = list(_realised(bounds, bound.paths[:MAX_PATHS]))
        if placed.unrolling == start.placed.unrolling:
            near.append(_in_primes(problem, start))
        found, costed = climb(problem, placed, _rows(near), objective)
        considered += costed
        if found.values < best.values:
            best = found
    gap = max(0.0, 1 - least / best.values[0]) if best.values[0] else 0.0
    return replace(problem.solution(best), considered=considered, gap=0.0 if gap < SAME else gap)


def _lower(problem: Problem, bounds: Bounds, placed: Placed, objective: str, known: float) -> _Bound | None:
    """Return a lower bound for one unrolling; ``None`` if nothing fits. ``known`` is a value already reached."""
    energy = bounds.least_energy()
    if energy is None:
        return None
    least_energy = energy.value + problem.array_energy(placed)
    if objective == "energy":
        return _Bound(least_energy, list(energy.paths))
    known_cycles = known if objective == "latency" else known / least_energy
    cycles, paths = LatencyBounds(bounds, problem.cycles_per_operation).lower(known_cycles)
    if objective == "latency":
        return _Bound(cycles, paths)
    return _Bound(cycles * least_energy, [*energy.paths, *paths])


_Order = tuple[list[Factor], dict[str, list[int]]]


def _realised(bounds: Bounds, paths: list[Path]) -> Iterator[_Order]:
    """Yield orders that lead through the points of each path, with their levels.

    Between two points, loops relevant to the operand whose memory ends there go last: what is replaced at
    once is then least, and the memory may double-buffer. Then the other way round, then at random.
    """
    lattice = bounds.lattice
    random = np.random.default_rng(0)
    for path in {tuple(sorted(p.points.items())): p for p in paths}.values():
        stops = sorted({0, *path.points.values(), lattice.count - 1}, key=lambda p: (lattice.cycles[p], p))
        for variant in range(VARIANTS):
            loops: list[Factor] = []
            position = {0: 0}
            for inner, outer in zip(stops, stops[1:], strict=False):
                between = lattice.factors_between(inner, outer)
                owners = [op for (op, level), point in path.points.items() if point == outer and level >= 0]
                if variant < 2 and owners:
                    last = (bounds.shape.direct if variant == 0 else bounds.shape.irrelevant)[owners[0]]
                    between.sort(key=lambda factor, last=last: bool(last[factor[0]]))
                else:
                    between = [between[i] for i in random.permutation(len(between))]
                loops += between
                position[outer] = len(loops)
            yield loops, {
                op: [*(position[path.points[op, b.level]] for b in chain if b.level >= 0), len(loops)]
                for op, chain in bounds.boundaries.items()
            }


def _in_primes(problem: Problem, candidate: Candidate) -> _Order:
    """Return a mapping with its factors split into primes."""
    loops: list[Factor] = []
    position = [0]
    for loop, size in zip(candidate.loops, candidate.sizes, strict=True):
        loops += [(int(loop), prime) for prime in prime_factors(int(size))]
        position.append(len(loops))
    return loops, {op: [position[n] for n in levels] for op, levels in candidate.levels.items()}


def _rows(orders: list[_Order]) -> Rows:
    length = len(orders[0][0])
    return Rows(
        np.array([[loop for loop, _ in loops] for loops, _ in orders], np.int64).reshape(-1, length),
        np.array([[size for _, size in loops] for loops, _ in orders], np.int64).reshape(-1, length),
        {op: np.array([levels[op] for _, levels in orders], np.int64) for op in orders[0][1]},
    )
