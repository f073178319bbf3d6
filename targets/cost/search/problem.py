"""One loop nest on one core: what is the same for all its mappings, and the cost of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from passes.errors import InputError
from targets.cost.imc.peak import array_energy_pj, precharge_pj
from targets.cost.model import roofline
from targets.cost.model.allocation import Levels, allocate, fitting, rooms
from targets.cost.model.batch import Batch, Bools
from targets.cost.model.evaluate import BatchCosts, evaluate
from targets.cost.model.less_room import all_allocations
from targets.cost.model.nest import Floats, Ints, Shape
from targets.cost.model.solution import MemoryAccess, Solution
from targets.cost.model.unrolling import ZIGZAG, Placed, Rules, place
from targets.cost.search.bounds import Bounds
from targets.cost.search.prospects import Prospects
from targets.cost.search.spatial import unrollings
from targets.description.hierarchy import Hierarchy
from targets.description.mapping import Mapping, MappingRule, Unrolling
from targets.objective import Objective

# Mappings costed at once.
CHUNK = 4096


@dataclass(frozen=True)
class BestOrder:
    """The best order of a batch: its value first, then what breaks ties."""

    values: tuple[float, float]
    placed: Placed
    loops: Ints
    sizes: Ints
    levels: dict[str, tuple[int, ...]]


class MappingProblem:
    """One nest on one core: everything that does not depend on the mapping."""

    def __init__(
        self, shape: Shape, hierarchy: Hierarchy, links: dict[str, str], rules: Rules = ZIGZAG
    ) -> None:
        self.shape = shape
        self.hierarchy = hierarchy
        self.links = links
        self.rules = rules
        imc = hierarchy.array.imc
        self.precharge_pj = precharge_pj(hierarchy) * shape.nest.operations if imc else 0.0
        self.cycles_per_operation = hierarchy.array.cycles_per_operation

    def place(self, unrolling: Unrolling) -> Placed:
        """Spread an unrolling over the memories."""
        return place(self.shape, self.hierarchy, unrolling, self.links, self.rules)

    def placements(self, rule: MappingRule) -> list[Placed]:
        """Return the spatial mappings worth costing under ``rule``, most used array first."""
        return [self.place(u) for u in unrollings(self.shape, self.hierarchy, rule, self.links)]

    def compute(self, placed: Placed) -> float:
        """Return the cycles of the temporal loops: no order of them is faster."""
        return math.prod(placed.remaining) * self.cycles_per_operation

    def array_energy(self, placed: Placed) -> float:
        """Return the energy of the array in pJ that is the same for all orders."""
        if self.hierarchy.array.imc is not None:
            parts = array_energy_pj(self.hierarchy, self.shape.nest, placed.unrolling, weight_switches=0)
            return sum(parts.values())
        return self.shape.nest.operations * self.hierarchy.array.operation_energy_pj

    def costs(self, placed: Placed, batch: Batch, levels: Levels) -> BatchCosts:
        """Return the costs of a batch."""
        return evaluate(
            batch, levels, self.hierarchy, placed, self.links, self.array_energy(placed), self.precharge_pj
        )

    def bounds(self, placed: Placed, limit: int | None) -> Bounds:
        """Return the bounds of one spatial mapping over orders of at most ``limit`` factors."""
        return Bounds(self.shape, self.hierarchy, placed, self.links, limit)

    def best_of(
        self, placed: Placed, loops: Ints, sizes: Ints, objective: Objective, most: bool = True
    ) -> BestOrder | None:
        """Return the best of some orders, allocated bottom-up; ``None`` if none fits.

        ``most`` decides between allocations that leave the same to fetch; see ``allocate``.
        """
        batch = Batch(self.shape, loops, sizes)
        levels, fits = allocate(batch, self.hierarchy, placed, self.links, most)
        if not fits.any():
            return None
        first, second = self.values(placed, batch, levels, fits, objective)
        if not np.isfinite(first).any():
            return None
        return self.candidate(placed, batch, levels, first, second, int(np.lexsort((second, first))[0]))

    def best_with_less_room(
        self, placed: Placed, loops: Ints, sizes: Ints, objective: Objective, known: float, most: bool = True
    ) -> tuple[BestOrder | None, int]:
        """Return the best of some orders allocated for smaller memories too, if ``known`` is no better.

        Beside it, how many mappings were costed.
        """
        batch = Batch(self.shape, loops, sizes)
        prospects = Prospects(
            self.hierarchy, self.links, self.shape.bits, objective,
            self.compute(placed), self.array_energy(placed), known,
        )  # fmt: skip
        found = all_allocations(batch, self.hierarchy, placed, self.links, prospects, most)
        best: BestOrder | None = None
        for start in range(0, len(found.rows), CHUNK):
            part = found.taken(np.arange(start, min(start + CHUNK, len(found.rows))))
            rows = Batch(self.shape, loops[part.rows], sizes[part.rows])
            fits = np.ones(rows.count, bool)
            first, second = self.values(placed, rows, part.levels, fits, objective)
            row = int(np.lexsort((second, first))[0])
            candidate = self.candidate(placed, rows, part.levels, first, second, row)
            if first[row] <= known and (best is None or candidate.values < best.values):
                best = candidate
        return best, len(found.rows)

    def values(
        self, placed: Placed, batch: Batch, levels: Levels, fits: Bools, objective: Objective
    ) -> tuple[Floats, Floats]:
        """Return what to minimise, infinite where a mapping does not fit, and what decides ties."""
        costs = self.costs(placed, batch, levels)
        latency, energy = costs.latency.total, costs.energy_pj
        # Data no port moves: such a mapping costs infinite energy, whatever is asked for.
        fits = fits & np.isfinite(energy)
        first = objective.value(energy, latency)
        return np.where(fits, first, np.inf), energy if objective.counts_latency else latency

    @staticmethod
    def candidate(
        placed: Placed, batch: Batch, levels: Levels, first: Floats, second: Floats, row: int
    ) -> BestOrder:
        """Return one mapping of a batch with its values."""
        return BestOrder(
            (float(first[row]), float(second[row])),
            placed,
            batch.loops[row],
            batch.sizes[row],
            {op: tuple(int(level[row]) for level in columns) for op, columns in levels.items()},
        )

    def obstacle(self, rule: MappingRule) -> tuple[str, str]:
        """Return which memory cannot hold what it must whatever the order, and what helps."""
        sizes = ", ".join(f"{name} {size}" for name, size in self.shape.nest.loops if size > 1)
        for placed in self.placements(rule):
            needs: dict[str, dict[str, float]] = {}
            for op in self.shape.nest.operands:
                chain = self.hierarchy.levels(self.links.get(op, op))
                for level, (name, _) in enumerate(chain):
                    inside = placed.mean[op].inside[level + 1]
                    if level == len(chain) - 1:
                        inside = np.array([float(size) for _, size in self.shape.nest.loops])
                    bits = self.shape.bits["O_final" if op == "O" else op]
                    needs.setdefault(name, {})[op] = float(self.shape.footprint(op, inside)) * bits
            for name, parts in needs.items():
                size = self.hierarchy.memories[name].size_bits
                if sum(parts.values()) > size:
                    told = " and ".join(f"{bits:.0f} bits of {op}" for op, bits in parts.items())
                    return (
                        f"no mapping of {sizes} fits: memory '{name}' has {size} bits and must hold {told}",
                        "unroll less, take narrower operands with `bits`, or give the memory more size_bits",
                    )
        return (
            f"no mapping of {sizes} fits the memories",
            "operands are too large for a memory they share, or partial sums lack a port to come back",
        )

    def solution(self, candidate: BestOrder) -> Solution:
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
                f"the mapping runs {wrong} {got[wrong]} times; with its unrolling it takes {needed[wrong]}"
            )
        batch, levels = self._single(mapping)
        if not fitting(batch, self.hierarchy, placed, self.links, levels)[0]:
            raise InputError("the mapping does not fit: a memory would have to hold more than its size")
        return self._detail(placed, mapping)

    def _check(self, mapping: Mapping) -> None:
        for loop in [n for n, _ in mapping.loops] + [n for f in mapping.spatial.values() for n in f]:
            if loop not in self.shape.index:
                raise InputError(
                    f"the mapping names loop {loop}; the layer has {', '.join(self.shape.names)}"
                )
        for dimension, factors in mapping.spatial.items():
            size = self.hierarchy.array.dimensions.get(dimension)
            if size is None or math.prod(factors.values()) > size:
                raise InputError(
                    f"the mapping unrolls {dict(factors)} over {dimension}, which has size {size}"
                )
        for op in self.shape.nest.operands:
            chain = self.hierarchy.levels(self.links.get(op, op))
            levels = mapping.levels.get(op, ())
            if (
                len(levels) != len(chain)
                or list(levels) != sorted(levels)
                or levels[-1:] != (len(mapping.loops),)
            ):
                raise InputError(
                    f"the mapping's levels of {op} are {list(levels)}; there must be {len(chain)} numbers "
                    f"that do not fall and end with {len(mapping.loops)}, one per memory: "
                    + ", ".join(name for name, _ in chain)
                )

    def _single(self, mapping: Mapping) -> tuple[Batch, Levels]:
        loops = np.array([[self.shape.index[n] for n, _ in mapping.loops]], np.int64).reshape(1, -1)
        sizes = np.array([[s for _, s in mapping.loops]], np.int64).reshape(1, -1)
        levels = {op: [np.array([n]) for n in mapping.levels[op]] for op in self.shape.nest.operands}
        return Batch(self.shape, loops, sizes), levels

    def _detail(self, placed: Placed, mapping: Mapping) -> Solution:
        batch, levels = self._single(mapping)
        costs = self.costs(placed, batch, levels)
        lost = next((a for a in costs.accesses if np.isinf(a.words[0])), None)
        if lost is not None:
            raise InputError(
                f"the mapping moves {lost.operand} {lost.direction} through memory '{lost.memory}', "
                "which has no port for it",
                f"add a port that serves '{lost.operand} {lost.direction}', or reduce below that memory",
            )
        held = rooms(batch, self.hierarchy, placed, self.links, levels)
        parts = costs.latency
        stalls = {f"{memory}.{port}": float(s[0]) for (memory, port), s in parts.stalls.items() if s[0] > 0}
        return Solution(
            mapping,
            float(parts.compute[0]),
            float(parts.stall[0]),
            float(parts.onload[0]),
            float(parts.offload[0]),
            tuple(sorted(stalls.items(), key=lambda item: (-item[1], item[0]))),
            float(costs.operation_energy_pj[0]),
            tuple(
                MemoryAccess(a.operand, a.memory, a.direction, float(a.words[0]), float(a.energy_pj[0]))
                for a in costs.accesses
                if a.words[0]
            ),
            roofline.ideal_cycles(self.shape, self.hierarchy),
            roofline.bound_cycles(self.shape, self.hierarchy, self.links),
            rooms=tuple((op, name, float(bits[0])) for (op, name), bits in held.items()),
        )
