"""When each stage of a scheduled network takes what of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from targets.evaluation.residence import kept_bits
from targets.evaluation.scheduling import Planned
from targets.schedule.result import Schedule
from targets.schedule.view.memory_profile import MemoryProfile, memory_profiles
from targets.stage_use import StageUse

Span = tuple[int, int]


def stage_uses(planned: Planned) -> tuple[StageUse, ...]:
    """Return what each stage takes.

    A stage takes all of the machine where something runs on over its begin or end. So do all stages where
    exit paths skip what others run: a stage is not the same on each then.
    """
    network, machine, kept = planned.network, planned.network.machine, kept_bits(planned)
    count = len(network.stage_names)
    profiles = [memory_profiles(way, machine) for way in planned.ways or (planned.schedule,)]
    ends = [planned.way(number).stage_end_cycles[number] for number in range(count)]
    found = []
    for begin, end in pairwise([0, *ends]):
        taken = None if planned.ways else _within(planned.schedule, begin, end)
        whole: tuple[Span, ...] = ((0, end - begin),)
        busy = dict.fromkeys(machine.capacities, whole) if taken is None else taken
        since, until = (0, max(ends)) if planned.ways else (begin, end)
        bits = {
            name: max(_most(of[name], since, until) for of in profiles) - kept[name]
            for name in machine.stores
        }
        found.append(StageUse(end - begin, busy, bits))
    return tuple(found)


def _within(schedule: Schedule, begin: int, end: int) -> dict[str, tuple[Span, ...]] | None:
    """Return when what is used from ``begin`` to ``end``; ``None`` where something runs on over either."""
    spans: dict[str, list[Span]] = {}
    for start, until, names in _work(schedule):
        if start >= end or until <= begin:
            continue
        if start < begin or until > end:
            return None
        for name in names:
            spans.setdefault(name, []).append((start - begin, until - begin))
    return {name: _joined(of) for name, of in sorted(spans.items())}


def _work(schedule: Schedule) -> Iterator[tuple[int, int, set[str]]]:
    for run in schedule.runs:
        yield run.start, run.end, {run.core, *(name for name, _ in run.uses)}
    for move in schedule.moves:
        yield move.start, move.end, {name for name, _ in move.uses}


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans, each as long as something is used without a break."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif end > start:
            found.append((start, end))
    return tuple(found)


def _most(profile: MemoryProfile, begin: int, end: int) -> int:
    """Return the most that lies in a store from ``begin`` to ``end``."""
    before = [bits for cycle, bits in profile.steps if cycle <= begin][-1:]
    return max([*before, *(bits for cycle, bits in profile.steps if begin < cycle < end)], default=0)
