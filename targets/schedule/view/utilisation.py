"""How busy each resource is on the way to each exit."""

from __future__ import annotations

from typing import NamedTuple

from targets.schedule.view.timeline import Group, Kind, Timeline, covered

WORKING: frozenset[Kind] = frozenset({"compute", "host", "dma", "transfer", "stream"})


class Utilisation(NamedTuple):
    """How busy a resource is, as shares from 0 to 1 of the latency of each exit path.

    Attributes:
        working: A core computes; a link or port moves data, by the part of its bandwidth that is taken.
        taken: It is in use at all: stalled, loading, waiting or at less than its bandwidth included.
        bits: Bits whose move over it has begun, per exit path; what a core streams is not counted.
    """

    resource: str
    group: Group
    capacity: float
    working: tuple[float, ...]
    taken: tuple[float, ...]
    bits: tuple[int, ...]


def utilisation(timeline: Timeline) -> tuple[Utilisation, ...]:
    """Return how busy each resource is, in the order they are drawn; the last path runs all."""
    found = []
    for resource in timeline.resources:
        own = [slot for slot in timeline.slots if slot.resource == resource.name]
        working, taken, bits = [], [], []
        for end in timeline.stage_end_cycles:
            # Where later stages start before an exit has decided, they are part of its path until then.
            path = [(slot, min(slot.end_cycle, end)) for slot in own if slot.start_cycle < end]
            cycles = sum((until - s.start_cycle) * s.share for s, until in path if s.kind in WORKING)
            working.append(cycles / end if end else 0.0)
            taken.append(covered((s.start_cycle, until) for s, until in path) / end if end else 0.0)
            bits.append(sum(s.bits for s, _ in path if s.kind != "wait"))
        found.append(
            Utilisation(
                resource.name, resource.group, resource.capacity, tuple(working), tuple(taken), tuple(bits)
            )
        )
    return tuple(found)
