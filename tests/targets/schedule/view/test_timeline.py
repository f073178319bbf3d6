"""Slots on resources: how long each works, and in which row it is drawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.view.timeline import Kind, Slot, Timeline, covered


def slot(resource: str, start: int, end: int, kind: Kind = "compute") -> Slot:
    return Slot(resource, "layer", start, end, kind)


def test_waiting_is_not_working_and_what_overlaps_is_counted_once() -> None:
    slots = (
        slot("bus", 0, 4, "transfer"), slot("bus", 2, 6, "stream"), slot("bus", 8, 9, "transfer"),
        slot("host", 0, 2, "host"), slot("host", 2, 9, "wait"), slot("core", 4, 12, "stall"),
    )  # fmt: skip
    timeline = Timeline(slots, (9,))
    busy = {name: timeline.busy_cycles(name) for name in ("bus", "host", "core", "nothing")}
    assert busy == {"bus": 7, "host": 2, "core": 8, "nothing": 0}


def test_it_ends_with_the_last_slot_whatever_comes_first() -> None:
    assert Timeline((slot("a", 0, 20), slot("b", 5, 9)), (9, 20)).end_cycle == 20
    assert Timeline((), ()).end_cycle == 0


@pytest.mark.parametrize(("lane", "track"), [(0, "bus"), (1, "bus #2"), (2, "bus #3")])
def test_the_first_lane_has_the_name_of_the_resource(lane: int, track: str) -> None:
    assert Slot("bus", "layer", 0, 1, "transfer", lane=lane).track == track


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda ends: (min(ends), max(ends)))))
def test_cycles_are_counted_once_however_often_they_are_covered(spans: list[tuple[int, int]]) -> None:
    assert covered(spans) == len({cycle for start, end in spans for cycle in range(start, end)})
