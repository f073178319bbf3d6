"""What cores, links and ports have to do in any case, and in what time that can be done at best."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from targets.schedule.exact.crossings import Crossing, crossings, least_uses, ways_of
from targets.schedule.exact.problem import Problem
from targets.schedule.machine import OUTER, Machine, Route


class Load(NamedTuple):
    """Work that starts ``head`` cycles after its stage or later, with ``tail`` cycles more behind it."""

    head: int
    work: float
    tail: int


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
    if maker is not None and maker.stage < stage and OUTER in move.goals:
        # It may have been moved out before, to make room.
        return False
    return (maker is not None and maker.stage == stage) or all(
        need.task.stage >= stage for need in move.piece.needs
    )


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
            for source, _, route in ways_of(machine, move.piece.holders, move.goals)
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
