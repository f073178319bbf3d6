from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile import report
from eecompile.report.charts import Scale
from eecompile.report.gantt import GanttChart, gantt_charts, short_label
from eecompile.report.memory_rows import memory_rows
from eecompile.report.schedule_facts import StoreFacts, schedule_facts
from eecompile.report.slices import Slice, joined
from passes.errors import InputError
from targets.schedule.result import Schedule, Stay
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.energy_split import energy_split
from targets.schedule.view.memory_profile import memory_profiles
from targets.schedule.view.trace import to_trace
from tests.eecompile.fabricated_run import write_run
from tests.eecompile.report.test_report import Page
from tests.targets.schedule.made_schedules import PART, arch, move, network, run, schedule, schedules

BUS = (("bus", 16.0),)


def trace_of(made: Schedule, clock_hz: float | None = None) -> dict[str, Any]:
    timeline = timeline_of(made, network(), arch())
    return to_trace(timeline, clock_hz, "small", memory_profiles(made, network().machine), energy_split(made))


def tiled() -> Schedule:
    """Return a hundred tiles on one core, each a cycle after its data; then a layer behind the exit."""
    runs = [run("a", 10 * i, (0, 0, 1, 8, 0, 1, 0), cut=(i, 100), energy_pj=1e6) for i in range(100)]
    runs.append(run("b", 1000, (0, 0, 0, 1000, 0, 0, 0), layer=1))
    moves = [move("image", 10 * i, 20, BUS, bits=80, energies_pj=(1.0, 0.5, 0.0)) for i in range(99)]
    moves.append(move("middle", 1000, 500, (("link_0.a-b>b", 8.0),), layer=1, bits=4000))
    return schedule(runs, moves, [Stay("a.sram", "image", PART, 32, 0, 1000)])


def charts(made: Schedule, clock_hz: float | None = None) -> tuple[GanttChart, ...]:
    trace = trace_of(made, clock_hz)
    (found,) = gantt_charts(trace["traceEvents"], schedule_facts(trace["otherData"]))
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = write_run(tmp_path_factory.mktemp("run"))
    (folder / "schedule.trace.json").write_text(json.dumps(trace_of(tiled())))
    return Page(report.render(folder))


def test_there_is_one_picture_per_exit_path_and_it_ends_with_the_path() -> None:
    early, late = charts(tiled())
    assert [mark.label for mark in early.exits] == ["early"]
    assert [mark.label for mark in late.exits] == ["early", "late"]
    assert early.exits[0].x == late.exits[1].x == late.width - 12
    assert "b: second" in {bar.label.split(";")[0] for bar in late.bars}
    assert "b: second" not in {bar.label.split(";")[0] for bar in early.bars}


def test_rows_are_cores_then_links_by_how_busy_they_are() -> None:
    early, late = charts(tiled())
    assert [(t.name, t.label, t.minor) for t in late.tracks] == [
        ("a", "a", False), ("b", "b", False), ("bus", "bus", True), ("bus #2", "bus #2", True),
        ("link_0.a-b>b", "a → b", True),
    ]  # fmt: skip
    assert [t.name for t in early.tracks if t.minor] == ["bus", "bus #2"], (
        "what is not used by then is left out"
    )
    assert early.tracks[0].busy == "80 %"
    assert [t.busy for t in early.tracks if t.minor] == ["99 %", ""], "two lanes, half the bandwidth each"


def test_many_tiles_of_a_layer_become_one_bar_that_says_so() -> None:
    _, late = charts(tiled())
    own = [bar for bar in late.bars if bar.label.startswith("a:")]
    assert [bar.label for bar in own] == [
        "a: first; 300 slices; cycles 0 to 1,000; load 100, compute 800, store 100; 100 µJ"
    ]


def assert_sound(chart: GanttChart) -> None:
    """Bars lie on their rows and inside the picture, and do not hide one another."""
    rows = {
        (t.y, t.y + t.height): [bar for bar in chart.bars if t.y <= bar.y < t.y + t.height]
        for t in chart.tracks
    }
    assert sum(len(own) for own in rows.values()) == len(chart.bars)
    for (_, bottom), own in rows.items():
        assert all(chart.left <= bar.x and bar.x + bar.width <= chart.width - 11 for bar in own)
        assert all(bar.y + bar.height <= bottom for bar in own)
        # A bar has some width even where its slice has less.
        assert all(before.x + before.width <= after.x + 0.7 for before, after in pairwise(own))
    assert all(memory.bottom <= chart.height - 20 for memory in chart.memories)


def test_bars_lie_on_their_rows_and_inside_the_picture() -> None:
    for chart in charts(tiled()):
        assert_sound(chart)


def test_a_clock_moves_no_memory_level() -> None:
    assert charts(tiled())[1].memories == charts(tiled(), 250e6)[1].memories


@given(schedules(), st.sampled_from([None, 260e6]))
def test_any_schedule_can_be_drawn(made: Schedule, clock_hz: float | None) -> None:
    trace = trace_of(made, clock_hz)
    for picture in gantt_charts(trace["traceEvents"], schedule_facts(trace["otherData"])):
        assert [chart.title for chart in picture] == ["small", "small"]
        for chart in picture:
            assert_sound(chart)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30), st.sampled_from("xyz")), max_size=40),
    st.floats(0.1, 20),
)
def test_joining_keeps_all_cycles_and_leaves_few_bars(
    items: list[tuple[int, int, str]], pixel: float
) -> None:
    slices, cycle = [], 0
    for gap, length, name in items:
        cycle += gap
        slices.append(Slice(cycle, cycle + length, (name,), {"compute": length}, "c0"))
        cycle += length
    found = joined(slices, pixel)
    assert sum(sum(s.spent.values()) for s in found) == sum(length for _, length, _ in items)
    assert sum(s.count for s in found) == len(items)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert len(found) <= 2 * cycle / pixel + 1, "no more than two per pixel"


def test_names_of_wires_are_shortened_to_where_they_lead() -> None:
    assert short_label("link_3.core-1-core-2>core-1") == "core-2 → core-1"
    assert short_label("link_3.core-1-core-2>core-2 #2") == "core-1 → core-2 #2"
    assert short_label("bus_12.all") == "bus_12.all"


@pytest.mark.parametrize(("peak", "line"), [(39, None), (40, 3.0), (100, 3.0)])
def test_a_capacity_is_drawn_where_it_is_near(peak: int, line: float | None) -> None:
    (row,) = memory_rows(
        {"s": [(0, peak), (5, 0)]}, [StoreFacts(name="s", capacity_bits=100, peaks_bits=(peak,))], 0,
        Scale(0, 10, 0, 100), 0.0,
    )  # fmt: skip
    assert row.capacity_y == line
    top = 3.0 if line is None else round(36 - 33 * peak / 100, 1)
    assert row.points == f"0,36.0 0.0,36.0 0.0,{top} 50.0,{top} 50.0,36.0 100,36.0 100,36.0"


def test_of_levels_within_half_a_pixel_the_highest_is_drawn() -> None:
    steps = [(0, 1), (100, 9), (101, 2), (102, 5)]
    store = StoreFacts(name="s", capacity_bits=None, peaks_bits=(9,))
    (row,) = memory_rows({"s": steps}, [store], 0, Scale(0, 10000, 0, 100), 0.0)
    heights = {float(point.split(",")[1]) for point in row.points.split()}
    assert Scale(0, 9, row.bottom, row.y + 3)(9) in heights, "the peak"
    assert Scale(0, 9, row.bottom, row.y + 3)(2) not in heights, "what is not seen"


@pytest.mark.parametrize(
    "figure",
    [
        "up to early", "links and ports, busiest first", "peak 4.00 B of 8.00 B", "How busy cores are",
        "80.0 %", "in use 100.0 %", "32 bit/cycle, 990 B", "50.0 %", "Energy of work and of moving data",
        "100 µJ", "off chip",
    ],
)  # fmt: skip
def test_shows(page: Page, figure: str) -> None:
    assert figure in page.text


def test_the_path_is_chosen_without_a_script_and_the_last_is_shown(page: Page) -> None:
    chosen = [attributes for tag, attributes in page.tags if tag == "input"]
    assert [(a["id"], "checked" in a) for a in chosen] == [("path-1", False), ("path-2", True)]
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link"}
    rule = re.search(r"\.tabs > input:nth-of-type\(1\).*? \{ display: block; \}", page.text)
    assert rule is not None and rule[0].count(":checked") == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("resources", 3, "resources"),
        ("stages", [], "one figure per exit path"),
        ("stores", [{"name": "x", "capacity_bits": None, "peaks_bits": [1]}], "one figure per exit path"),
        ("energy_pj", [{"cores": 1.0}], "energy_pj"),
    ],
)
def test_damaged_facts_are_told(tmp_path: Path, key: str, value: object, message: str) -> None:
    folder, trace = write_run(tmp_path), trace_of(tiled())
    trace["otherData"][key] = value
    (folder / "schedule.trace.json").write_text(json.dumps(trace))
    with pytest.raises(InputError, match=message) as caught:
        report.render(folder)
    assert "schedule.trace.json" in caught.value.message
