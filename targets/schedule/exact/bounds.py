"""What no schedule can undercut: bounds on latency, energy and their product, found without a solver."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from targets.objective import Objective
from targets.schedule.exact.crossings import stage_energies
from targets.schedule.exact.loads import crowd, loads
from targets.schedule.exact.problem import Piece, Problem, problem_of
from targets.schedule.machine import OUTER, Machine
from targets.schedule.network import Network
from targets.schedule.plan import Resident, Segment


class Floor(NamedTuple):
    """Cycles (``ends``) and energy in pJ (``energies``) no schedule has less of, per exit path."""

    ends: tuple[int, ...]
    energies: tuple[float, ...]


def lower_bound(
    network: Network,
    plan: Iterable[Segment],
    objective: Objective,
    ratios: Sequence[float],
    resident: Resident | None = None,
) -> float:
    """Return a value of ``objective`` no schedule with the cuts and held operands of ``plan`` undercuts.

    Latency is in cycles, energy in pJ, their product in pJ cycles. See :func:`floor_of` for the argument.
    """
    found = floor_of(problem_of(network, plan, resident))
    return objective.expected(ratios, found.ends, found.energies)


def floor_of(problem: Problem) -> Floor:
    """Return bounds on the end and the energy of every exit path.

    A stage starts when all of the one before is over, so bounds on the length of each stage add up. A
    stage is no shorter than

    * the longest chain of its tiles, each on the core that suits it best given those of the tiles it reads
      from, with what must move between their stores over the fastest routes, however many;
    * for every set of cores, the work only they can do, spread evenly over them; the same for the tiles
      that cannot start before some time or leave some time behind them (Carlier and Pinson 1989,
      "An algorithm for solving the job-shop problem", sets with heads and tails);
    * for every link and port, what must pass it: inputs and weights once, results once, each over the route
      that takes least of it; and the runs that stream through it.

    Energy is no less than that of each tile on its cheapest core, with one cheapest move for inputs, weights
    and results, and one into each group of stores that a piece must reach from elsewhere. Further moves,
    such as those that make room, only add to both.
    """
    heads = _heads(problem)
    tails = _tails(problem)
    spans = [0] * problem.stages
    for task in problem.tasks:
        length = min(heads[task.number, core] + task.cycles(core) for core in task.options)
        spans[task.stage] = max(spans[task.stage], length + tails[task.number])
    for stage in range(problem.stages):
        for capacity, jobs in loads(problem, stage, heads, tails):
            spans[stage] = max(spans[stage], crowd(jobs, capacity))
    energies = stage_energies(problem)
    ends = tuple(sum(spans[: i + 1]) for i in range(problem.stages))
    return Floor(ends, tuple(sum(energies[: i + 1]) for i in range(problem.stages)))


def _distance(machine: Machine, sources: Sequence[str], target: str, bits: int) -> int:
    """Return the least cycles from any of ``sources`` to ``target``, other stores on the way included."""
    reached: dict[str, int] = dict.fromkeys(sources, 0)
    changed = target not in reached
    while changed:
        changed = False
        for (source, goal), routes in machine.routes.items():
            if source in reached:
                cycles = reached[source] + min(route.cycles(bits) for route in routes)
                if cycles < reached.get(goal, math.inf):
                    reached[goal] = cycles
                    changed = True
    return reached.get(target, 0)


class _Distances:
    """Distances, each found out once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._known: dict[tuple[tuple[str, ...], str, int], int] = {}

    def __call__(self, sources: tuple[str, ...], target: str, bits: int) -> int:
        if target in sources:
            return 0
        key = (sources, target, bits)
        if key not in self._known:
            self._known[key] = _distance(self._machine, sources, target, bits)
        return self._known[key]


def _heads(problem: Problem) -> dict[tuple[int, str], int]:
    """Return when, from the start of its stage, each task can start at best on each core.

    What was made in an earlier stage, or is read there too, may have come before.
    """
    distance = _Distances(problem.machine)
    needs: dict[int, list[tuple[Piece, str, int]]] = {}
    for piece in problem.pieces:
        first = min((need.task.stage for need in piece.needs), default=0)
        for need in piece.needs:
            early = first < need.task.stage or (piece.maker and piece.maker.stage < need.task.stage)
            if not early:
                needs.setdefault(need.task.number, []).append(
                    (piece, need.operand, problem.bits(piece, piece.least_load(need.part)))
                )
    heads: dict[tuple[int, str], int] = {}
    for task in problem.tasks:
        for core in task.options:
            ready = 0
            for piece, operand, bits in needs.get(task.number, ()):
                store, maker = task.stores[core, operand], piece.maker
                if maker is None:
                    lying = (*piece.sources, *(where for where, _ in piece.resident))
                    arrival = distance(lying, store, bits)
                else:
                    arrival = min(
                        heads[maker.number, c]
                        + maker.cycles(c)
                        + distance((maker.stores[c, "O"],), store, bits)
                        for c in maker.options
                    )
                ready = max(ready, arrival)
            heads[task.number, core] = ready
    return heads


def _tails(problem: Problem) -> list[int]:
    """Return how long, at least, a stage goes on behind each task."""
    distance = _Distances(problem.machine)
    tails = [0] * len(problem.tasks)
    made: dict[int, list[Piece]] = {}
    for piece in problem.pieces:
        if piece.maker is not None:
            made.setdefault(piece.maker.number, []).append(piece)
    for task in reversed(problem.tasks):
        out = tuple(task.places("O"))
        for piece in made.get(task.number, ()):
            if piece.delivered:
                away = distance(out, OUTER, problem.bits(piece, piece.region))
                tails[task.number] = max(tails[task.number], away)
            for need in piece.needs:
                if need.task.stage != task.stage:
                    continue
                bits = problem.bits(piece, piece.least_load(need.part))
                stores = need.task.places(need.operand)
                way = min(distance(out, store, bits) for store in stores)
                behind = way + need.task.least_cycles + tails[need.task.number]
                tails[task.number] = max(tails[task.number], behind)
    return tails
