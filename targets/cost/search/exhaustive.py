"""The whole prime factorisation: never worse than the limited search, and how far from the best at most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import Placed
from targets.cost.search.bounds import Bound, Bounds
from targets.cost.search.latency_bounds import LatencyBounds
from targets.cost.search.local_search import climb
from targets.cost.search.orderings import Factor, prime_factors
from targets.cost.search.problem import BestOrder, MappingProblem
from targets.cost.search.realise import Order, realised, rows_of
from targets.cost.search.shortest_paths import Path
from targets.description.mapping import MappingRule
from targets.objective import Objective

MAX_PATHS = 80
# Unrollings improved; of the others, where unrollings are searched, only the quick bound is known.
MAX_UNROLLINGS = 4
# Relative difference below which two costs are the same number.
SAME = 1e-9


@dataclass(frozen=True)
class _Choice:
    """A spatial mapping with what bounds it.

    Attributes:
        floor: A quick lower bound on the objective.
        energy: The least energy of its memories and the path that has it.
        least_energy_pj: The same with the energy of the array.
        latency: Bounds on its latency; ``None`` if only energy counts.
    """

    floor: float
    placed: Placed
    bounds: Bounds
    energy: Bound
    least_energy_pj: float
    latency: LatencyBounds | None

    def lower(self, objective: Objective, known: float) -> tuple[float, list[Path]]:
        """Return a lower bound on the objective and the paths it came from; ``known`` has been reached."""
        if self.latency is None:
            return self.least_energy_pj, list(self.energy.paths)
        if not objective.counts_energy:
            return self.latency.lower(known)
        cycles, paths = self.latency.lower(known / self.least_energy_pj)
        return cycles * self.least_energy_pj, [*self.energy.paths, *paths]


def improve(
    problem: MappingProblem, start: BestOrder, objective: Objective, rule: MappingRule, considered: int
) -> Solution:
    """Return a mapping at least as good as ``start``, over all orders and allocations of all prime factors.

    For each unrolling, a lower bound is proven (``targets.cost.search.bounds``); the paths that reach it are
    turned into mappings and improved locally. The energy bound is the optimum itself.

    Args:
        problem: Nest and core.
        start: The best mapping of the limited search.
        objective: What is minimised.
        rule: What the user asked for; a given temporal order is left as it is.
        considered: Mappings costed so far.
    """
    if rule.order:
        return replace(problem.solution(start), considered=considered)
    best = start
    least = math.inf
    for rank, choice in enumerate(_ranked(problem, rule, objective, best.values[0])):
        skipped = rank >= MAX_UNROLLINGS and objective.counts_latency  # least energy is the optimum itself
        if skipped or choice.floor >= best.values[0] * (1 - SAME):
            least = min(least, choice.floor)
            continue
        bound, paths = choice.lower(objective, best.values[0])
        least = min(least, bound)
        if bound >= best.values[0] * (1 - SAME):
            continue
        near = list(realised(choice.bounds, paths[:MAX_PATHS]))
        if choice.placed.unrolling == start.placed.unrolling:
            near.append(_split(start))
        found, costed = climb(problem, choice.placed, rows_of(near), objective)
        considered += costed
        if found.values < best.values:
            best = found
    gap = max(0.0, 1 - least / best.values[0]) if best.values[0] else 0.0
    return replace(problem.solution(best), considered=considered, gap=0.0 if gap < SAME else gap)


def _ranked(problem: MappingProblem, rule: MappingRule, objective: Objective, known: float) -> list[_Choice]:
    """Return the spatial mappings that leave loops to order, least quick bound first."""
    found = []
    for placed in problem.placements(rule):
        if math.prod(placed.remaining) == 1:  # the limited search has tried the only order
            continue
        bounds = problem.bounds(placed, None)
        energy = bounds.least_energy()
        if energy is None:
            continue
        least_energy_pj = energy.value + problem.array_energy(placed)
        latency, floor = None, least_energy_pj
        if objective.counts_latency:
            latency = LatencyBounds(bounds, problem.cycles_per_operation)
            scale = least_energy_pj if objective.counts_energy else 1.0
            floor = latency.quick(known / scale) * scale
        found.append(_Choice(floor, placed, bounds, energy, least_energy_pj, latency))
    return sorted(found, key=lambda choice: choice.floor)


def any_fit(problem: MappingProblem, objective: Objective, rule: MappingRule) -> BestOrder | None:
    """Return a mapping where filling memories from the inside fits none; ``None`` if there is none at all.

    An inner memory that takes all it can may need more of the memory above than there is: such layers have
    mappings, but not greedy ones.
    """
    found = []
    for placed in problem.placements(rule):
        bounds = problem.bounds(placed, None)
        least = bounds.least_energy()
        if least is not None:
            rows = rows_of(list(realised(bounds, list(least.paths))))
            candidate, _ = climb(problem, placed, rows, objective)
            found.append(candidate)
    fitting = [c for c in found if math.isfinite(c.values[0])]
    return min(fitting, key=lambda c: c.values, default=None)


def in_primes(problem: MappingProblem, start: BestOrder, objective: Objective) -> tuple[BestOrder, int]:
    """Return a mapping at least as good as ``start``, found near it among those of all prime factors.

    Returns:
        The mapping and how many were costed.
    """
    found, costed = climb(problem, start.placed, rows_of([_split(start)]), objective, beam=1)
    return min(found, start, key=lambda candidate: candidate.values), costed


def _split(candidate: BestOrder) -> Order:
    """Return a mapping with its factors split into primes."""
    loops: list[Factor] = []
    position = [0]
    for loop, size in zip(candidate.loops, candidate.sizes, strict=True):
        loops += [(int(loop), prime) for prime in prime_factors(int(size))]
        position.append(len(loops))
    return loops, {op: [position[n] for n in levels] for op, levels in candidate.levels.items()}
