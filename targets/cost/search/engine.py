"""The cost engine: the best mapping of a loop nest onto one core, or the cost of a given one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from targets.cost.model.nest import Ints, LoopNest, Shape
from targets.cost.model.solution import Solution
from targets.cost.model.unrolling import EXACT, ZIGZAG, Placed, Rules
from targets.cost.search.bounds import Bounds
from targets.cost.search.exhaustive import any_fit, improve, in_primes
from targets.cost.search.latency_bounds import LatencyBounds
from targets.cost.search.local_search import ranked
from targets.cost.search.orderings import MAX_ORDERS, all_orders, order_count, temporal_factors
from targets.cost.search.orders_given import given_orders
from targets.cost.search.problem import BestOrder, MappingProblem
from targets.cost.search.realise import realised, rows_of
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import DEFAULT_RULE, Mapping, MappingRule, NoMappingError
from targets.objective import ENERGY, LATENCY, Objective

DEFAULT_LPF_LIMIT = 6
# Orders evaluated at once: small enough for the cache, large enough to hide the interpreter.
CHUNK = 2048


@dataclass
class Engine:
    """Searches mappings on one core; equal questions are answered once.

    Attributes:
        hierarchy: The core.
        lpf_limit: Most temporal factors per layer; ``None`` takes all prime factors. By the rules ``exact`` a
            layer with remainders is improved from there over its prime factors.
        memo: Answers so far. Without it (``None``) every question is searched.
        rules: How latency counts unrollings that leave a remainder.
    """

    hierarchy: Hierarchy
    lpf_limit: int | None = DEFAULT_LPF_LIMIT
    memo: dict[tuple[object, ...], Solution] | None = field(default_factory=dict)
    rules: Rules = ZIGZAG

    def best(
        self, nest: LoopNest, objective: Objective = LATENCY, rule: MappingRule = DEFAULT_RULE
    ) -> Solution:
        """Return the best mapping of ``nest``.

        Equal values are decided by the other of latency and energy, then by the order of loops.

        Args:
            nest: The layer.
            objective: What is minimised.
            rule: What the user asks of the mapping.

        Raises:
            NoMappingError: No mapping fits the memories.
            InputError: A given mapping does not belong to this layer and core.
        """
        key = (nest, objective, _question(rule))
        if self.memo is not None and key in self.memo:
            return self.memo[key]
        found = self.cost(nest, rule.fixed, rule) if rule.fixed else self._search(nest, objective, rule)
        if self.memo is not None:
            self.memo[key] = found
        return found

    def cost(self, nest: LoopNest, mapping: Mapping, rule: MappingRule = DEFAULT_RULE) -> Solution:
        """Return the cost of a complete mapping.

        Raises:
            InputError: The mapping does not cover the layer, names unknown loops, or does not fit.
        """
        problem = MappingProblem(Shape(nest), self.hierarchy, dict(rule.links), self.rules)
        return problem.cost_of(mapping)

    def _search(self, nest: LoopNest, objective: Objective, rule: MappingRule) -> Solution:
        problem = MappingProblem(Shape(nest), self.hierarchy, dict(rule.links), self.rules)
        best: BestOrder | None = None
        considered = 0
        for floor, placed, bounds in _candidates(problem, rule, objective, self.lpf_limit):
            if best is not None and floor > best.values[0]:
                continue
            found: list[Found] = []
            if not objective.counts_latency and not rule.order:
                cheapest = _cheapest(problem, placed, bounds, self.lpf_limit, best)
                if cheapest is None:
                    continue
                found.append(cheapest)
            elif objective.is_product and bounds and best and not _may_beat(problem, placed, bounds, best):
                continue
            found += _search_orders(problem, placed, rule, objective, self.lpf_limit, best)
            for candidate, costed in found:
                considered += costed
                if candidate is not None and (best is None or candidate.values < best.values):
                    best = candidate
        if best is None and not rule.order:
            best = any_fit(problem, objective, rule)
        if best is None:
            raise NoMappingError(*problem.obstacle(rule))
        if self._rounded_away(best, objective, rule):
            best, costed = in_primes(problem, best, objective)
            considered += costed
        if self.lpf_limit is None or (too_many_orders(best, self.lpf_limit) and not rule.order):
            return improve(problem, best, objective, rule, considered)
        return replace(problem.solution(best), considered=considered)

    def _rounded_away(self, best: BestOrder, objective: Objective, rule: MappingRule) -> bool:
        """Return whether latency counts a remainder that the reference's rules round away.

        Such a layer takes longer than the reference says of it: it is looked at once more, in finer factors.
        """
        return self.rules == EXACT and best.placed.uneven and objective.counts_latency and not rule.order


def too_many_orders(candidate: BestOrder, limit: int) -> bool:
    """Return whether a layer has more orders of ``limit`` factors than are tried one by one."""
    return order_count(temporal_factors(candidate.placed.remaining, limit)) > MAX_ORDERS


def _question(rule: MappingRule) -> tuple[object, ...]:
    """Return what of a rule the answer depends on: equal layers under two names are one question."""
    spatial = tuple((d, tuple(sorted(f.items()))) for d, f in sorted(rule.spatial.items()))
    return (
        spatial,
        tuple(sorted(rule.hint.items())),
        rule.order,
        tuple(sorted(rule.links.items())),
        repr(rule.fixed),
    )


def _candidates(
    problem: MappingProblem, rule: MappingRule, objective: Objective, limit: int | None
) -> list[tuple[float, Placed, Bounds | None]]:
    """Return the spatial mappings to try with what no order of them can beat, most promising first."""
    placed = problem.placements(rule)
    if len(placed) == 1:
        return [(0.0, placed[0], None)]
    found: list[tuple[float, Placed, Bounds | None]] = []
    # A given order may have any factors; the prime factors cover them all.
    factors = None if rule.order else limit or DEFAULT_LPF_LIMIT
    for spread in placed:
        bounds = problem.bounds(spread, factors)
        floor = 1.0
        if objective.counts_latency:
            floor *= LatencyBounds(bounds, problem.cycles_per_operation).quick(math.inf)
        if objective.counts_energy:
            floor *= bounds.energy_floor() + problem.array_energy(spread)
        found.append((floor, spread, bounds))
    return sorted(found, key=lambda entry: entry[0])


Found = tuple[BestOrder | None, int]


def _search_orders(
    problem: MappingProblem,
    placed: Placed,
    rule: MappingRule,
    objective: Objective,
    limit: int | None,
    best: BestOrder | None,
) -> list[Found]:
    """Return the best of each chunk of orders with their allocation, and how many were costed.

    By the rules of this project that may be an allocation for less room, if it is better than ``best``.
    """
    found: list[Found] = []
    less = problem.rules == EXACT and objective.counts_latency
    # Where factors are means, equal allocations are equal up to rounding only, and which one the
    # reference takes is chance; the other end of the tie is tried too.
    ties = (True, False) if placed.uneven else (True,)
    known = best.values[0] if best is not None else math.inf
    for loops, sizes in _orders(problem.shape, placed, rule, limit):
        for most in ties:
            # What leaves the fewest bits to fetch shows which of the others are worth costing.
            if not less or math.isinf(known):
                candidate = problem.best_of(placed, loops, sizes, objective, most)
                found.append((candidate, len(loops)))
                known = candidate.values[0] if candidate is not None else known
            if less:
                candidate, costed = problem.best_with_less_room(placed, loops, sizes, objective, known, most)
                found.append((candidate, costed))
                known = candidate.values[0] if candidate is not None else known
    return found


def _may_beat(problem: MappingProblem, placed: Placed, bounds: Bounds, best: BestOrder) -> bool:
    """Return whether the least energy, in no more than the iterations, is an EDP better than ``best``."""
    least = bounds.least_energy()
    if least is None:
        return False
    return (least.value + problem.array_energy(placed)) * problem.compute(placed) <= best.values[0]


def _cheapest(
    problem: MappingProblem, placed: Placed, bounds: Bounds | None, limit: int | None, best: BestOrder | None
) -> Found | None:
    """Return the mapping of least energy over all orders of the factors and all allocations.

    ``None`` if nothing fits, or nothing can be as good as ``best``. Orders are searched beside it for one
    that is as good and faster.
    """
    bounds = bounds or problem.bounds(placed, limit or DEFAULT_LPF_LIMIT)
    least = bounds.least_energy()
    if least is None:
        return None
    if best is not None and least.value + problem.array_energy(placed) > best.values[0]:
        return None
    rows = rows_of(list(realised(bounds, list(least.paths[:1]))))
    _, candidate = ranked(problem, placed, rows, ENERGY)
    return (candidate if math.isfinite(candidate.values[0]) else None), len(rows)


def _orders(
    shape: Shape, placed: Placed, rule: MappingRule, limit: int | None
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the orders to cost, in chunks; those of the default limit where there are too many to try."""
    if rule.order:
        loops, sizes = given_orders(shape, placed.remaining, rule.order, limit or DEFAULT_LPF_LIMIT)
    else:
        factors = temporal_factors(placed.remaining, limit or DEFAULT_LPF_LIMIT)
        if order_count(factors) > MAX_ORDERS:
            factors = temporal_factors(placed.remaining, DEFAULT_LPF_LIMIT)
        loops, sizes = all_orders(factors)
    for start in range(0, len(loops), CHUNK):
        yield loops[start : start + CHUNK], sizes[start : start + CHUNK]
