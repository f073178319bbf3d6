"""A lower bound on the latency of every order and allocation of a layer's prime factors.

Whatever the order, a mapping takes ``X + onload + offload`` cycles, where X, iterations with stalls, is at
least the iterations, and at least what any port moves after the first periods. First loads and last
write-backs, and the traffic of a port, are sums of prices at the boundaries, so the path solver bounds any
weighted sum of them. What is loaded only once may overlap with X; those boundaries lie at the top of
the lattice, and each set of them is a case of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from targets.cost.model.batch import Bools
from targets.cost.model.nest import Floats
from targets.cost.search.bounds import WEIGHTS, Bounds
from targets.cost.search.lattice import Boundary
from targets.cost.search.shortest_paths import Key, Path

FIRST_LOADS = {"from_above", "to_below"}
LAST_WRITES = {"to_above", "from_below"}
PortKey = tuple[str, str]


@dataclass(frozen=True)
class _Once:
    """A transfer that happens once: its cycles, and the least that must come before the first operation."""

    key: Key
    port: PortKey
    cycles: float
    least: float


@dataclass(frozen=True)
class _Case:
    """A set of loads that happen once.

    Attributes:
        edges: These loads and write-backs.
        loads: First loads and last write-backs of the other boundaries, ``[S]`` each.
        traffic: Per port and boundary, cycles it is busy after the first period, ``[S]``.
        start: What iterations with stalls take at least.
        value: What the latency is at least; infinite where the case cannot be.
    """

    edges: list[_Once]
    loads: dict[Key, Floats]
    traffic: dict[PortKey, dict[Key, Floats]]
    start: float
    value: float


@dataclass(frozen=True)
class _Question:
    """A weighted sum to minimise over paths.

    Attributes:
        weights: Of first loads, per operand.
        prices: Per boundary, ``[S]``.
        joint: Added to the sum, it bounds X with first loads; ``None`` if the sum is of first loads alone.
        alone: Added to the sum, it bounds the whole latency.
    """

    weights: dict[str, float]
    prices: dict[Key, Floats]
    joint: float | None
    alone: float = -math.inf


class LatencyBounds:
    """Latency bounds for one layer, core and spatial mapping."""

    def __init__(self, bounds: Bounds, cycles_per_operation: float) -> None:
        self.bounds = bounds
        self.top = bounds.lattice.count - 1
        self.compute = float(bounds.lattice.cycles[-1]) * cycles_per_operation
        self.levels = {op: [b for b in bs if b.level >= 0] for op, bs in bounds.boundaries.items()}
        self.inputs = [op for op in self.levels if op != "O"]
        self.weight = {key: self._pair_weight(b) for key, b in bounds.by_key.items()}
        self.ports = sorted({f.port for b in bounds.by_key.values() for f in b.flows})
        self.excess = {key: self._excess(b) for key, b in bounds.by_key.items()}
        zero = np.zeros(bounds.lattice.count)
        # Ports work side by side: the worst one counts.
        self.worst_excess = {
            key: reduce(np.maximum, found.values(), zero) for key, found in self.excess.items()
        }
        self.slack = math.inf

    def _excess(self, boundary: Boundary) -> dict[PortKey, Floats]:
        """Return per port the cycles its transfers exceed their windows by, at best, ``[S]``.

        The window is the whole period where the memory may double-buffer. It cannot where it is more than
        half full with data that nothing below it replaces in parts; if only irrelevant loops run below, all
        of them hold the data still, and one iteration is left.
        """
        lattice = self.bounds.lattice
        period = lattice.cycles * self.compute / lattice.cycles[-1]
        window = period
        if boundary.level == 0:
            size = self.bounds.hierarchy.memories[boundary.memory].size_bits
            still = lattice.untouched(~self.bounds.shape.irrelevant[boundary.operand])
            window = np.where(still & (boundary.held_bits > size / 2), period / lattice.cycles, period)
        found: dict[PortKey, Floats] = {}
        for flow in boundary.flows:
            over = np.maximum(0, (flow.real - np.ceil(window)) * np.maximum(0, flow.count - 1))
            found[flow.port] = found.get(flow.port, 0.0) + over
        return found

    def _pair_weight(self, boundary: Boundary) -> float:
        """Return 0 for a pair of ports whose load the onload rule overwrites by one further out, else 1."""
        if boundary.operand == "O" or boundary.level < 0:
            return 1.0
        kinds = [self._half_shared(b) for b in self.levels[boundary.operand]]
        last = max((i for i, half in enumerate(kinds) if half), default=-1)
        return 0.0 if kinds[boundary.level] and boundary.level != last else 1.0

    def _half_shared(self, boundary: Boundary) -> bool:
        shared = {self._shared(f.port) for f in boundary.flows}
        return len(shared) == 2

    def _shared(self, port: PortKey) -> bool:
        memory = self.bounds.hierarchy.memories[port[0]]
        serves = next(p.serves for p in memory.ports if p.name == port[1])
        return {"W", "I"} <= {transfer.split()[0] for transfer in serves}

    def quick(self, known: float) -> float:
        """Return a lower bound, at most ``known``, without regard to a common path of the operands.

        Args:
            known: Latency of a mapping already found, in cycles; infinite if there is none.
        """
        self.slack = known - self.compute
        least = min((self._state(once).value for once in self._cases()), default=known)
        return max(min(least, known), self.compute)

    def lower(self, known: float) -> tuple[float, list[Path]]:
        """Return a lower bound, at most ``known``, and paths worth costing, most promising first.

        Args:
            known: Latency of a mapping already found, in cycles.
        """
        # More than this, no boundary may stall.
        self.slack = known - self.compute
        least = known
        found: list[tuple[float, Path]] = []
        for once in self._cases():
            value, paths = self._case(once, known)
            least = min(least, value)
            found += [(value, path) for path in paths]
        found.sort(key=lambda entry: entry[0])
        return max(least, self.compute), [path for _, path in found]

    def _cases(self) -> Iterator[frozenset[Key]]:
        """Yield which boundaries lie at the top: per operand, its outermost ones."""
        options = []
        for op, levels in self.levels.items():
            keys = [(op, b.level) for b in levels]
            options.append([frozenset(keys[i:]) for i in range(len(keys), -1, -1)])
        for choice in itertools.product(*options):
            case = frozenset().union(*choice)
            if all(self.bounds.allowed[key][self.top] for key in case):
                yield case

    def _state(self, once: frozenset[Key]) -> _Case:
        """Return what is known of a case, and what it takes at least if operands need not share a path."""
        edges = self._edges_of(once)
        free = [key for key in self.bounds.by_key if key not in once]
        loads = {key: self._first_cycles(self.bounds.by_key[key]) * self.weight[key] for key in free}
        traffic = {port: self._traffic(port, free) for port in self.ports}
        moved = (sum(float(t.min()) for t in prices.values()) for prices in traffic.values())
        start = max(self.compute, *moved)
        simple = {key: float(np.where(self._space(key, once), loads[key], np.inf).min()) for key in free}
        value = start
        for weights in self._weights():
            fixed = sum(simple[key] * weights[key[0]] for key in free if weights[key[0]])
            value = max(value, self._least(edges, weights, start, fixed, 0.0))
        if not all(math.isfinite(cycles) for cycles in simple.values()):
            value = math.inf
        return _Case(edges, loads, traffic, start, value)

    def _case(self, once: frozenset[Key], known: float) -> tuple[float, list[Path]]:
        case = self._state(once)
        value = case.value
        if value >= known:
            return value, []
        asked = [q for weights in self._weights() for q in self._questions(case, weights)]
        answers = self._solve([q.prices for q in asked], once)
        rest = 0.0
        for question, path in zip(asked, answers, strict=True):
            if path is None:
                return math.inf, []
            if question.joint is None:
                rest = path.value
            joint = 0.0 if question.joint is None else question.joint + path.value
            together = self._least(case.edges, question.weights, case.start, rest, joint)
            value = max(value, together, question.alone + path.value)
        return value, [path for path in answers if path is not None]

    def _questions(self, case: _Case, weights: dict[str, float]) -> Iterator[_Question]:
        """Yield weighted sums to minimise over paths; the first loads alone come first."""
        prices = {key: load * weights[key[0]] for key, load in case.loads.items()}
        yield _Question(weights, prices, None)
        for port in self.ports:
            busy = case.traffic[port]
            if sum(float(t.max()) for t in busy.values()) > self.compute:
                yield _Question(weights, {key: prices[key] + busy[key] for key in prices}, 0.0)
            over = {key: self.excess[key][port] for key in prices if port in self.excess[key]}
            if any(o.any() for o in over.values()):
                stalled = {key: price + over.get(key, 0.0) for key, price in prices.items()}
                yield _Question(weights, stalled, self.compute)
            if any(e.port == port for e in case.edges):
                yield self._shared_cut(case.edges, weights, port, prices)

    def _shared_cut(
        self, edges: list[_Once], weights: dict[str, float], port: PortKey, prices: dict[Key, Floats]
    ) -> _Question:
        """Bound by what one port must load or write once: all cuts together are at most its spare cycles.

        With w the weights of the loads, X - max(w) * spare + sum(w * cycles) is left, and spare is X less
        what the transfers of every period take.
        """
        here = {e.key: e.cycles * weights[e.key[0]] * self.weight[e.key] for e in edges if e.port == port}
        share = max(weights[key[0]] * self.weight[key] for key in here)
        elsewhere: dict[Key, float] = {}
        for edge in edges:
            if edge.key not in here:
                floor = self._floor(edge, edges) * weights[edge.key[0]] * self.weight[edge.key]
                elsewhere[edge.key] = max(elsewhere.get(edge.key, -math.inf), floor)
        busy = {
            key: price + share * self._steady(port, self.bounds.by_key[key]) for key, price in prices.items()
        }
        alone = self.compute * (1 - share) + sum(here.values()) + sum(elsewhere.values())
        return _Question(weights, busy, 0.0, alone)

    def _steady(self, port: PortKey, boundary: Boundary) -> Floats:
        """Return cycles the repeated loads of a boundary surely keep a port busy beside compute, ``[S]``."""
        wanted = LAST_WRITES if boundary.operand == "O" else FIRST_LOADS
        lattice = self.bounds.lattice
        busy = np.zeros(lattice.count)
        for flow in boundary.flows:
            if flow.port == port and flow.direction in wanted:
                per_cycle = np.floor(flow.bits / lattice.cycles) / flow.bandwidth
                busy += np.maximum(0, lattice.cycles[-1] * per_cycle - flow.real) * (flow.count > 1)
        return busy

    def _weights(self) -> list[dict[str, float]]:
        """Return convex weights on the two inputs: the first loads take as long as the longer of them."""
        if len(self.inputs) == 1:
            return [{self.inputs[0]: 1.0, "O": 1.0}]
        first, second = self.inputs
        return [{first: w, second: 1 - w, "O": 1.0} for w in WEIGHTS]

    def _space(self, key: Key, once: frozenset[Key]) -> Bools:
        allowed = self.bounds.allowed[key] & (self.worst_excess[key] <= self.slack)
        if key in once:
            allowed[: self.top] = False
        elif key[1] >= 0:
            allowed[self.top] = False
        return allowed

    def _solve(self, prices: list[dict[Key, Floats]], once: frozenset[Key]) -> list[Path | None]:
        zero = np.zeros(self.top + 1)
        spaces = {key: self._space(key, once) for key in self.bounds.by_key}
        stacked = {
            key: np.where(space, np.stack([p.get(key, zero) for p in prices]), np.inf)
            for key, space in spaces.items()
        }
        return self.bounds.solver.solve_all(stacked)

    def _first_cycles(self, boundary: Boundary) -> Floats:
        """Return the cycles of the first load or last write-back across a boundary, ``[S]``."""
        if boundary.level < 0:
            return np.zeros(self.top + 1)
        wanted = LAST_WRITES if boundary.operand == "O" else FIRST_LOADS
        cycles = [f.real for f in boundary.flows if f.direction in wanted]
        return np.max(np.stack(cycles), axis=0) if cycles else np.zeros(self.top + 1)

    def _traffic(self, port: PortKey, keys: list[Key]) -> dict[Key, Floats]:
        """Return per boundary the cycles a port is busy after the first period, ``[S]``."""
        result = {}
        for key in keys:
            flows = [f for f in self.bounds.by_key[key].flows if f.port == port]
            busy = sum((f.real * np.maximum(0, f.count - 1) for f in flows), np.zeros(self.top + 1))
            result[key] = busy
        return result

    def _edges_of(self, once: frozenset[Key]) -> list[_Once]:
        edges = []
        for key in sorted(once):
            boundary = self.bounds.by_key[key]
            wanted = LAST_WRITES if key[0] == "O" else FIRST_LOADS
            first = self.levels[key[0]][0]
            for flow in boundary.flows:
                if flow.direction in wanted:
                    bandwidth = next(
                        p.bandwidth_bits_per_cycle
                        for p in self.bounds.hierarchy.memories[flow.port[0]].ports
                        if p.name == flow.port[1]
                    )
                    least = math.ceil(float(first.held_bits[0]) / bandwidth)
                    edges.append(_Once(key, flow.port, float(flow.real[self.top]), least))
        return edges

    def _least(
        self, edges: list[_Once], weights: dict[str, float], start: float, rest: float, joint: float
    ) -> float:
        """Return the least of ``max(X + rest, joint) + what loads once`` over all X from ``start`` on.

        All is convex and piecewise linear in X, so a corner has the least.
        """
        corners = {start, max(start, joint - rest)}
        corners |= {
            max(start, e.cycles - low) for e in edges for low in (0.0, e.least, self._floor(e, edges))
        }
        return min(max(x + rest, joint) + self._once(edges, weights, x) for x in corners)

    @staticmethod
    def _floor(edge: _Once, edges: list[_Once]) -> float:
        """Return what is left of a load at least; cuts of others on its port may take more off it."""
        rivals = sum(max(0.0, e.cycles - e.least) for e in edges if e.port == edge.port and e is not edge)
        return min(edge.cycles, edge.least) - rivals

    def _once(self, edges: list[_Once], weights: dict[str, float], x: float) -> float:
        pairs: dict[Key, float] = {}
        for edge in edges:
            left = max(self._floor(edge, edges), edge.cycles - x)
            pairs[edge.key] = max(pairs.get(edge.key, -math.inf), left)
        return sum(left * weights[key[0]] * self.weight[key] for key, left in pairs.items())
