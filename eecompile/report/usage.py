"""Tables of how busy resources are, what memories hold and where energy goes, per exit path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eecompile.report.charts import Part, stacked
from eecompile.report.gantt import short_label
from eecompile.report.schedule_facts import EnergyFacts, ResourceFacts, ScheduleFacts
from eecompile.wording import quantities

_MAJOR = ("core", "dma", "host")


@dataclass(frozen=True)
class Cell:
    """A figure and what stands below it in small print."""

    value: str
    small: str = ""


@dataclass(frozen=True)
class UsageRow:
    """A line of a table: a name, what is said of it, a cell per exit path."""

    name: str
    title: str
    fact: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class EnergyRow:
    """Where the energy of an exit path goes."""

    path: str
    total: str
    parts: tuple[Part, ...]
    cells: tuple[str, ...]


def core_rows(facts: ScheduleFacts) -> tuple[UsageRow, ...]:
    """Return how busy cores, DMA and host are."""
    return tuple(_resource_row(item, "") for item in facts.resources if item.group in _MAJOR)


def link_rows(facts: ScheduleFacts) -> tuple[UsageRow, ...]:
    """Return how busy links and ports are that are used at all, busiest first."""
    used = [item for item in facts.resources if item.group not in _MAJOR and any(item.taken)]
    used.sort(key=lambda item: (-item.working[-1], item.name))
    return tuple(_resource_row(item, f"{item.capacity:g} bit/cycle") for item in used)


def memory_table(facts: ScheduleFacts) -> tuple[UsageRow, ...]:
    """Return capacity and peaks of memories in which anything lies."""
    rows = []
    for store in facts.stores:
        if not any(store.peaks_bits):
            continue
        capacity = store.capacity_bits
        cells = tuple(
            Cell(
                quantities.memory(peak),
                "" if not capacity else quantities.percent(peak / capacity),
            )
            for peak in store.peaks_bits
        )
        size = "no limit" if capacity is None else quantities.memory(capacity)
        rows.append(UsageRow(store.name, store.name, size, cells))
    return tuple(rows)


def energy_rows(facts: ScheduleFacts) -> tuple[EnergyRow, ...]:
    """Return where the energy goes; empty where data moves within layers only."""
    if not any(item.total > item.cores for item in facts.energy_pj):
        return ()
    scale = max(item.total for item in facts.energy_pj)
    stages = zip(facts.stages, facts.energy_pj, strict=True)
    return tuple(_energy_row(stage.name, item, scale) for stage, item in stages)


def energy_legend(rows: Sequence[EnergyRow]) -> tuple[Part, ...]:
    """Return what the colours of :func:`energy_rows` stand for."""
    return max((row.parts for row in rows), key=len, default=())


def _resource_row(item: ResourceFacts, fact: str) -> UsageRow:
    cells = []
    for working, taken in zip(item.working, item.taken, strict=True):
        more = taken - working >= 0.0005
        cells.append(Cell(quantities.percent(working), f"in use {quantities.percent(taken)}" if more else ""))
    moved = "" if not item.bits[-1] else quantities.memory(item.bits[-1])
    facts = ", ".join(text for text in (fact, moved) if text)
    return UsageRow(short_label(item.name), item.name, facts, tuple(cells))


def _energy_row(path: str, item: EnergyFacts, scale: float) -> EnergyRow:
    values = {
        "cores": (item.cores, "c0"),
        "memories on chip": (item.onchip, "c1"),
        "off chip": (item.offchip, "kind-dma"),
        "links": (item.links, "c2"),
    }
    parts = stacked({label: (pj, css, quantities.energy(pj)) for label, (pj, css) in values.items()}, scale)
    cells = tuple(quantities.energy(pj) if pj else quantities.ABSENT for pj, _ in values.values())
    return EnergyRow(path, quantities.energy(item.total), parts, cells)
