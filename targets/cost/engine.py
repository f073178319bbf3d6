"""The cost engine: the best mapping of a loop nest onto one core, or the cost of a given one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from passes.errors import InputError
from targets.cost import roofline
from targets.cost.allocation import Levels, allocate
from targets.cost.batch import Batch
from targets.cost.evaluate import Costs, evaluate
from targets.cost.imc import array_energy_pj
from targets.cost.mapping import DEFAULT_RULE, Mapping, MappingRule
from targets.cost.nest import LoopNest, Shape
from targets.cost.orderings import Ints, all_orders, order_count, temporal_factors
from targets.cost.orders_given import given_orders
from targets.cost.solution import MemoryAccess, Solution
from targets.cost.spatial import unrollings
from targets.cost.unrolling import Placed, place
from targets.hierarchy import Hierarchy

DEFAULT_LPF_LIMIT = 6
# Orders evaluated at once: small enough for the cache, large enough to hide the interpreter.
CHUNK = 2048
MAX_ORDERS = 2_000_000


class NoMappingError(InputError):
    """A layer of which no mapping fits the memories of a core."""


@dataclass
class Engine:
    """Searches mappings on one core; equal questions are answered once.

    Attributes:
        hierarchy: The core.
        lpf_limit: Most temporal factors per layer; ``None`` takes all prime factors.
        memo: Answers so far. Without it (``None``) every question is searched.
    """

    hierarchy: Hierarchy
    lpf_limit: int | None = DEFAULT_LPF_LIMIT
    memo: dict[tuple[object, ...], Solution] | None = field(default_factory=dict)

    def best(self, nest: LoopNest, objective: str = "latency", rule: MappingRule = DEFAULT_RULE) -> Solution:
        """Return the best mapping of ``nest``.

        Equal values are decided by the other of latency and energy, then by the order of loops.

        Args:
            nest: The layer.
            objective: ``latency``, ``energy`` or ``edp``.
            rule: What the user asks of the mapping.

        Raises:
            NoMappingError: No mapping fits the memories.
            InputError: A given mapping does not belong to this layer and core.
        """
        key = (nest, objective, repr(rule))
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
        problem = Problem(Shape(nest), self.hierarchy, dict(rule.links))
        return problem.cost_of(mapping)

    def _search(self, nest: LoopNest, objective: str, rule: MappingRule) -> Solution:
        problem = Problem(Shape(nest), self.hierarchy, dict(rule.links))
        best: Candidate | None = None
        considered = 0
        for unrolling in unrollings(problem.shape, self.hierarchy, rule, problem.links):
            placed = problem.place(unrolling)
            if best is not None and objective == "latency" and problem.compute(placed) >= best.values[0]:
                continue
            for loops, sizes in _orders(problem.shape, placed, rule, self.lpf_limit):
                considered += len(loops)
                candidate = problem.best_of(placed, loops, sizes, objective)
                if candidate is not None and (best is None or candidate.values < best.values):
                    best = candidate
        if best is None:
            raise NoMappingError(
                f"no mapping fits the memories: {', '.join(f'{n} {s}' for n, s in nest.loops if s > 1)}",
                "a single tile of an operand is larger than a memory, or the outermost memory cannot hold the layer",
            )
        if self.lpf_limit is None:
            from targets.cost.full import improve  # noqa: PLC0415 - the two modules need each other

            return improve(problem, best, objective, rule, considered)
        return replace(problem.solution(best), considered=considered)


@dataclass(frozen=True)
class Candidate:
    """The best order of a batch: its value first, then what breaks ties."""

    values: tuple[float, float]
    placed: Placed
    loops: Ints
    sizes: Ints
    levels: dict[str, tuple[int, ...]]


class Problem:
    """One nest on one core: everything that does not depend on the mapping."""

    def __init__(self, shape: Shape, hierarchy: Hierarchy, links: dict[str, str]) -> None:
        self.shape = shape
        self.hierarchy = hierarchy
        self.links = links
        self.cycles_per_operation = hierarchy.array.imc.cycles_per_operation if hierarchy.array.imc else 1.0

    def place(self, unrolling: object) -> Placed:
        """Spread an unrolling over the memories."""
        return place(self.shape, self.hierarchy, unrolling, self.links)  # type: ignore[arg-type]

    def compute(self, placed: Placed) -> float:
        """Return the cycles of the temporal loops: no order of them is faster."""
        return math.prod(placed.remaining) * self.cycles_per_operation

    def array_energy(self, placed: Placed) -> float:
        """Return the energy of the array in pJ, the same for all orders."""
        if self.hierarchy.array.imc is not None:
            return sum(array_energy_pj(self.hierarchy, self.shape.nest, placed.unrolling).values())
        return self.shape.nest.operations * self.hierarchy.array.operation_energy_pj

    def costs(self, placed: Placed, batch: Batch, levels: Levels) -> Costs:
        """Return the costs of a batch."""
        return evaluate(batch, levels, self.hierarchy, placed, self.links, self.array_energy(placed))

    def best_of(self, placed: Placed, loops: Ints, sizes: Ints, objective: str) -> Candidate | None:
        """Return the best of some orders, allocated bottom-up; ``None`` if none fits."""
        batch = Batch(self.shape, loops, sizes)
        levels, fits = allocate(batch, self.hierarchy, placed, self.links)
        return self.pick(placed, batch, levels, fits, objective) if fits.any() else None

    def pick(
        self, placed: Placed, batch: Batch, levels: Levels, fits: np.ndarray, objective: str
    ) -> Candidate:
        """Return the best of the orders of a batch that fit."""
        costs = self.costs(placed, batch, levels)
        latency, energy = costs.latency.total, costs.energy_pj
        first = {"latency": latency, "energy": energy, "edp": latency * energy}[objective]
        second = latency if objective == "energy" else energy
        row = int(np.lexsort((second, np.where(fits, first, np.inf)))[0])
        return Candidate(
            (float(first[row]), float(second[row])),
            placed,
            batch.loops[row],
            batch.sizes[row],
            {op: tuple(int(level[row]) for level in levels[op]) for op in levels},
        )

    def solution(self, candidate: Candidate) -> Solution:
        """Return a candidate with its breakdown."""
        names = self.shape.names
        loops = tuple((names[i], int(s)) for i, s in zip(candidate.loops, candidate.sizes, strict=True))
        return self._detail(candidate.placed, Mapping(candidate.placed.unrolling, loops, candidate.levels))

    def cost_of(self, mapping: Mapping) -> Solution:
        """Return the cost of a complete mapping; see :meth:`Engine.cost`."""
        self._check(mapping)
        placed = self.place(mapping.spatial)
        needed = dict(zip(self.shape.names, placed.remaining, strict=True))
        got = {name: math.prod(f for loop, f in mapping.loops if loop == name) for name in needed}
        wrong = next((name for name in needed if needed[name] != got[name]), None)
        if wrong is not None:
            raise InputError(
                f"the mapping runs loop {wrong} {got[wrong]} times; with its unrolling it takes {needed[wrong]}"
            )
        return self._detail(placed, mapping)

    def _check(self, mapping: Mapping) -> None:
        for loop in [n for n, _ in mapping.loops] + [n for f in mapping.spatial.values() for n in f]:
            if loop not in self.shape.index:
                raise InputError(f"the mapping names loop {loop}; the layer has {', '.join(self.shape.names)}")
        for dimension, factors in mapping.spatial.items():
            size = self.hierarchy.array.dimensions.get(dimension)
            if size is None or math.prod(factors.values()) > size:
                raise InputError(f"the mapping unrolls {dict(factors)} over {dimension}, which has size {size}")
        for op in self.shape.nest.operands:
            chain = self.hierarchy.levels(self.links.get(op, op))
            levels = mapping.levels.get(op, ())
            if len(levels) != len(chain) or list(levels) != sorted(levels) or levels[-1:] != (len(mapping.loops),):
                raise InputError(
                    f"the mapping's levels of {op} are {list(levels)}; there must be {len(chain)} numbers that do not "
                    f"fall and end with {len(mapping.loops)}, one per memory: {', '.join(n for n, _ in chain)}"
                )

    def _detail(self, placed: Placed, mapping: Mapping) -> Solution:
        loops = np.array([[self.shape.index[n] for n, _ in mapping.loops]], np.int64).reshape(1, -1)
        sizes = np.array([[s for _, s in mapping.loops]], np.int64).reshape(1, -1)
        batch = Batch(self.shape, loops, sizes)
        levels = {op: [np.array([n]) for n in mapping.levels[op]] for op in self.shape.nest.operands}
        costs = self.costs(placed, batch, levels)
        parts = costs.latency
        stalls = {f"{memory}.{port}": float(s[0]) for (memory, port), s in parts.stalls.items() if s[0] > 0}
        return Solution(
            mapping,
            float(parts.compute[0]),
            float(parts.stall[0]),
            float(parts.onload[0]),
            float(parts.offload[0]),
            tuple(sorted(stalls.items(), key=lambda item: (-item[1], item[0]))),
            costs.operation_energy_pj,
            tuple(
                MemoryAccess(a.operand, a.memory, a.direction, float(a.words[0]), float(a.energy_pj[0]))
                for a in costs.accesses
                if a.words[0]
            ),
            roofline.ideal_cycles(self.shape, self.hierarchy),
            roofline.bound_cycles(self.shape, self.hierarchy, self.links),
        )


def _orders(
    shape: Shape, placed: Placed, rule: MappingRule, limit: int | None
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the orders to cost, in chunks; without a limit those of the default one, which ``full`` improves."""
    if rule.order:
        loops, sizes = given_orders(shape, placed.remaining, rule.order, limit or DEFAULT_LPF_LIMIT)
    else:
        factors = temporal_factors(placed.remaining, limit or DEFAULT_LPF_LIMIT)
        if order_count(factors) > MAX_ORDERS:
            raise InputError(
                f"{order_count(factors)} orders of {len(factors)} temporal factors are too many to try one by one",
                "give a smaller --lpf-limit, or 'full', which bounds instead of trying",
            )
        loops, sizes = all_orders(factors)
    for start in range(0, len(loops), CHUNK):
        yield loops[start : start + CHUNK], sizes[start : start + CHUNK]
