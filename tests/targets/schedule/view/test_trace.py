from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.result import Schedule, Stay
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.energy_split import energy_split
from targets.schedule.view.memory_profile import memory_profiles
from targets.schedule.view.timeline import Slot, Timeline
from targets.schedule.view.trace import to_trace, trace_text
from tests.targets.schedule.made_schedules import PART, arch, move, network, run, schedule, schedules

# What Perfetto needs of each kind of event, with the types it takes.
NEEDED: dict[str, dict[str, tuple[type, ...]]] = {
    "X": {"name": (str,), "cat": (str,), "pid": (int,), "tid": (int,), "ts": (float,), "dur": (float,)},
    "C": {"name": (str,), "pid": (int,), "ts": (float,)},
    "i": {"name": (str,), "pid": (int,), "tid": (int,), "ts": (float,), "s": (str,)},
    "M": {"name": (str,), "pid": (int,), "tid": (int,)},
}
GOLDEN = """\
{"traceEvents":[
{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"small: cores"}},
{"ph":"M","name":"process_sort_index","pid":1,"tid":0,"args":{"sort_index":1}},
{"ph":"M","name":"process_name","pid":2,"tid":0,"args":{"name":"small: links and ports"}},
{"ph":"M","name":"process_sort_index","pid":2,"tid":0,"args":{"sort_index":2}},
{"ph":"M","name":"process_name","pid":3,"tid":0,"args":{"name":"small: memories"}},
{"ph":"M","name":"process_sort_index","pid":3,"tid":0,"args":{"sort_index":3}},
{"ph":"M","name":"thread_name","pid":1,"tid":1,"args":{"name":"a"}},
{"ph":"M","name":"thread_sort_index","pid":1,"tid":1,"args":{"sort_index":1}},
{"ph":"M","name":"thread_name","pid":1,"tid":2,"args":{"name":"b"}},
{"ph":"M","name":"thread_sort_index","pid":1,"tid":2,"args":{"sort_index":2}},
{"ph":"M","name":"thread_name","pid":2,"tid":3,"args":{"name":"bus"}},
{"ph":"M","name":"thread_sort_index","pid":2,"tid":3,"args":{"sort_index":3}},
{"ph":"X","name":"image","cat":"transfer","pid":2,"tid":3,"ts":0.0,"dur":4.0,"args":{"start_cycle":0,"cycles":4,\
"for":"first","from":"offchip","to":"a.sram","bytes":8,"purpose":"activations","share":0.5,"energy_pj":6.0}},
{"ph":"X","name":"first","cat":"compute","pid":1,"tid":1,"ts":4.0,"dur":6.0,"args":{"start_cycle":4,"cycles":6,\
"tile":"2/2","energy_pj":2.5}},
{"ph":"C","name":"a.sram","pid":3,"tid":0,"ts":0.0,"args":{"bits":64}},
{"ph":"C","name":"a.sram","pid":3,"tid":0,"ts":10.0,"args":{"bits":0}},
{"ph":"i","s":"g","name":"early","pid":1,"tid":0,"ts":10.0,"args":{"cycle":10}},
{"ph":"i","s":"g","name":"late","pid":1,"tid":0,"ts":10.0,"args":{"cycle":10}}
],
"""


def trace_of(made: Schedule, clock_hz: float | None = None) -> dict[str, Any]:
    timeline = timeline_of(made, network(), arch())
    return to_trace(timeline, clock_hz, "small", memory_profiles(made, network().machine), energy_split(made))


def small() -> Schedule:
    carried = move("image", 0, 4, (("bus", 16.0),), bits=64, energies_pj=(1.0, 2.0, 3.0))
    work = run("a", 4, (0, 0, 0, 6, 0, 0, 0), cut=(1, 2), energy_pj=2.5)
    return schedule([work], [carried], [Stay("a.sram", "image", PART, 64, 0, 10)])


def test_a_small_schedule_gives_these_events() -> None:
    text = trace_text(trace_of(small()))
    assert text.startswith(GOLDEN)
    assert json.loads(text) == trace_of(small())


def test_what_events_cannot_say_stands_beside_them() -> None:
    other = trace_of(small())["otherData"]
    assert (other["clock_hz"], other["name"], other["stages"][0]) == (
        None,
        "small",
        {"name": "early", "end_cycle": 10},
    )
    usage = {item["name"]: (item["group"], item["working"], item["bits"]) for item in other["resources"]}
    assert usage["a"] == ("core", [0.6, 0.6], [0, 0])
    assert usage["bus"] == ("link", [0.2, 0.2], [64, 64])
    assert other["stores"][1] == {"name": "a.sram", "capacity_bits": 64, "peaks_bits": [64, 64]}
    assert other["energy_pj"][0] == {"cores": 2.5, "onchip": 3.0, "offchip": 1.0, "links": 2.0}


@given(schedules(), st.sampled_from([None, 1e6, 260e6, 1e9, 1.7e9]))
def test_events_are_what_perfetto_reads(made: Schedule, clock_hz: float | None) -> None:
    events = trace_of(made, clock_hz)["traceEvents"]
    for event in events:
        for key, types in NEEDED[event["ph"]].items():
            assert isinstance(event[key], types), (key, event)
        assert event.get("ts", 0.0) >= 0 and event.get("dur", 0.0) >= 0
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"} <= named
    assert len({tid for _, tid in named}) == len(named), "no two processes share a track"
    grouped = {e["pid"] for e in events if e["name"] == "process_name"}
    assert {e["pid"] for e in events} == grouped


@given(schedules(), st.sampled_from([None, 1e6, 260e6, 1e9, 1.7e9]))
def test_slices_of_a_track_do_not_overlap_however_a_reader_rounds_down(
    made: Schedule, clock_hz: float | None
) -> None:
    bars = [e for e in trace_of(made, clock_hz)["traceEvents"] if e["ph"] == "X"]
    for track in {e["tid"] for e in bars}:
        own = sorted((e["ts"], e["dur"]) for e in bars if e["tid"] == track)
        for (start, length), (following, _) in pairwise(own):
            assert start + length <= following
            assert int(start * 1000) + int(length * 1000) <= int(following * 1000), "in whole nanoseconds"


def test_a_clock_turns_cycles_into_microseconds() -> None:
    bars = [e for e in trace_of(small(), 0.5e6)["traceEvents"] if e["ph"] == "X"]
    assert [(e["ts"], e["dur"], e["args"]["start_cycle"]) for e in bars] == [(0.0, 8.0, 0), (8.0, 12.0, 4)]


def test_lanes_of_a_bus_are_tracks_of_their_own() -> None:
    both = [move("image", 0, 4, (("bus", 16.0),)), move("middle", 2, 4, (("bus", 16.0),))]
    events = trace_of(schedule([], both))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert [names[e["tid"]] for e in events if e["ph"] == "X"] == ["bus", "bus #2"]


@pytest.mark.parametrize("clock_hz", [None, 260e6])
def test_slots_alone_are_drawn_as_cores(clock_hz: float | None) -> None:
    slots = (Slot("dma", "conv", 0, 5, "dma"), Slot("core", "conv", 5, 9, "compute"))
    events = to_trace(Timeline(slots, (9,), ("final",)), clock_hz)["traceEvents"]
    names = {e["tid"]: (e["pid"], e["args"]["name"]) for e in events if e["name"] == "thread_name"}
    assert names == {1: (1, "core"), 2: (1, "dma")}
    assert [(e["tid"], e["args"]["cycles"]) for e in events if e["ph"] == "X"] == [(2, 5), (1, 4)]
