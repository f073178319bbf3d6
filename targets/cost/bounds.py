"""Lower bounds over all orders and all allocations of a layer's prime factors, and paths that come close."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from targets.cost.batch import Bools
from targets.cost.lattice import Boundary, Lattice, boundaries
from targets.cost.nest import Floats, Shape
from targets.cost.paths import Key, Path, PathSolver
from targets.cost.unrolling import Placed
from targets.hierarchy import Hierarchy

# Sub-problems of shared memories looked at before the bound is left where it is.
MAX_SPLITS = 60
WEIGHTS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Bound:
    """A proven lower bound and the paths found on the way, most promising first."""

    value: float
    paths: tuple[Path, ...]


class Bounds:
    """Bounds for one layer, core and spatial mapping, over orders of at most ``limit`` factors."""

    def __init__(
        self,
        shape: Shape,
        hierarchy: Hierarchy,
        placed: Placed,
        links: dict[str, str],
        limit: int | None = None,
    ) -> None:
        self.shape = shape
        self.hierarchy = hierarchy
        self.links = links
        self.lattice = Lattice(shape, placed.remaining, limit)
        self.boundaries = boundaries(shape, hierarchy, placed, links, self.lattice)
        self.by_key: dict[Key, Boundary] = {
            (op, b.level): b for op, bs in self.boundaries.items() for b in bs
        }
        self.solver = PathSolver(
            self.lattice.shape, {op: [b.level for b in bs] for op, bs in self.boundaries.items()}
        )
        self.allowed = {key: b.allowed for key, b in self.by_key.items()}

    def energy_floor(self) -> float:
        """Return a quick bound on the energy of the memories in pJ: each choice as cheap as it can be."""
        return sum(float(np.where(b.allowed, b.energy_pj, np.inf).min()) for b in self.by_key.values())

    def least_energy(self) -> Bound | None:
        """Return the least energy of the memories in pJ, and the path that has it; ``None`` if none fits."""
        return self._split({key: b.energy_pj for key, b in self.by_key.items()}, self.allowed)

    def _split(self, prices: dict[Key, Floats], allowed: dict[Key, Bools]) -> Bound | None:
        """Return the cheapest path whose boundaries fit shared memories together.

        Each memory's bound on a single operand is in ``allowed``. Where a path overfills a memory, one of its
        operands must hold less: the space splits in two, both without that path.
        """
        first = self._path(prices, allowed)
        if first is None:
            return None
        number = itertools.count()
        queue = [(first.value, next(number), first, allowed)]
        for _ in range(MAX_SPLITS):
            if not queue:
                return None
            value, _, path, space = queue[0]
            over = self._overfull(path)
            if over is None:
                return Bound(value, (path,))
            heapq.heappop(queue)
            for part in self._halves(path, over, space):
                found = self._path(prices, part)
                if found is not None:
                    heapq.heappush(queue, (found.value, next(number), found, part))
        if not queue:
            return None
        return Bound(queue[0][0], tuple(entry[2] for entry in queue[:4]))

    def _path(self, prices: dict[Key, Floats], allowed: dict[Key, Bools]) -> Path | None:
        return self.solver.solve(
            {key: np.where(allowed[key], price, np.inf) for key, price in prices.items()}
        )

    def _overfull(self, path: Path) -> str | None:
        held: dict[str, float] = {}
        for key, point in path.points.items():
            boundary = self.by_key[key]
            if boundary.memory:
                held[boundary.memory] = held.get(boundary.memory, 0.0) + float(boundary.held_bits[point])
        for name, bits in held.items():
            if bits > self.hierarchy.memories[name].size_bits - self._fixed_bits(name):
                return name
        return None

    def _fixed_bits(self, memory: str) -> float:
        """Return the bits of operands for which ``memory`` is outermost: it holds all of them."""
        total = 0.0
        for op in self.shape.nest.operands:
            chain = self.hierarchy.levels(self.links.get(op, op))
            if chain[-1][0] == memory:
                full = np.array([float(size) for _, size in self.shape.nest.loops])
                total += (
                    float(self.shape.footprint(op, full)) * self.shape.bits["O_final" if op == "O" else op]
                )
        return total

    def _halves(self, path: Path, memory: str, allowed: dict[Key, Bools]) -> Iterator[dict[Key, Bools]]:
        keys = [key for key in path.points if self.by_key[key].memory == memory]
        sizes = [float(self.by_key[key].held_bits[path.points[key]]) for key in keys]
        room = self.hierarchy.memories[memory].size_bits - self._fixed_bits(memory)
        # One operand takes at most its share of the room; or it takes more, and the others less.
        key, size = keys[int(np.argmax(sizes))], max(sizes)
        share = room * size / sum(sizes)
        held = self.by_key[key].held_bits
        yield allowed | {key: allowed[key] & (held <= share)}
        others = {k: allowed[k] & (self.by_key[k].held_bits < room - share) for k in keys if k != key}
        yield allowed | {key: allowed[key] & (held > share)} | others
