"""Where the energy of a schedule goes: cores, stores on and off chip, links."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from targets.schedule.machine import OUTER
from targets.schedule.result import Run, Schedule


class EnergySplit(NamedTuple):
    """Energy of an exit path in pJ.

    Attributes:
        cores_pj: Runs, with the accesses of their mappings, less what they stream from and to off chip.
        onchip_pj: Stores of the cores, read and written by moves.
        offchip_pj: The outer store, read and written by moves and by runs that stream operands.
        links_pj: The wires between them.
    """

    cores_pj: float
    onchip_pj: float
    offchip_pj: float
    links_pj: float


def nothing_offchip(core: str) -> Set[str]:  # noqa: ARG001
    """Return no memories: accesses of mappings are not told apart."""
    return frozenset()


def energy_split(
    schedule: Schedule, offchip: Callable[[str], Set[str]] = nothing_offchip
) -> tuple[EnergySplit, ...]:
    """Return where the energy of each exit path goes, with what later stages had begun when it is over.

    Args:
        schedule: The schedule.
        offchip: Memories off chip in the mappings of a core, by its name.
    """
    ends = enumerate(schedule.stage_end_cycles)
    return tuple(_split(schedule, stage, end, offchip) for stage, end in ends)


def _split(schedule: Schedule, last: int, end: int, offchip: Callable[[str], Set[str]]) -> EnergySplit:
    runs = [run for run in schedule.runs if run.stage <= last or run.start < end]
    moves = [move for move in schedule.moves if move.stage <= last or move.start < end]

    def accesses() -> Iterator[tuple[bool, float]]:
        for move in moves:
            yield move.source == OUTER, move.read_pj
            yield move.destination == OUTER, move.write_pj

    streamed_pj = sum((_streamed_pj(run, offchip(run.core)) for run in runs), 0.0)
    return EnergySplit(
        sum(run.cost.energy_pj for run in runs) - streamed_pj,
        sum((energy for outer, energy in accesses() if not outer), 0.0),
        sum((energy for outer, energy in accesses() if outer), 0.0) + streamed_pj,
        sum((move.wire_pj for move in moves), 0.0),
    )


def _streamed_pj(run: Run, offchip: Set[str]) -> float:
    """Return the energy of the accesses of a run's mapping to memories off chip."""
    if run.cost.detail is None:
        return 0.0
    return sum(access.energy_pj for access in run.cost.detail.accesses if access.memory in offchip)
