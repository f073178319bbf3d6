"""Latency of a mapping: iterations, stalls of the worst port, loading before and writing back after.

Source of the model: ZigZag 3.8.5 (Mei et al., "A Uniform Latency Model for DNN Accelerators with Diverse
Architectures and Dataflows", DATE 2022). ``docs/cost-model.md`` writes it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from targets.cost.model.batch import Bools
from targets.cost.model.nest import Floats
from targets.cost.model.traffic import Chain, Transfer, served
from targets.cost.model.unrolling import EXACT, ZIGZAG, Rules
from targets.description.hierarchy import Hierarchy, Port

Key = tuple[str, int, str]  # operand, level, direction


@dataclass(frozen=True)
class Latency:
    """Cycles of a batch of mappings; arrays ``[N]``.

    Attributes:
        compute: Iterations times cycles per operation: what a core with unlimited memories takes.
        stalls: Per (memory, port), cycles by which its transfers exceed their windows.
        onload: Cycles before the first operation.
        offload: Cycles after the last.
    """

    compute: Floats
    stalls: dict[tuple[str, str], Floats]
    onload: Floats
    offload: Floats

    @property
    def stall(self) -> Floats:
        """Stall of the worst port; ports work side by side."""
        return np.asarray(np.maximum(0, np.max(np.stack(list(self.stalls.values())), axis=0)))

    @property
    def total(self) -> Floats:
        """Cycles from the first load to the last write-back."""
        return self.compute + self.stall + self.onload + self.offload


@dataclass(frozen=True)
class _Duty:
    """A transfer on a port: real cycles and the window it has, per period."""

    move: Transfer
    real: Floats
    window: Floats
    period: Floats

    @property
    def active(self) -> Bools:
        return self.move.count > 0

    @property
    def excess(self) -> Floats:
        """Cycles by which all but the first period exceed their windows; negative is slack."""
        return np.asarray((self.real - self.window) * (self.move.count - 1) * self.active)

    @property
    def windows(self) -> Floats:
        """Window cycles of all but the first period."""
        return np.asarray(self.window * (self.move.count - 1) * self.active)


def latency(
    hierarchy: Hierarchy,
    mean: dict[str, Chain],
    whole: dict[str, Chain],
    links: dict[str, str],
    cycles_per_operation: float = 1.0,
    rules: Rules = ZIGZAG,
) -> Latency:
    """Return the latency of mappings given as chains with mean and with whole unrollings."""
    buffered = _double_buffering(hierarchy, mean, links)
    some = next(iter(whole.values()))
    compute = some.batch.cycles[:, -1] * cycles_per_operation
    per_port = _duties(hierarchy, whole, buffered, links, cycles_per_operation)
    stalls = {key: _stall(duties) for key, (_, duties) in per_port.items()}
    worst = np.maximum(0, np.max(np.stack(list(stalls.values())), axis=0))
    loads: dict[Key, Floats] = {}
    shared: dict[Key, bool] = {}
    for port, duties in per_port.values():
        both = {"W", "I"} <= {transfer.split()[0] for transfer in port.serves}
        loads |= _edges(port, duties, whole, np.ceil(compute) + worst, cycles_per_operation, rules)
        shared |= {_key(duty.move): both for duty in duties}
    return Latency(compute, stalls, _onload(whole, loads, shared), _offload(whole["O"], loads))


def _key(move: Transfer) -> Key:
    return (move.operand, move.level, move.direction)


def _double_buffering(
    hierarchy: Hierarchy, chains: dict[str, Chain], links: dict[str, str]
) -> dict[str, list[Bools]]:
    """Return per operand ``[L + 1]``: whether memory ``i - 1`` can take new data while it serves the old.

    It can while all its operands fill at most half of it; beyond that, operands are granted the room left one
    after another. Only the part of an operand that is replaced at once counts: what it holds over the run of
    relevant loops that ends the level.
    """
    share: dict[tuple[str, int], Floats] = {}
    memory_of: dict[tuple[str, int], str] = {}
    filled: dict[str, Floats] = {}
    for op, chain in chains.items():
        for level, (name, memory) in enumerate(hierarchy.levels(links.get(op, op))):
            held = chain.elements[level + 1] * chain.bits(level + 1) // chain.top_relevant(level)
            share[op, level] = held / memory.size_bits
            memory_of[op, level] = name
            filled[name] = filled.get(name, 0.0) + share[op, level]
    buffered: dict[str, list[Bools]] = {}
    users = list(memory_of.values())
    for op, chain in chains.items():
        flags = [np.zeros(chain.batch.count, bool)]
        for level in range(len(chain.ends)):
            name = memory_of[op, level]
            half = filled[name] <= 0.5
            room = ~half & (share[op, level] <= 1 - filled[name])
            if users.count(name) > 1:
                filled[name] = filled[name] + room * share[op, level]
            flags.append(half | room)
        buffered[op] = flags
    return buffered


def _duties(
    hierarchy: Hierarchy,
    chains: dict[str, Chain],
    buffered: dict[str, list[Bools]],
    links: dict[str, str],
    cycles_per_operation: float,
) -> dict[tuple[str, str], tuple[Port, list[_Duty]]]:
    """Return every port with its transfers, in the order the port lists them."""
    found: dict[tuple[str, str], dict[str, _Duty]] = {}
    ports: dict[tuple[str, str], Port] = {}
    for transfer in served(hierarchy, chains, links):
        move, port = transfer.move, transfer.port
        if port is None:
            continue
        held = transfer.chain.top_irrelevant(move.hold - 1) if move.hold else 1.0
        window = np.where(buffered[move.operand][move.hold], move.period, np.trunc(move.period / held))
        duty = _Duty(
            move,
            np.ceil(move.elements * move.bits / port.bandwidth_bits_per_cycle),
            np.ceil(window * cycles_per_operation),
            np.ceil(move.period * cycles_per_operation),
        )
        key = (transfer.name, port.name)
        ports[key] = port
        own = links.get(move.operand, move.operand)
        found.setdefault(key, {})[f"{own} {move.direction}"] = duty
    return {
        key: (ports[key], [duties[t] for t in ports[key].serves if t in duties])
        for key, duties in found.items()
    }


def _stall(duties: list[_Duty]) -> Floats:
    """Return the stall of one port: what exceeds, plus what the others cannot fit in the windows left."""
    excess = [d.excess for d in duties]
    over = sum(np.maximum(0, x) for x in excess)
    if len(duties) == 1:  # it has all of its windows
        return np.asarray(over, float)
    under = sum(np.minimum(0, x) for x in excess)
    windows = sum(d.windows for d in duties)
    return np.asarray(over + np.maximum(0, under + windows - _window_union(duties)), float)


def _window_union(duties: list[_Duty]) -> Floats:
    """Return the cycles that lie in the window of at least one transfer.

    Windows start with their period, and shorter periods divide longer ones. With ``u_i(x)`` the cycles
    of ``[0, x)`` in none of the windows of the i shortest periods, and n, r = divmod(x, P_i),
    ``u_i(x) = n*u_i(P_i) + max(0, u_{i-1}(r) - u_{i-1}(A_i))``; exact, without walking over time.
    """
    active = np.stack([d.active for d in duties])
    period = np.where(active, np.stack([d.period for d in duties]), 1.0)
    window = np.where(active, np.stack([d.window for d in duties]), 0.0)
    count = np.stack([d.move.count for d in duties])
    open_all = active & (period == window)
    union: Floats = np.take_along_axis(period * count, open_all.argmax(axis=0)[None], axis=0)[0]
    rows = np.flatnonzero(~open_all.any(axis=0) & active.any(axis=0))
    if len(rows):
        longest = np.take_along_axis(count, np.where(active, period, 0).argmax(axis=0)[None], axis=0)[0]
        union[rows] = _covered(period[:, rows], window[:, rows]) * longest[rows]
    return union


def _covered(period: Floats, window: Floats) -> Floats:
    """Return the covered cycles of one longest period; ``[transfers, N]`` in, ``[N]`` out."""
    order = np.argsort(period, axis=0, kind="stable")
    period = np.take_along_axis(period, order, axis=0)
    window = np.take_along_axis(window, order, axis=0)
    whole: list[Floats] = []  # u_i(P_i)
    head: list[Floats] = []  # u_{i-1}(A_i)

    def uncovered(upto: int, x: Floats) -> Floats:
        total = np.zeros_like(x)
        for i in range(upto - 1, -1, -1):
            n, r = np.divmod(x, period[i])
            total = total + n * whole[i]
            behind = r > window[i]
            # Behind the window, u_{i-1}(r) - u_{i-1}(A_i); before its end nothing is uncovered.
            total = total - np.where(behind, head[i], 0.0)
            x = np.where(behind, r, 0.0)
        return total + x

    for i in range(len(period)):
        head.append(uncovered(i, window[i]))
        whole.append(uncovered(i, period[i]) - head[i])
    return np.asarray(period[-1] - whole[-1])


def _edges(
    port: Port,
    duties: list[_Duty],
    chains: dict[str, Chain],
    computation: Floats,
    cycles_per_operation: float,
    rules: Rules,
) -> dict[Key, Floats]:
    """Return the cycles of the first load, or the last write-back, of each transfer of a port.

    Data loaded only once may come while the core computes, as far as the port has bandwidth left, except
    for what the innermost memory needs to begin.
    """
    edge = [
        d for d in duties if not (d.move.operand == "O" and d.move.direction in {"to_below", "from_above"})
    ]
    if not edge:
        return {}
    bandwidth = port.bandwidth_bits_per_cycle
    once = np.stack([d.move.count == 1 for d in edge])
    if not once.any():
        return {_key(d.move): d.real for d in edge}
    demand = sum(np.ceil(d.move.rate / cycles_per_operation) * (d.move.count > 1) for d in edge)
    surplus = np.maximum(0, (bandwidth - demand) / bandwidth * computation)
    real = np.stack([d.real for d in edge])
    chain = [chains[d.move.operand] for d in edge]
    least = np.stack([np.ceil(c.elements[1] * c.bits(1) / bandwidth) for c in chain])
    cut = _balanced(real, least, once, surplus)
    if rules == EXACT:
        cut = np.maximum(cut, 0.0)
    cycles = np.where(once, cut, real)
    return {_key(d.move): row for d, row in zip(edge, cycles, strict=True)}


def _balanced(cycles: Floats, least: Floats, once: Bools, surplus: Floats) -> Floats:
    """Take ``surplus`` off the longest loads first, towards their least; ``[transfers, N]``.

    The rule of the reference: when the next longest is cut, all longer ones are cut by as much again, which
    may take them below their least. Kept, because it decides its published figures.
    """
    several = len(cycles) > 1
    if several:
        order = np.argsort(np.where(once, -cycles, np.inf), axis=0, kind="stable")
        cycles, least = (np.take_along_axis(a, order, axis=0) for a in (cycles, least))
        once = np.take_along_axis(once, order, axis=0)
    left = surplus.copy()
    going = surplus > 0
    result = cycles.copy()
    for i in range(len(cycles)):
        going = going & once[i]
        room = result[i] - least[i]
        whole = left >= room * (i + 1)
        cut = np.where(going, np.where(whole, room, left / (i + 1)), 0.0)
        result[: i + 1] -= cut
        left = np.where(going & whole, left - room * (i + 1), left)
        going = going & whole
    if not several:
        return result
    back = np.empty_like(result)
    np.put_along_axis(back, order, result, axis=0)
    return back


def _pairs(
    chain: Chain, loads: dict[Key, Floats], lower: str, upper: str
) -> Iterable[tuple[int, Key, Key, Floats]]:
    for level in range(len(chain.ends) - 1):
        inner, outer = (chain.operand, level, lower), (chain.operand, level + 1, upper)
        yield level, inner, outer, np.maximum(loads[inner], loads[outer])


def _onload(chains: dict[str, Chain], loads: dict[Key, Floats], shared: dict[Key, bool]) -> Floats:
    """Combine the first loads: over a port both inputs share they queue, elsewhere they run side by side."""
    parts = {}
    for op, chain in chains.items():
        if op == "O":
            continue
        own, half, common = (np.zeros(chain.batch.count) for _ in range(3))
        for _, inner, outer, cycles in _pairs(chain, loads, "from_above", "to_below"):
            if shared[inner] and shared[outer]:
                common = common + cycles
            elif shared[inner] or shared[outer]:
                half = cycles
            else:
                own = own + cycles
        parts[op] = (common, half + own)
    if len(parts) == 1:
        (common, own) = next(iter(parts.values()))
        return np.asarray(common + own)
    (common1, own1), (common2, own2) = parts.values()
    first = common1 + np.maximum(common2 + own2, own1)
    second = common2 + np.maximum(common1 + own1, own2)
    return np.minimum(first, second)


def _offload(chain: Chain, loads: dict[Key, Floats]) -> Floats:
    """Add up the last write-backs: they run one after another."""
    total = np.zeros(chain.batch.count)
    for _, _, _, cycles in _pairs(chain, loads, "to_above", "from_below"):
        total = total + cycles
    return total
