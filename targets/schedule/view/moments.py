"""What is at work at each moment of a schedule, and how layers that are at work at once share the time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from targets.cost.layer_cost import whole_parts
from targets.schedule.result import Move, Run, Schedule


class Moment(NamedTuple):
    """Cycles in which the same is at work: from ``start`` up to ``end``, the spans numbered ``working``."""

    start: int
    end: int
    working: tuple[int, ...]


def moments(spans: Sequence[tuple[int, int]]) -> Iterator[Moment]:
    """Yield the moments from cycle 0 to the last end, those in which nothing is at work included.

    Args:
        spans: First cycle, and first cycle after it, of each piece of work.
    """
    coming = sorted((start, end, number) for number, (start, end) in enumerate(spans) if end > start)
    working: list[tuple[int, int]] = []
    cycle = position = 0
    while position < len(coming) or working:
        while position < len(coming) and coming[position][0] <= cycle:
            _, end, number = coming[position]
            heapq.heappush(working, (end, number))
            position += 1
        following = [working[0][0]] if working else []
        if position < len(coming):
            following.append(coming[position][0])
        until = min(following)
        if until > cycle:
            yield Moment(cycle, until, tuple(sorted(number for _, number in working)))
        cycle = until
        while working and working[0][0] <= cycle:
            heapq.heappop(working)


def elapsed_cycles(schedule: Schedule) -> dict[int, int]:
    """Return the share of each layer, by its index, in the time the schedule takes: they add up to it.

    Layers at work at once share the time equally. Time in which none is, because data move, is of the layer
    they are moved for. So the layers of the stages up to an exit add up to its latency. The schedule is one
    without speculation.
    """
    found = dict.fromkeys((run.layer for run in schedule.runs), 0)
    begin = 0
    for stage, end in enumerate(schedule.stage_end_cycles):
        runs = [run for run in schedule.runs if run.stage == stage]
        moves = [move for move in schedule.moves if move.stage == stage]
        for layer, cycles in _shared(runs, moves, begin).items():
            found[layer] += cycles
        begin = end
    return found


def _shared(runs: Sequence[Run], moves: Sequence[Move], begin: int) -> dict[int, int]:
    """Return the shares of the layers of one stage, in whole cycles."""
    work: list[Run | Move] = [*runs, *moves]
    starting = {one.start - begin: one.layer for one in reversed(work)}
    shares = dict.fromkeys((one.layer for one in work), 0.0)
    for moment in moments([(one.start - begin, one.end - begin) for one in work]):
        layers = {work[number].layer for number in moment.working if number < len(runs)}
        if not layers:
            moved = moment.working[:1]
            layers = {work[moved[0]].layer if moved else starting[moment.end]}
        for layer in layers:
            shares[layer] += (moment.end - moment.start) / len(layers)
    return dict(zip(shares, whole_parts(list(shares.values())), strict=True))
