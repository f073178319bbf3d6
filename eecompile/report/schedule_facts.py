"""What a trace says of its schedule beside the events: exit paths, utilisation, stores and energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from passes.errors import InputError


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StageFacts(_Facts):
    """An exit path ends."""

    name: str
    end_cycle: int


class ResourceFacts(_Facts):
    """A core, link, port, DMA or host; shares and bits per exit path."""

    name: str
    group: str
    capacity: float
    working: tuple[float, ...]
    taken: tuple[float, ...]
    bits: tuple[int, ...]


class StoreFacts(_Facts):
    """A memory; ``capacity_bits`` is ``None`` where it has no limit, peaks are per exit path."""

    name: str
    capacity_bits: int | None
    peaks_bits: tuple[int, ...]


class EnergyFacts(_Facts):
    """Where the energy of an exit path goes, in pJ."""

    cores: float
    onchip: float
    offchip: float
    links: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.cores + self.onchip + self.offchip + self.links


class ScheduleFacts(_Facts):
    """``otherData`` of ``schedule.trace.json``.

    Attributes:
        clock_hz: ``None`` where one microsecond of the trace is one cycle.
        stages: The exit paths; the last one runs all.
    """

    name: str
    clock_hz: float | None
    stages: tuple[StageFacts, ...]
    resources: tuple[ResourceFacts, ...]
    stores: tuple[StoreFacts, ...]
    energy_pj: tuple[EnergyFacts, ...]


def schedule_facts(other: Any) -> ScheduleFacts | None:
    """Return ``otherData`` of a trace, checked; ``None`` for what an earlier version wrote.

    Raises:
        InputError: It is damaged.
    """
    if not isinstance(other, Mapping) or "resources" not in other:
        return None
    try:
        facts = ScheduleFacts.model_validate(other)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"schedule.trace.json is damaged: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            "repeat the run",
        ) from None
    paths = len(facts.stages)
    lists = [item for r in facts.resources for item in (r.working, r.taken, r.bits)]
    lists += [store.peaks_bits for store in facts.stores]
    if not paths or any(len(item) != paths for item in lists) or len(facts.energy_pj) not in (0, paths):
        raise InputError("schedule.trace.json is damaged: not one figure per exit path", "repeat the run")
    return facts
