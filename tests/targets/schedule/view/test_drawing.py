from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.machine import TURNS
from targets.schedule.result import Schedule
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.timeline import Timeline
from tests.targets.schedule.made_schedules import arch, move, network, run, schedule, schedules


def drawn(timeline: Timeline) -> list[tuple[str, str, int, int, str]]:
    return [(s.track, s.layer, s.start_cycle, s.end_cycle, s.kind) for s in timeline.slots]


def test_parts_of_a_run_follow_one_another_on_what_does_them() -> None:
    timeline = timeline_of(schedule([run("a", 10, (1, 2, 3, 4, 5, 6, 7))]), network(), arch())
    assert drawn(timeline) == [
        ("host", "first", 10, 11, "host"),
        ("dma", "first", 11, 13, "dma"),
        ("a", "first", 13, 16, "load"),
        ("a", "first", 16, 20, "compute"),
        ("a", "first", 20, 25, "stall"),
        ("a", "first", 25, 31, "store"),
        ("host", "first", 31, 38, "host"),
    ]


def test_a_host_that_waits_is_held_all_the_time() -> None:
    timeline = timeline_of(schedule([run("a", 0, (1, 2, 0, 4, 0, 0, 3))]), network(), arch(waits=True))
    own = [(s.start_cycle, s.end_cycle, s.kind) for s in timeline.slots if s.resource == "host"]
    assert own == [(0, 1, "host"), (1, 7, "wait"), (7, 10, "host")]
    assert timeline.busy_cycles("host") == 4


def test_a_host_starts_what_runs_beside_others_and_does_not_wait_for_it() -> None:
    beside = run("a", 0, (1, 0, 0, 4, 0, 0, 0), uses=(("a", 1.0), (TURNS, 1 / 64)))
    alone = run("a", 5, (1, 0, 0, 4, 0, 0, 0), uses=(("a", 1.0), (TURNS, 1.0)))
    made = network()
    machine = replace(made.machine, capacities={**made.machine.capacities, TURNS: 1.0})
    timeline = timeline_of(schedule([beside, alone]), replace(made, machine=machine), arch(waits=True))
    own = [(s.start_cycle, s.end_cycle, s.kind) for s in timeline.slots if s.resource == "host"]
    assert own == [(0, 1, "host"), (5, 6, "host"), (6, 10, "wait")]
    assert TURNS not in {slot.resource for slot in timeline.slots}


def test_a_host_waits_for_moves_too() -> None:
    one = move("image", 0, 5, (("bus", 32.0), ("host", 1.0)))
    timeline = timeline_of(schedule([], [one]), network(), arch(waits=True))
    assert [(s.resource, s.kind) for s in timeline.slots] == [("bus", "transfer"), ("host", "wait")]
    assert timeline.busy_cycles("host") == 0


def test_moves_are_on_all_they_take_and_say_what_they_carry() -> None:
    one = move(
        "middle", 3, 4, (("bus", 16.0), ("offchip.port", 16.0)), 1, 64, ("a.sram", "offchip"), (1.0, 2.0, 4.0)
    )
    bus, port = timeline_of(schedule([], [one]), network(), arch()).slots
    assert (bus.resource, bus.share, port.resource, port.share) == ("bus", 0.5, "offchip.port", 1.0)
    assert (bus.data, bus.layer, bus.tensor, bus.way) == ("first", "second", "middle", ("a.sram", "offchip"))
    assert (bus.bits, bus.energy_pj, bus.stage, bus.kind) == (64, 7.0, 1, "transfer")


def test_what_a_core_streams_takes_links_as_long_as_it_runs() -> None:
    streaming = run("a", 0, (0, 0, 2, 3, 0, 0, 0), uses=(("bus", 8.0),), cut=(1, 3))
    slots = timeline_of(schedule([streaming]), network(), arch()).slots
    assert [(s.start_cycle, s.end_cycle, s.share) for s in slots if s.kind == "stream"] == [(0, 5, 0.25)]
    assert {s.tile for s in slots} == {(1, 3)}


def test_transfers_that_share_a_bus_get_lanes_and_the_first_free_one() -> None:
    bus = (("bus", 8.0),)
    moves = [
        move("image", 0, 9, bus),
        move("image", 1, 3, bus),
        move("middle", 2, 3, bus),
        move("middle", 4, 9, bus),
    ]
    timeline = timeline_of(schedule([], moves), network(), arch())
    tracks = [(s.start_cycle, s.track) for s in timeline.slots]
    assert tracks == [(0, "bus"), (1, "bus #2"), (2, "bus #3"), (4, "bus #2")]
    assert timeline.busy_cycles("bus") == 13, "cycles in which anything moves are counted once"


def test_resources_are_grouped_cores_first() -> None:
    found = timeline_of(schedule(), network(), arch()).resources
    assert [(r.name, r.group, r.capacity) for r in found] == [
        ("a", "core", 1), ("b", "core", 1), ("host", "host", 1), ("dma", "dma", 1),
        ("offchip.port", "port", 16), ("link_0.a-b>b", "link", 8), ("bus", "link", 32),
    ]  # fmt: skip


@given(schedules(), st.booleans())
def test_slots_of_a_track_never_overlap(made: Schedule, waits: bool) -> None:
    timeline = timeline_of(made, network(), arch(waits))
    for track in {slot.track for slot in timeline.slots}:
        own = [(s.start_cycle, s.end_cycle) for s in timeline.slots if s.track == track]
        assert all(end <= start for (_, end), (start, _) in pairwise(own)), track
    assert timeline == timeline_of(made, network(), arch(waits)), "the same every time"


@given(schedules())
def test_nothing_is_lost(made: Schedule) -> None:
    timeline = timeline_of(made, network(), arch())
    for core in ("a", "b"):
        on_core = sum(s.end_cycle - s.start_cycle for s in timeline.slots if s.resource == core)
        costs = [item.cost for item in made.runs if item.core == core]
        assert on_core == sum(
            c.load_cycles + c.compute_cycles + c.stall_cycles + c.store_cycles for c in costs
        )
    on_bus = sum(s.end_cycle - s.start_cycle for s in timeline.slots if s.resource == "bus")
    uses = [(item.end - item.start, item.uses) for item in made.runs]
    uses += [(item.end - item.start, item.uses) for item in made.moves]
    assert on_bus == sum(cycles for cycles, used in uses if "bus" in dict(used))
