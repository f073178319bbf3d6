"""The picture of a schedule: rows, bars, marks and where they lie."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eecompile.report.gantt import GanttChart, gantt_charts, short_label
from eecompile.report.schedule_facts import schedule_facts
from targets.schedule.result import Schedule
from tests.eecompile.fabricated_run import trace
from tests.eecompile.report.made_traces import event, facts, thread, tiled, trace_of
from tests.targets.schedule.made_schedules import schedule, schedules


def charts(made: Schedule, clock_hz: float | None = None) -> tuple[GanttChart, ...]:
    trace = trace_of(made, clock_hz)
    (found,) = gantt_charts(trace["traceEvents"], schedule_facts(trace["otherData"]))
    return found


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


def test_gantt_bars_lie_on_their_tracks() -> None:
    ((chart,),) = gantt_charts(trace())
    assert [track.name for track in chart.tracks] == ["digital", "simd", "dma", "host"]
    assert [mark.label for mark in chart.exits] == ["exit_0", "exit_1", "final"]
    assert all(bar.x >= 108 and bar.x + bar.width <= chart.width for bar in chart.bars)
    tops = {track.y + 5 for track in chart.tracks}
    assert {bar.y for bar in chart.bars} == tops


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


def test_names_of_wires_are_shortened_to_where_they_lead() -> None:
    assert short_label("link_3.core-1-core-2>core-1") == "core-2 → core-1"
    assert short_label("link_3.core-1-core-2>core-2 #2") == "core-1 → core-2 #2"
    assert short_label("bus_12.all") == "bus_12.all"


def drawn(*events: dict[str, Any]) -> GanttChart:
    """Return the one picture of events without facts."""
    ((chart,),) = gantt_charts(events)
    return chart


def test_a_trace_in_which_nothing_happens_has_no_picture() -> None:
    assert gantt_charts([]) == gantt_charts([thread(1, "core")]) == ()
    nothing = trace_of(schedule())
    assert gantt_charts(nothing["traceEvents"], schedule_facts(nothing["otherData"])) == ()


def test_cycles_map_to_pixels_from_the_margin_to_the_right_end() -> None:
    chart = drawn(event("conv", 0, 250), event("relu", 250, 750))
    # 1120 pixels less 108 for names and 12 on the right are 1000: one per cycle.
    assert [(bar.x, bar.width) for bar in chart.bars] == [(108, 250), (358, 750)]
    assert [(mark.x, mark.label) for mark in chart.ticks] == [
        (108, "0"), (308, "200"), (508, "400"), (708, "600"), (908, "800"), (1108, "1,000"),
    ]  # fmt: skip
    assert [mark.label for mark in drawn(event("conv", 0, 950)).ticks][-1] == "800", "none behind the end"
    ((narrow,),) = gantt_charts([event("conv", 0, 100)], width=620)
    assert (narrow.bars[0].x, narrow.bars[0].width, narrow.width) == (108, 500, 620)


@pytest.mark.parametrize(
    ("kind", "length", "text"),
    [
        ("compute", 35, "conv"),  # four letters of 7 pixels and 6 around them
        ("compute", 34, ""),
        ("wait", 1000, ""),
    ],
)
def test_a_bar_holds_its_name_where_that_fits_and_work_is_done(kind: str, length: int, text: str) -> None:
    chart = drawn(event("conv", 0, length, kind), event("rest", 0, 1000, thread=2))
    assert [bar.text for bar in chart.bars if "conv" in bar.label] == [text]


def test_what_is_very_short_is_still_seen() -> None:
    chart = drawn(event("conv", 0, 0.01), event("rest", 500, 500))
    assert chart.bars[0].width == 0.6


def test_without_facts_a_track_is_busy_while_it_does_not_wait() -> None:
    chart = drawn(
        thread(1, "core"), thread(2, "host"),
        event("conv", 0, 300), event("conv", 0, 300, "wait", 2), event("end", 300, 700, "host", 2),
    )  # fmt: skip
    assert {track.name: track.busy for track in chart.tracks} == {"core": "30 %", "host": "70 %"}


def test_a_label_of_an_exit_that_would_hide_the_one_before_moves_down() -> None:
    marks = [
        {"ph": "i", "name": name, "pid": 1, "tid": 0, "ts": cycle, "args": {"cycle": cycle}}
        for name, cycle in (("a", 100), ("b", 163), ("c", 170), ("d", 234))
    ]
    chart = drawn(event("conv", 0, 1000), *marks)
    assert [(mark.label, mark.x, mark.y) for mark in chart.exits] == [
        ("a", 208, 12), ("b", 271, 26), ("c", 278, 12), ("d", 342, 12),
    ]  # fmt: skip


def test_links_are_in_order_of_how_busy_they_are_with_their_lanes_beside_each_other() -> None:
    names = ("a", "b", "b #2", "c")
    events = [thread(number, name) for number, name in enumerate(names)]
    events += [event("move", number, 9, "transfer", number) for number in range(len(names))]
    said = facts({"a": "link", "b": "link", "c": "port"}, {"a": 0.1, "b": 0.5, "c": 0.5})
    ((chart,),) = gantt_charts(events, said)
    assert [(t.name, t.busy) for t in chart.tracks] == [
        ("b", "50 %"), ("b #2", ""), ("c", "50 %"), ("a", "10 %"),
    ]  # fmt: skip
    assert chart.left == 214, "their names are long"


def test_a_schedule_that_takes_no_time_can_be_drawn() -> None:
    chart = drawn(event("conv", 0, 0))
    assert [(bar.x, bar.width) for bar in chart.bars] == [(108, 0.6)]
    ((said,),) = gantt_charts([event("conv", 0, 0)], facts())
    assert [bar.x for bar in said.bars] == [108]
