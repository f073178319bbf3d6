"""What keeps each resource busy over time: a schedule as it is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["compute", "stall", "load", "store", "dma", "host", "wait", "transfer", "stream"]
Group = Literal["core", "host", "dma", "port", "link"]


@dataclass(frozen=True)
class Resource:
    """What slots lie on.

    Attributes:
        capacity: 1 for what does one thing at a time, bits per cycle for links and ports off chip.
    """

    name: str
    group: Group
    capacity: float = 1.0


@dataclass(frozen=True)
class Slot:
    """A resource is busy with a layer from ``start_cycle`` up to, not including, ``end_cycle``.

    Attributes:
        layer: The layer that runs, or that the data is for.
        kind: ``wait`` marks a resource that is held without working, such as a busy-waiting host; ``stream``
            a link or port that a core has for itself while it works on operands off chip.
        stage: The exit path it belongs to.
        tile: Number, counted from 0, and count of the tile that runs.
        data: What moves: weights, an input, or the layer that made it.
        tensor: Name of the tensor that moves.
        purpose: Why it moves; see :class:`targets.schedule.result.Move`.
        way: Stores it moves from and to.
        bits: Bits that move.
        energy_pj: Energy of the whole run or move, which may have several slots.
        share: Part of the capacity that is taken, 0 to 1.
        lane: Slots of a resource that overlap, because they share its capacity, have different lanes.
    """

    resource: str
    layer: str
    start_cycle: int
    end_cycle: int
    kind: Kind
    stage: int = 0
    tile: tuple[int, int] = (0, 1)
    data: str = ""
    tensor: str = ""
    purpose: str = ""
    way: tuple[str, str] | None = None
    bits: int = 0
    energy_pj: float = 0.0
    share: float = 1.0
    lane: int = 0

    @property
    def track(self) -> str:
        """Name of the row it is drawn in: the resource, with the number of the lane behind the first."""
        return f"{self.resource} #{self.lane + 1}" if self.lane else self.resource


@dataclass(frozen=True)
class Timeline:
    """A schedule: slots by start time, and the end of every stage.

    Attributes:
        stage_names: One name per stage; for exit paths, the exits.
        stage_end_cycles: When the last work of each exit path ends.
        resources: In the order they are drawn; empty where only the slots are known.
    """

    slots: tuple[Slot, ...]
    stage_end_cycles: tuple[int, ...]
    stage_names: tuple[str, ...] = ()
    resources: tuple[Resource, ...] = ()

    @property
    def end_cycle(self) -> int:
        """When the last slot ends."""
        return max((slot.end_cycle for slot in self.slots), default=0)

    def busy_cycles(self, resource: str) -> int:
        """Return in how many cycles ``resource`` works; waiting does not count."""
        working = (s for s in self.slots if s.resource == resource and s.kind != "wait")
        return covered((s.start_cycle, s.end_cycle) for s in working)


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Return how many cycles lie in at least one of ``spans``."""
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total
