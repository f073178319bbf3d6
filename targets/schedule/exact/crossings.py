"""What must be moved in any case, and what that takes at least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from targets.schedule.exact.problem import Need, Piece, Problem
from targets.schedule.machine import OUTER, Machine, Route, Word
from targets.schedule.regions import Region


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


def crossings(problem: Problem, piece: Piece) -> Iterator[Crossing]:
    """Yield what must enter stores in which the piece cannot be from the start.

    Needs with the same stores are one group; groups without a store in common need moves of their own. Of
    the parts a group needs, what was not counted yet counts for the first need; nothing is
    counted twice.
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


def ways_of(machine: Machine, sources: frozenset[str], goals: frozenset[str]) -> list[tuple[str, str, Route]]:
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
    for _, _, route in ways_of(machine, move.sources, move.goals):
        taken: dict[str, float] = {}
        for name, amount in (*route.uses, *machine.moves_take):
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
        for source, goal, route in ways_of(machine, move.sources, move.goals)
    )
    return move.bits * min(ways, default=0.0)


def _per_bit(word: Word) -> float:
    return word.energy_pj / word.width_bits
