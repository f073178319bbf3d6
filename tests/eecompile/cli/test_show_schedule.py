"""What is printed of a schedule, on figures that are made up."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eecompile.cli import show_schedule
from eecompile.cli.show_schedule import exact_line, exit_paths, resident_line, schedule_line, schedule_tables
from eecompile.wording.quantities import ABSENT
from targets.contract.validation import ErrorBar
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.paths import Cost, PathCost, Speculation
from targets.evaluation.report import CostReport
from targets.evaluation.schedule_report import ResidentWeights, ScheduleReport
from targets.objective import EDP, LATENCY
from targets.schedule.exact.solve import Exact
from targets.schedule.view.energy_split import EnergySplit
from targets.schedule.view.memory_profile import MemoryProfile
from targets.schedule.view.timeline import Group
from targets.schedule.view.utilisation import Utilisation
from tests.eecompile.cli.table_rows import cells
from tests.eecompile.cli.test_terminal import printed

WIDE = 200
NO_BARS = ErrorBars()


def used(resource: str, group: Group, working: float, taken: float, bits: int = 0) -> Utilisation:
    """Return how busy a resource is; less until the first exit, which is not what is shown."""
    return Utilisation(resource, group, 1.0, (working / 2, working), (taken / 2, taken), (bits // 2, bits))


EARLY = PathCost("exit_0", "relu_0", Cost.at_clock(1_000, 200, 30.0e6, 1e6))
FINAL = PathCost("final", "relu_9", Cost.at_clock(2_000, 1_000, 40.0e6, 1e6))
SCHEDULE = ScheduleReport(
    mode="layers",
    weights="keep",
    resident=(),
    weighted=7,
    latency_cycles=1_000,
    runs=12,
    moves=5,
    groups=0,
    fused=0,
    memories={},
    utilisation=(),
    energy=(EnergySplit(20.0e6, 5.0e6, 4.0e6, 1.0e6), EnergySplit(25.0e6, 5.0e6, 10.0e6, 0.0)),
)


def report(
    *exits: PathCost,
    ratios: tuple[float, ...] | None = None,
    schedule: ScheduleReport = SCHEDULE,
    bars: ErrorBars = NO_BARS,
) -> CostReport:
    """Return what is printed of a report."""
    ahead = [path.speculative.cost for path in exits if path.speculative is not None]
    costs = ahead or [path.cost for path in exits]
    made = SimpleNamespace(
        exits=exits,
        total=exits[-1].cost,
        ratios=ratios,
        expected=None if ratios is None else Cost.mean(costs, ratios),
        speculates=bool(ahead),
        schedule=schedule,
        static=None,
        break_even=None,
        error_bars=bars,
    )
    return cast("CostReport", made)


def paths(made: CostReport) -> str:
    return printed(lambda out: exit_paths(out, made), WIDE)


TITLE = "Exit paths: all that runs when an image leaves there"


def test_without_shares_each_exit_has_its_part_of_all_the_energy() -> None:
    text = paths(report(EARLY, replace(FINAL, complete=False)))
    assert cells(text, TITLE) == [
        ["exit", "MACs", "cycles", "latency", "energy", "EDP", "energy share"],
        ["exit_0", "1.00 k", "200", "200 µs", "30.0 µJ", "6.00 nJ·s", "75 %"],
        ["final (incomplete)", "2.00 k", "1,000", "1.00 ms", "40.0 µJ", "40.0 nJ·s", "100 %"],
    ]
    assert "Expected" not in text and "speculation" not in text


def test_intervals_stand_below_latency_and_energy() -> None:
    bars = ErrorBars(ErrorBar(0.5, 2.0, 0.75, "x"), ErrorBar(0.9, 1.5, 0.75, "x"))
    rows = cells(paths(report(EARLY, FINAL, ratios=(0.25, 0.75), bars=bars)), TITLE)
    shown = ["[100, 400]", "[27.0, 45.0]"]
    assert [cell for cell in rows[2] if cell] == shown, "below exit_0"
    clockless = replace(EARLY, cost=Cost.at_clock(1_000, 2_000, 30.0e6, None))
    (below,) = cells(paths(report(clockless, bars=replace(bars, energy=None))), TITLE)[2:]
    assert [cell for cell in below if cell] == ["[1.00, 4.00] k"], "cycles, where there is no clock"


def test_with_shares_the_expected_costs_stand_below() -> None:
    """A quarter leaves early: 0.25 * 6 + 0.75 * 40 nJ·s is not 37.5 µJ times 800 µs."""
    text = paths(report(EARLY, FINAL, ratios=(0.25, 0.75)))
    heading, *rows = cells(text, TITLE)
    assert heading[-1] == "inputs"
    assert [row[-1] for row in rows] == ["25.0 %", "75.0 %", ""]
    assert rows[-1] == ["expected", "1.75 k", "800", "800 µs", "37.5 µJ", "31.5 nJ·s", ""]
    assert "Expected energy times expected latency is 30.0 nJ·s." in text


def test_without_a_clock_products_are_in_cycles() -> None:
    slow = replace(FINAL, cost=Cost.at_clock(2_000, 1_000, 40.0e6, None))
    text = paths(report(slow, ratios=(1.0,)))
    assert cells(text, TITLE)[1] == [
        "final", "2.00 k", "1,000", ABSENT, "40.0 µJ", "40.0 mJ·cycles", "100.0 %"
    ]  # fmt: skip
    assert "Expected energy times expected latency is 40.0 mJ·cycles." in text


def test_with_speculation_it_says_who_starts_early_and_what_is_wasted() -> None:
    early, late = (Cost.at_clock(0, cycles, pj, 1e6) for cycles, pj in ((150, 35.0e6), (900, 40.0e6)))
    middle = Cost.at_clock(0, 400, 36.0e6, 1e6)
    exits = (
        replace(EARLY, speculative=Speculation(early, 5.0e6, True)),
        replace(EARLY, name="exit_1", speculative=Speculation(middle, 0.0, False)),
        replace(FINAL, speculative=Speculation(late, 0.0, False)),
    )
    text = paths(report(*exits, ratios=(0.5, 0.25, 0.25)))
    title = "With speculation: the next stage starts while a head decides, where that pays"
    heading, *rows = cells(text, title)
    assert heading == ["exit", "next stage", "cycles", "latency", "energy", "EDP", "wasted"]
    assert rows == [
        ["exit_0", "starts", "150", "150 µs", "35.0 µJ", "5.25 nJ·s", "5.00 µJ"],
        ["exit_1", "waits", "400", "400 µs", "36.0 µJ", "14.4 nJ·s", "0 J"],
        ["final", "", "900", "900 µs", "40.0 µJ", "36.0 nJ·s", "0 J"],
        ["expected", "", "400", "400 µs", "36.5 µJ", "15.2 nJ·s", ""],
    ]
    assert [row[0] for row in cells(text, TITLE)[1:]] == ["exit_0", "exit_1", "final"], "expected is with it"
    unshared = paths(report(*exits))
    assert [row[0] for row in cells(unshared, title)[1:]] == ["exit_0", "exit_1", "final"]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (SCHEDULE, "Schedule: each layer whole on one core, 12 runs, 5 moves"),
        (replace(SCHEDULE, mode="split"), "Schedule: layers may be split over cores, 12 runs, 5 moves"),
        (
            replace(SCHEDULE, mode="fused"),
            "Schedule: layers may be split over cores and fused depth first, 12 runs, 5 moves, nothing fused",
        ),
        (
            replace(SCHEDULE, mode="fused", groups=1, fused=3),
            "Schedule: layers may be split over cores and fused depth first, 12 runs, 5 moves, "
            "3 layers fused in 1 group",
        ),
        (
            replace(SCHEDULE, mode="fused", groups=2, fused=5),
            "Schedule: layers may be split over cores and fused depth first, 12 runs, 5 moves, "
            "5 layers fused in 2 groups",
        ),
    ],
)
def test_how_layers_were_scheduled(schedule: ScheduleReport, said: str) -> None:
    assert schedule_line(report(FINAL, schedule=schedule)) == f"{said}."
    assert schedule_line(report(EARLY, FINAL, ratios=(0.5, 0.5), schedule=schedule)) == f"{said}."
    untold = schedule_line(report(EARLY, FINAL, schedule=schedule))
    assert untold.startswith(f"{said}; made for equal shares of inputs at each exit, --ratios")


@pytest.mark.parametrize(
    ("value", "bound", "said"),
    [
        (100.0, 100.0, "the expected edp is proven best."),
        (110.0, 100.0, "the expected edp is at most 10.0 % above the best (not proven)."),
        (100.0, 0.0, "nothing is proven of the expected edp."),
        (math.inf, 1.0, "nothing is proven of the expected edp."),
        (100.0, -5.0, "nothing is proven of the expected edp."),
    ],
)
def test_how_far_the_exact_solver_is_from_the_best(value: float, bound: float, said: str) -> None:
    exact = Exact(cast("Any", None), value, bound, 1.0)
    assert exact_line(exact, EDP) == f"CP-SAT on the same tiles: {said}"
    assert exact_line(exact, LATENCY) == f"CP-SAT on the same tiles: {said}".replace("edp", "latency")


def test_which_weights_stay() -> None:
    kept = (ResidentWeights("conv_0", 8_000, ("sram",)), ResidentWeights("conv_2", 24_000, ("a", "b")))
    assert resident_line(SCHEDULE) == "No weights stay on chip between inferences."
    assert resident_line(replace(SCHEDULE, resident=kept)) == (
        "Weights of 2 of 7 layers, 3.91 KiB, stay on chip between inferences."
    )
    assert resident_line(replace(SCHEDULE, weights="fetch")) == (
        "All weights are fetched for each inference."
    )


def tables(schedule: ScheduleReport) -> str:
    return printed(lambda out: schedule_tables(out, report(EARLY, FINAL, schedule=schedule)), WIDE)


BUSY = "Cores, links and ports until the final exit"


def test_cores_are_shown_idle_or_not_and_links_if_they_are_used() -> None:
    found = (
        used("core_0", "core", 0.5, 0.75),
        used("core_1", "core", 0.0, 0.0),
        used("host", "host", 0.0, 0.0),
        used("bus", "link", 0.125, 0.25, bits=16_000),
        used("spare bus", "link", 0.0, 0.0),
        used("spare port", "port", 0.0, 0.0),
    )
    assert cells(tables(replace(SCHEDULE, utilisation=found)), f"{BUSY} (2 links and ports are idle)") == [
        ["resource", "working", "in use", "moved"],
        ["core_0", "50.0 %", "75.0 %", ""],
        ["core_1", "0.0 %", "0.0 %", ""],
        ["host", "0.0 %", "0.0 %", ""],
        ["bus", "12.5 %", "25.0 %", "2.00 kB"],
    ]


def test_of_many_resources_the_first_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_schedule, "SHOWN_RESOURCES", 3)
    many = tuple(used(f"core_{number}", "core", 0.5, 0.5) for number in range(5))
    text = tables(replace(SCHEDULE, utilisation=many))
    assert [row[0] for row in cells(text, f"{BUSY} (2 more with --json)")[1:]] == [
        "core_0",
        "core_1",
        "core_2",
    ]
    idle = (*many, used("bus", "link", 0.0, 0.0), used("dma", "port", 0.0, 0.0))
    both = f"{BUSY} (2 links and ports are idle; 2 more with --json)"
    assert len(cells(tables(replace(SCHEDULE, utilisation=idle)), both)) == 4
    assert len(cells(tables(replace(SCHEDULE, utilisation=many[:3])), BUSY)) == 4


def test_how_full_memories_get_that_have_an_end() -> None:
    memories = {
        "sram": MemoryProfile("sram", (), 32_000, (8_000, 24_000)),
        "dram": MemoryProfile("dram", (), None, (8_000, 80_000)),
        "empty": MemoryProfile("empty", (), 8_000, (0, 0)),
    }
    assert cells(tables(replace(SCHEDULE, memories=memories)), "Memories on chip") == [
        ["memory", "peak", "size", "full"],
        ["sram", "2.93 KiB", "3.91 KiB", "75 %"],
        ["empty", "0 B", "1,000 B", "0 %"],
    ]


def test_where_the_energy_goes_is_shown_if_anything_moves() -> None:
    title = "Energy: cores at work, and moves; streams count as off chip"
    assert cells(tables(SCHEDULE), title) == [
        ["exit", "cores", "on chip", "off chip", "links", "off chip share"],
        ["exit_0", "20.0 µJ", "5.00 µJ", "4.00 µJ", "1.00 µJ", "13 %"],
        ["final", "25.0 µJ", "5.00 µJ", "10.0 µJ", "0 J", "25 %"],
    ]
    assert title not in tables(replace(SCHEDULE, moves=0))
