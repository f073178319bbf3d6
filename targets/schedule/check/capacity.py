"""Whether resources and stores are ever taken beyond what there is, and room is as large as its data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from targets.schedule.network import Network
from targets.schedule.result import Move, Run, Schedule

# Demands are fractions of bits per cycle; their sums are compared with this slack.
_SLACK = 1e-6


def capacity_problems(network: Network, schedule: Schedule) -> Iterator[str]:
    """Yield where more is taken of a resource or a store than there is, and what has too little room."""
    machine = network.machine
    taken: dict[str, list[tuple[int, int | None, float]]] = {name: [] for name in machine.capacities}
    for work in work_of(schedule):
        for resource, amount in work.uses:
            taken[resource].append((work.start, work.end, amount))
    for resource, spans in taken.items():
        yield from _excess(resource, spans, machine.capacities[resource])
    for name, store in machine.stores.items():
        if store.size_bits is not None:
            kept = [(stay.start, stay.end, stay.bits) for stay in schedule.stays if stay.store == name]
            yield from _excess(name, kept, store.size_bits)
    for stay in schedule.stays:
        extent = network.extents.get(stay.tensor)
        if extent is not None and stay.bits < extent.bits_of(stay.region):
            yield f"{stay.region} of '{stay.tensor}' takes {stay.bits} bits in {stay.store}, too few"


def work_of(schedule: Schedule) -> list[Run | Move]:
    """Return all that takes time: runs, then moves."""
    return [*schedule.runs, *schedule.moves]


def _excess(what: str, spans: Iterable[tuple[int, int | None, float]], limit: float) -> Iterator[str]:
    """Yield when first more than ``limit`` is taken at once."""
    changes: dict[int, float] = {}
    for start, end, amount in spans:
        changes[start] = changes.get(start, 0) + amount
        if end is not None:
            changes[end] = changes.get(end, 0) - amount
    times = sorted(changes)
    for time, level in zip(times, itertools.accumulate(changes[time] for time in times), strict=True):
        if level > limit + _SLACK:
            yield f"{level:g} of {what} is taken at cycle {time}, where there is {limit:g}"
            return
