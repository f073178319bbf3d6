"""What is read from the events of a trace: tracks, slices, levels and exits."""

from __future__ import annotations

from typing import Any

import pytest

from eecompile.report.pictures import Picture, TrackSlices, pictures
from eecompile.report.schedule_facts import ScheduleFacts
from eecompile.report.slices import Slice
from tests.eecompile.report.made_traces import event, facts, thread


def one(events: list[dict[str, Any]], said: ScheduleFacts | None = None) -> Picture:
    (found,) = pictures(events, said)
    return found


def slices(*events: dict[str, Any]) -> list[Slice]:
    return [item for track in one(list(events)).tracks for item in track.slices]


def test_without_facts_each_process_is_a_schedule_of_its_own() -> None:
    title = {"ph": "M", "name": "process_name", "pid": 2, "args": {"name": "full path"}}
    found = pictures([event("a", 0, 5), {**event("b", 5, 2), "pid": 2}, title], None)
    assert [(p.title, p.end, [s.names for t in p.tracks for s in t.slices]) for p in found] == [
        ("schedule 1", 5, [("a",)]), ("full path", 7, [("b",)]),
    ]  # fmt: skip


def test_with_facts_all_processes_are_one_schedule() -> None:
    found = one([event("a", 0, 5), {**event("b", 5, 2), "pid": 2}], facts())
    assert (found.title, found.end, len(found.tracks)) == ("made", 7, 2)


@pytest.mark.parametrize("said", [None, facts()])
def test_where_no_event_takes_time_there_is_no_picture(said: ScheduleFacts | None) -> None:
    without_time = {"ph": "X", "name": "a", "pid": 1, "tid": 1}
    assert pictures([thread(1, "core"), without_time], said) == ()


def test_a_picture_without_slices_ends_at_once() -> None:
    assert Picture("", (TrackSlices("a", "core", ()),), (), {}).end == 0


def test_tracks_are_cores_dma_host_ports_links_and_then_what_is_not_known() -> None:
    groups = {"x": "other", "l": "link", "p": "port", "h": "host", "d": "dma", "c": "core"}
    events = [thread(number, name) for number, name in enumerate(groups)]
    events += [event("a", 0, 1, thread=number) for number in range(len(groups))]
    tracks = one(events, facts(groups)).tracks
    assert [(t.name, t.group) for t in tracks] == [
        ("c", "core"), ("d", "dma"), ("h", "host"), ("p", "port"), ("l", "link"), ("x", "other"),
    ]  # fmt: skip


def test_lanes_of_a_resource_are_of_its_group() -> None:
    events = [thread(1, "bus"), thread(2, "bus #2"), thread(3, "bus #x")]
    events += [event("a", 0, 1, "transfer", number) for number in (1, 2, 3)]
    tracks = one(events, facts({"bus": "link"})).tracks
    assert {t.name: (t.resource, t.group) for t in tracks} == {
        "bus": ("bus", "link"), "bus #2": ("bus", "link"), "bus #x": ("bus #x", "host"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "group"),
    [
        *((["host", kind], "core") for kind in ("compute", "stall", "load", "store")),
        (["dma", "wait"], "dma"),
        (["dma", "stall"], "core"),
        (["host", "wait"], "host"),
    ],
)
def test_a_track_without_facts_is_what_happens_there(kinds: list[str], group: str) -> None:
    (track,) = one([event("a", at, 1, kind) for at, kind in enumerate(kinds)]).tracks
    assert track.group == group


def test_a_track_without_a_name_is_called_by_its_number_and_one_without_slices_is_kept() -> None:
    tracks = one([thread(3, "idle"), event("a", 0, 1, thread=7)]).tracks
    assert {t.name: len(t.slices) for t in tracks} == {"idle": 0, "7": 1}


def test_slices_are_in_order_and_layers_keep_their_colours() -> None:
    found = slices(*(event(name, start, 5) for name, start in (("b", 10), ("a", 0), ("b", 5))))
    assert [(s.names, s.start, s.end, s.css) for s in found] == [
        (("a",), 0, 5, "c1"), (("b",), 5, 10, "c0"), (("b",), 10, 15, "c0"),
    ]  # fmt: skip
    around = slices(event("inside", 5, 1), event("around", 0, 9))
    assert [s.names for s in around] == [("around",), ("inside",)]
    many = slices(*(event(f"layer_{k}", k, 1) for k in range(8)))
    assert [s.css for s in many] == ["c0", "c1", "c2", "c3", "c4", "c5", "c0", "c1"]


@pytest.mark.parametrize(
    ("kind", "css"),
    [
        ("dma", "kind-dma"), ("load", "kind-dma"), ("store", "kind-dma"), ("stream", "kind-stream"),
        ("host", "kind-host"), ("stall", "kind-wait"), ("wait", "kind-wait"), ("compute", "c1"),
    ],
)  # fmt: skip
def test_work_has_the_colour_of_its_kind_and_computing_that_of_its_layer(kind: str, css: str) -> None:
    assert slices(event("first", 0, 1), event("a", 1, 1, kind))[1].css == css


def test_a_move_says_its_way_and_has_the_colour_of_its_layer_unless_it_moves_weights() -> None:
    way: dict[str, Any] = {"for": "conv", "from": "dram", "to": "l1", "bytes": 64}
    first, moved, weights = slices(
        event("conv", 0, 9),
        event("x", 10, 5, "transfer", purpose="activations", **way),
        event("w", 20, 5, "transfer", purpose="weights", **way),
    )
    assert moved == Slice(
        10, 15, ("x",), {"transfer": 5}, "c0", size_bytes=64, detail="for conv, from dram to l1"
    )
    assert (first.css, weights.css) == ("c0", "kind-dma")


def test_a_tile_says_which_it_is() -> None:
    assert [s.detail for s in slices(event("a", 0, 1, tile="2/3"), event("a", 1, 1))] == ["tile 2/3", ""]


@pytest.mark.parametrize(
    ("kind", "energy_pj"),
    [("compute", 8.0), ("transfer", 8.0), ("load", 0.0), ("store", 0.0), ("stall", 0.0)],
)
def test_energy_of_a_run_is_counted_in_one_of_its_parts(kind: str, energy_pj: float) -> None:
    (found,) = slices(event("a", 0, 1, kind, energy_pj=8))
    assert found.energy_pj == energy_pj


def test_cycles_are_those_said_or_else_microseconds() -> None:
    timed = {"ph": "X", "name": "a", "cat": "compute", "pid": 1, "tid": 1, "ts": 3.0}
    said = {**timed, "dur": 0.1, "args": {"start_cycle": 40, "cycles": 25}}
    found = slices(timed, {**timed, "dur": 7.5}, said)
    assert [(s.start, s.end) for s in found] == [(3, 3), (3, 10.5), (40, 65)]


def test_exits_are_in_order_of_time() -> None:
    marks = [{"ph": "i", "name": n, "ts": 1.0, "args": {"cycle": c}} for n, c in (("a", 9), ("b", 4))]
    assert one([event("a", 0, 9), *marks], facts()).exits == (("b", 4), ("a", 9))


@pytest.mark.parametrize("ts", [None, "soon", [1]])
def test_what_has_no_time_is_passed_over(ts: object) -> None:
    """As in a file that was cut or edited: the rest of it is still drawn."""
    mark = {"ph": "i", "name": "exit_0", "pid": 1, "tid": 0, "ts": ts}
    timeless = {"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": ts, "dur": 5}
    without_length = {"ph": "X", "name": "b", "pid": 1, "tid": 1, "ts": 2, "dur": ts}
    found = one([event("c", 0, 1), mark, timeless, without_length])
    assert found.exits == ()
    assert [(s.names, s.start, s.end) for t in found.tracks for s in t.slices] == [
        (("c",), 0, 1), (("b",), 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "cycles"), [(None, (0, 2)), (facts(), (0, 2)), (facts(clock_hz=250e6), (0, 500))]
)
def test_levels_of_memories_are_at_cycles_of_the_clock(
    said: ScheduleFacts | None, cycles: tuple[float, float]
) -> None:
    events = [
        {"ph": "C", "name": name, "pid": 1, "ts": ts, "args": args}
        for name, ts, args in (
            ("l1", 0, {"bits": 8}), ("l2", 2, {"bits": 5}), ("l1", 2, {"bits": 0}), ("l1", 3, {"other": 1}),
        )
    ]  # fmt: skip
    first, second = cycles
    assert one([event("a", 0, 1), *events], said).levels == {
        "l1": [(first, 8), (second, 0)], "l2": [(second, 5)],
    }  # fmt: skip
