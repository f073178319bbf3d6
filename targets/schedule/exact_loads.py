"""What cores, links and ports have to do in any case, and what moving data takes at least."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from targets.schedule.exact_problem import Need, Piece, Problem
from targets.schedule.machine import OUTER, Machine, Route, Word
from targets.schedule.regions import Region


class Load(NamedTuple):
    """Work that starts ``head`` cycles after its stage or later, with ``tail`` cycles more behind it."""

    head: int
    work: float
    tail: int


class Crossing(NamedTuple):
    """A part of a piece that must enter one of ``goals`` from one of ``sources``, first for ``need``.

    ``need`` is ``None`` for what is delivered.
    """

    piece: Piece
    bits: int
    sources: frozenset[str]
    goals: frozenset[str]
    need: Need | None

    @property
    def stage(self) -> int:
        """The stage before whose end it must have happened."""
        if self.need is not None:
            return self.need.task.stage
        return self.piece.maker.stage if self.piece.maker is not None else 0


def crowd(loads: Sequence[Load], capacity: float) -> int:
    """Return the least cycles in which ``loads`` can be worked off at ``capacity`` per cycle.

    Jackson's preemptive schedule on one machine of that speed: the most, over all sets of loads, of the
    least head, the work of all and the least tail (Carlier 1982, "The one-machine sequencing problem").
    """
    waiting: list[tuple[int, float]] = []
    pending = sorted(loads, reverse=True)
    now, longest = 0.0, 0.0
    while pending or waiting:
        if not waiting:
            now = max(now, pending[-1].head)
        while pending and pending[-1].head <= now:
            load = pending.pop()
            heapq.heappush(waiting, (-load.tail, load.work / capacity))
        tail, left = heapq.heappop(waiting)
        done = min(left, pending[-1].head - now) if pending else left
        now += done
        if done < left:
            heapq.heappush(waiting, (tail, left - done))
        else:
            longest = max(longest, now - tail)
    return math.ceil(longest - 1e-6)


def loads(
    problem: Problem, stage: int, heads: Mapping[tuple[int, str], int], tails: Sequence[int]
) -> Iterator[tuple[float, list[Load]]]:
    """Yield what groups of cores, and resources, can do in a cycle and must do in a stage."""
    tasks = [task for task in problem.tasks if task.stage == stage]
    head = {task.number: min(heads[task.number, core] for core in task.options) for task in tasks}
    for group in {frozenset(task.options) for task in tasks}:
        inside = [task for task in tasks if group.issuperset(task.options)]
        yield len(group), [Load(head[t.number], t.least_cycles, tails[t.number]) for t in inside]
    moves = [c for piece in problem.pieces for c in crossings(problem, piece) if _only_in(c, stage)]
    known: dict[tuple[frozenset[str], frozenset[str]], dict[str, float]] = {}
    for move in moves:
        if (move.sources, move.goals) not in known:
            known[move.sources, move.goals] = least_uses(problem.machine, move)
    for resource, capacity in problem.machine.capacities.items():
        found = []
        for task in tasks:
            work = min(task.cycles(c) * dict(task.uses[c]).get(resource, 0.0) for c in task.options)
            found.append(Load(head[task.number], work, tails[task.number]))
        for move in moves:
            work = move.bits * known[move.sources, move.goals].get(resource, 0.0)
            maker, need = move.piece.maker, move.need
            before = 0
            if maker is not None and maker.stage == stage:
                before = min(heads[maker.number, c] + maker.cycles(c) for c in maker.options)
            after = 0
            if need is not None:
                after = max(need.task.least_cycles + tails[need.task.number], spread(problem, move, tails))
            found.append(Load(before, work, after))
        yield capacity, [load for load in found if load.work]


def _only_in(move: Crossing, stage: int) -> bool:
    """Whether a crossing happens in a stage and cannot happen before."""
    if move.stage != stage:
        return False
    maker = move.piece.maker
    return (maker is not None and maker.stage == stage) or all(
        need.task.stage >= stage for need in move.piece.needs
    )


def crossings(problem: Problem, piece: Piece) -> Iterator[Crossing]:
    """Yield what must enter stores in which the piece cannot be from the start.

    Needs with the same stores are one group; groups without a store in common need moves of their own. Of
    the parts a group needs, what was not counted yet counts for the first need; cells are never counted twice.
    """
    groups: dict[frozenset[str], list[Need]] = {}
    for need in piece.needs:
        groups.setdefault(frozenset(need.task.places(need.operand)), []).append(need)
    if piece.delivered:
        groups.setdefault(frozenset((OUTER,)), [])
    taken: set[str] = set(piece.sources)
    for goals in sorted(groups, key=sorted):
        if taken & goals:
            continue
        taken |= goals
        if goals == {OUTER} and piece.delivered:
            yield Crossing(piece, problem.bits(piece, piece.region), piece.holders - goals, goals, None)
            continue
        ordered = sorted(groups[goals], key=lambda n: (n.task.stage, -n.part.cells, n.task.number))
        counted = [region for store, region in piece.resident if store in goals]
        for need in ordered:
            part = _fresh(need.part, counted)
            if part is not None:
                counted.append(part)
                yield Crossing(piece, problem.bits(piece, part), piece.holders - goals, goals, need)


def _fresh(part: Region, counted: Sequence[Region]) -> Region | None:
    """Return rows of ``part`` none of which is in ``counted``; ``None`` where there is no simple rest."""
    for have in counted:
        both = part.meet(have)
        if both is None:
            continue
        if (both.c0, both.c1) != (part.c0, part.c1) or (both.y0 > part.y0 and both.y1 < part.y1):
            return None
        if both == part:
            return None
        part = part._replace(y0=both.y1) if both.y0 == part.y0 else part._replace(y1=both.y0)
    return part


def spread(problem: Problem, move: Crossing, tails: Sequence[int]) -> int:
    """Return how long a stage goes on after the first copy of what all tiles of a layer read has come.

    The cores beside it start then, all others no sooner than a second copy can be there: from the first, or
    over a port that lets in one at a time.
    """
    needs, machine = move.piece.needs, problem.machine
    first = needs[0]
    # What was made on chip can be sent to several stores at once.
    given = move.piece.maker is None and not move.piece.resident
    if not given or any((n.part, n.task.layer) != (first.part, first.task.layer) for n in needs):
        return 0
    beside: dict[str, set[str]] = {}
    for need in needs:
        for store, cores in need.task.places(need.operand).items():
            beside.setdefault(store, set()).update(cores)
    later = min(
        (
            0 if source == OUTER and not _alone(machine, route) else route.cycles(move.bits)
            for source, _, route in _ways(machine, move.piece.holders, move.goals)
        ),
        default=0,
    )
    work = sum({need.task.number: need.task.least_cycles for need in needs}.values())
    near, far = max(map(len, beside.values())), len(set().union(*beside.values()))
    # near * length + (far - near) * (length - later) >= work
    length = work / near if work <= near * later else (work + (far - near) * later) / far
    return math.ceil(length - 1e-6) + min(tails[need.task.number] for need in needs)


def _alone(machine: Machine, route: Route) -> bool:
    """Whether two moves over a route never overlap."""
    return any(2 * amount > machine.capacities[name] for name, amount in route.uses)


def _ways(machine: Machine, sources: frozenset[str], goals: frozenset[str]) -> list[tuple[str, str, Route]]:
    """Return the routes from a source to a goal."""
    return [
        (source, goal, route)
        for source in sorted(sources)
        for goal in sorted(goals)
        for route in machine.routes.get((source, goal), ())
    ]


def least_uses(machine: Machine, move: Crossing) -> dict[str, float]:
    """Return the least a bit takes of each resource, in units times cycles."""
    found: dict[str, float] | None = None
    for _, _, route in _ways(machine, move.sources, move.goals):
        taken: dict[str, float] = {}
        for name, amount in (*route.uses, *machine.shared):
            taken[name] = taken.get(name, 0.0) + amount / route.bandwidth_bits_per_cycle
        found = taken if found is None else {n: min(w, taken[n]) for n, w in found.items() if n in taken}
    return found or {}


def stage_energies(problem: Problem) -> list[float]:
    """Return the energy in pJ of the cheapest cores and moves per stage; whole words are not counted."""
    energies = [0.0] * problem.stages
    machine = problem.machine
    for task in problem.tasks:
        energies[task.stage] += min(option.cost.energy_pj for option in task.options.values())
    for piece in problem.pieces:
        for move in crossings(problem, piece):
            energies[move.stage] += move_energy(machine, move)
    return energies


def move_energy(machine: Machine, move: Crossing) -> float:
    """Return the least energy of a crossing in pJ; whole words are not counted."""
    ways = (
        _per_bit(machine.stores[source].read) + _per_bit(machine.stores[goal].write) + route.energy_pj_per_bit
        for source, goal, route in _ways(machine, move.sources, move.goals)
    )
    return move.bits * min(ways, default=0.0)


def _per_bit(word: Word) -> float:
    return word.energy_pj / word.width_bits
