"""Jobs and where they end up in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["compute", "stall", "load", "store", "dma", "host", "wait"]


@dataclass(frozen=True)
class Phase:
    """A part of a job that keeps one resource busy."""

    resource: str
    cycles: int
    kind: Kind


@dataclass(frozen=True)
class Job:
    """One layer on its core.

    Attributes:
        name: Layer name.
        phases: Its parts; they follow one another without a gap.
        holds: Resources no other job may use from its start to its end, those of the phases included.
        waits: Those it holds that wait busily while they have no phase, and are drawn so.
        predecessors: Names of jobs that must have ended.
        stage: Jobs of a later stage start after all of an earlier one have ended.
    """

    name: str
    phases: tuple[Phase, ...]
    holds: tuple[str, ...]
    waits: tuple[str, ...] = ()
    predecessors: tuple[str, ...] = ()
    stage: int = 0

    @property
    def cycles(self) -> int:
        """Cycles from start to end."""
        return sum(phase.cycles for phase in self.phases)


@dataclass(frozen=True)
class Slot:
    """A resource is busy with a layer from ``start_cycle`` up to, not including, ``end_cycle``.

    ``wait`` marks a resource that is held without working, such as a busy-waiting host.
    """

    resource: str
    layer: str
    start_cycle: int
    end_cycle: int
    kind: Kind


@dataclass(frozen=True)
class Timeline:
    """A schedule: slots by start time, and the end of every stage.

    Attributes:
        stage_names: One name per stage; for exit paths, the exits.
        stage_end_cycles: When the last job of each stage ends.
    """

    slots: tuple[Slot, ...]
    stage_end_cycles: tuple[int, ...]
    stage_names: tuple[str, ...] = ()

    @property
    def end_cycle(self) -> int:
        """When the last job ends."""
        return max((slot.end_cycle for slot in self.slots), default=0)

    def busy_cycles(self, resource: str) -> int:
        """Return how many cycles ``resource`` works; waiting does not count."""
        return sum(
            s.end_cycle - s.start_cycle for s in self.slots if s.resource == resource and s.kind != "wait"
        )
