"""Tables of a schedule: how busy resources are, what memories hold, where energy goes."""

from __future__ import annotations

import pytest

from eecompile.report.schedule_facts import (
    EnergyFacts,
    ResourceFacts,
    ScheduleFacts,
    StageFacts,
    StoreFacts,
)
from eecompile.report.usage import (
    Cell,
    UsageRow,
    core_rows,
    energy_legend,
    energy_rows,
    link_rows,
    memory_table,
)
from eecompile.wording.quantities import ABSENT


def resource(
    name: str,
    group: str,
    working: tuple[float, float],
    taken: tuple[float, float] | None = None,
    bits: tuple[int, int] = (0, 0),
) -> ResourceFacts:
    return ResourceFacts(
        name=name, group=group, capacity=32, working=working, taken=taken or working, bits=bits
    )


def facts(
    resources: tuple[ResourceFacts, ...] = (),
    stores: tuple[StoreFacts, ...] = (),
    energy: tuple[EnergyFacts, ...] = (),
) -> ScheduleFacts:
    stages = (StageFacts(name="early", end_cycle=5), StageFacts(name="late", end_cycle=9))
    return ScheduleFacts(
        name="made", clock_hz=None, stages=stages, resources=resources, stores=stores, energy_pj=energy
    )


RESOURCES = (
    resource("link_1.a-b>b", "link", (0.9, 0.2), bits=(0, 8000)),
    resource("host", "host", (0.1, 0.2)),
    resource("bus", "port", (0.0, 0.2), (0.3, 0.2)),
    resource("idle", "link", (0.0, 0.0)),
    resource("late", "port", (0.0, 0.0), (0.0, 0.1)),
    resource("a", "core", (0.5, 0.625), (0.5, 0.7)),
    resource("dma", "dma", (0.0, 0.0), bits=(8, 16)),
    resource("busy", "link", (0.0, 0.8)),
)


def test_cores_dma_and_host_are_told_of_in_their_order_used_or_not() -> None:
    assert core_rows(facts(RESOURCES)) == (
        UsageRow("host", "host", "", (Cell("10.0 %"), Cell("20.0 %"))),
        UsageRow("a", "a", "", (Cell("50.0 %"), Cell("62.5 %", "in use 70.0 %"))),
        UsageRow("dma", "dma", "2 B", (Cell("0.0 %"), Cell("0.0 %"))),
    )


def test_links_that_are_used_are_told_of_busiest_on_the_full_path_first() -> None:
    assert link_rows(facts(RESOURCES)) == (
        UsageRow("busy", "busy", "32 bit/cycle", (Cell("0.0 %"), Cell("80.0 %"))),
        UsageRow("bus", "bus", "32 bit/cycle", (Cell("0.0 %", "in use 30.0 %"), Cell("20.0 %"))),
        UsageRow("a → b", "link_1.a-b>b", "32 bit/cycle, 1,000 B", (Cell("90.0 %"), Cell("20.0 %"))),
        UsageRow("late", "late", "32 bit/cycle", (Cell("0.0 %"), Cell("0.0 %", "in use 10.0 %"))),
    )


@pytest.mark.parametrize(("taken", "small"), [(0.5004, ""), (0.5006, "in use 50.1 %")])
def test_what_is_in_use_is_said_where_it_reads_otherwise(taken: float, small: str) -> None:
    (row,) = core_rows(facts((resource("a", "core", (0.5, 0.5), (0.5, taken)),)))
    assert row.cells[1].small == small


def test_memories_in_which_anything_lies_show_peaks_and_shares() -> None:
    stores = (
        StoreFacts(name="l1", capacity_bits=16000, peaks_bits=(0, 4000)),
        StoreFacts(name="empty", capacity_bits=16000, peaks_bits=(0, 0)),
        StoreFacts(name="dram", capacity_bits=None, peaks_bits=(80, 160)),
    )
    assert memory_table(facts(stores=stores)) == (
        UsageRow("l1", "l1", "1.95 KiB", (Cell("0 B", "0.0 %"), Cell("500 B", "25.0 %"))),
        UsageRow("dram", "dram", "no limit", (Cell("10 B"), Cell("20 B"))),
    )


def energy(cores: float, onchip: float = 0.0, offchip: float = 0.0, links: float = 0.0) -> EnergyFacts:
    return EnergyFacts(cores=cores, onchip=onchip, offchip=offchip, links=links)


def test_energy_of_all_paths_is_drawn_at_the_scale_of_the_largest() -> None:
    early, late = energy_rows(facts(energy=(energy(1e6), energy(2e6, 1e6, 4e6, 1e6))))
    assert (early.path, early.total, late.path, late.total) == ("early", "1.00 µJ", "late", "8.00 µJ")
    assert [(p.label, p.start, p.share) for p in early.parts] == [("cores", 0, 12.5)]
    assert [(p.label, p.css, p.start, p.share) for p in late.parts] == [
        ("cores", "c0", 0, 25), ("memories on chip", "c1", 25, 12.5), ("off chip", "kind-dma", 37.5, 50),
        ("links", "c2", 87.5, 12.5),
    ]  # fmt: skip
    assert early.cells == ("1.00 µJ", ABSENT, ABSENT, ABSENT)
    assert late.cells == ("2.00 µJ", "1.00 µJ", "4.00 µJ", "1.00 µJ")
    assert energy_legend((early, late)) == energy_legend((late, early)) == late.parts, "of all colours"


@pytest.mark.parametrize("found", [(), (energy(1e6), energy(2e6))])
def test_where_nothing_but_work_takes_energy_there_is_no_table(found: tuple[EnergyFacts, ...]) -> None:
    assert energy_rows(facts(energy=found)) == ()
    assert energy_legend(()) == ()
