"""Lower bounds over all orders and all allocations of a layer's prime factors, and paths that come close."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from targets.cost.model.batch import Bools
from targets.cost.model.nest import Floats, Shape
from targets.cost.model.unrolling import Placed
from targets.cost.search.lattice import Boundary, Lattice, boundaries
from targets.cost.search.shortest_paths import Key, Path, PathSolver
from targets.description.hierarchy import Hierarchy

# Sub-problems of shared memories looked at before the bound is left where it is.
MAX_SPLITS = 60
WEIGHTS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Bound:
    """A proven lower bound and the paths found on the way, most promising first."""

    value: float
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class _Space:
    """Points each boundary may be at, and what its memory then holds, in bits; ``[S]`` each."""

    allowed: dict[Key, Bools]
    held: dict[Key, Floats]


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
        return self._split({key: b.energy_pj for key, b in self.by_key.items()})

    def _spaces(self) -> Iterator[_Space]:
        """Yield disjoint spaces that cover all, by where the last reduction of the outputs lies.

        A memory holds final sums if all that reduces lies below the memory below it, else wider partial sums.
        """
        done = self.lattice.finished(self.shape.irrelevant["O"])
        sums = [b for b in self.boundaries["O"] if b.level >= 0]
        for first in range(len(sums) + 1):
            allowed = dict(self.allowed)
            held = {key: b.held_bits for key, b in self.by_key.items()}
            for boundary in sums:
                key = ("O", boundary.level)
                if 0 < boundary.level <= first:
                    held[key] = boundary.wide_bits
                size = self.hierarchy.memories[boundary.memory].size_bits
                where = done if boundary.level >= first else ~done
                allowed[key] = self.allowed[key] & where & (held[key] <= size)
            yield _Space(allowed, held)

    def _split(self, prices: dict[Key, Floats]) -> Bound | None:
        """Return the cheapest path whose boundaries fit shared memories together.

        Where a path overfills a memory, one of its operands must hold less: the space splits into parts
        without that path.
        """
        number = itertools.count()
        queue: list[tuple[float, int, Path, _Space]] = []

        def add(space: _Space) -> None:
            path = self._path(prices, space.allowed)
            if path is not None:
                heapq.heappush(queue, (path.value, next(number), path, space))

        for space in self._spaces():
            add(space)
        for _ in range(MAX_SPLITS):
            if not queue:
                return None
            value, _, path, space = queue[0]
            over = self._overfull(path, space.held)
            if over is None:
                return Bound(value, (path,))
            heapq.heappop(queue)
            for part in self._parts(path, over, space):
                add(part)
        return Bound(queue[0][0], tuple(entry[2] for entry in queue[:4])) if queue else None

    def _path(self, prices: dict[Key, Floats], allowed: dict[Key, Bools]) -> Path | None:
        return self.solver.solve(
            {key: np.where(allowed[key], price, np.inf) for key, price in prices.items()}
        )

    def _overfull(self, path: Path, held: dict[Key, Floats]) -> str | None:
        """Return a memory that cannot hold what a path puts there."""
        used: dict[str, float] = {}
        for key, point in path.points.items():
            memory = self.by_key[key].memory
            if memory:
                used[memory] = used.get(memory, 0.0) + float(held[key][point])
        return next((name for name, bits in used.items() if bits > self._room(name)), None)

    def _room(self, memory: str) -> float:
        """Return the bits of ``memory`` less those of operands it is outermost for: all of these."""
        room = float(self.hierarchy.memories[memory].size_bits)
        full = np.array([float(size) for _, size in self.shape.nest.loops])
        for op in self.shape.nest.operands:
            if self.hierarchy.levels(self.links.get(op, op))[-1][0] == memory:
                bits = self.shape.bits["O_final" if op == "O" else op]
                room -= float(self.shape.footprint(op, full)) * bits
        return room

    def _parts(self, path: Path, memory: str, space: _Space) -> Iterator[_Space]:
        """Yield disjoint spaces without ``path`` that cover all that fits ``memory``.

        If each operand took more than its share of the room, in proportion to what it takes in ``path``, the
        memory would be too full. So one takes at most that: the first such operand tells the part.
        """
        keys = [key for key in path.points if self.by_key[key].memory == memory]
        sizes = {key: float(space.held[key][path.points[key]]) for key in keys}
        scale = self._room(memory) / sum(sizes.values())
        allowed = space.allowed
        for key in sorted(keys, key=sizes.__getitem__, reverse=True):
            little = space.held[key] <= scale * sizes[key]
            yield _Space(allowed | {key: allowed[key] & little}, space.held)
            allowed = allowed | {key: allowed[key] & ~little}
