"""Where the energy of a schedule goes: cores, stores on and off chip, links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from targets.schedule.machine import OUTER
from targets.schedule.result import Schedule


class EnergySplit(NamedTuple):
    """Energy of an exit path in pJ.

    Attributes:
        cores_pj: Runs, with the accesses of their mappings and what they stream from off chip.
        onchip_pj: Stores of the cores, read and written by moves.
        offchip_pj: The outer store, read and written by moves.
        links_pj: The wires between them.
    """

    cores_pj: float
    onchip_pj: float
    offchip_pj: float
    links_pj: float


def energy_split(schedule: Schedule) -> tuple[EnergySplit, ...]:
    """Return where the energy of each exit path goes, with what later stages had begun when it is over."""
    return tuple(_split(schedule, stage, end) for stage, end in enumerate(schedule.stage_end_cycles))


def _split(schedule: Schedule, last: int, end: int) -> EnergySplit:
    moves = [move for move in schedule.moves if move.stage <= last or move.start < end]

    def accesses() -> Iterator[tuple[bool, float]]:
        for move in moves:
            yield move.source == OUTER, move.read_pj
            yield move.destination == OUTER, move.write_pj

    return EnergySplit(
        sum(run.cost.energy_pj for run in schedule.runs if run.stage <= last or run.start < end),
        sum(energy for outer, energy in accesses() if not outer),
        sum(energy for outer, energy in accesses() if outer),
        sum(move.wire_pj for move in moves),
    )
