from __future__ import annotations

import pytest
from hypothesis import given

from targets.schedule.result import Schedule
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.utilisation import Utilisation, utilisation
from tests.targets.schedule.made_schedules import arch, move, network, run, schedule, schedules


def found(made: Schedule) -> dict[str, Utilisation]:
    return {item.resource: item for item in utilisation(timeline_of(made, network(), arch()))}


def test_a_core_works_while_it_computes_and_is_taken_while_it_stalls() -> None:
    made = schedule([run("a", 0, (0, 0, 0, 4, 6, 0, 0)), run("b", 10, (0, 0, 0, 10, 0, 0, 0), layer=1)])
    usage = found(made)
    assert (usage["a"].working, usage["a"].taken) == ((0.4, 0.2), (1.0, 0.5))
    assert (usage["b"].working, usage["b"].taken) == ((0.0, 0.5), (0.0, 0.5))


def test_a_bus_works_by_the_part_of_its_bandwidth_that_is_taken() -> None:
    bus = (("bus", 8.0),)
    moves = [
        move("image", 0, 10, bus, bits=80),
        move("image", 5, 5, bus, bits=40),
        move("middle", 10, 10, (), 1),
    ]
    usage = found(schedule([], moves))["bus"]
    assert usage.working == pytest.approx((0.375, 0.1875)), (
        "a quarter for ten cycles, a quarter more for five"
    )
    assert usage.taken == (1.0, 0.5)
    assert usage.bits == (120, 120)


def test_what_a_later_stage_begins_before_an_exit_decides_counts_until_then() -> None:
    runs = [run("a", 0, (0, 0, 0, 8, 0, 0, 0))]
    runs.append(run("b", 4, (0, 0, 0, 12, 0, 0, 0), layer=1))
    begun = move("middle", 6, 4, (("bus", 32.0),), 1, bits=128)
    made = schedule(runs, [begun])
    usage = found(made)
    assert (usage["b"].working, usage["bus"].working) == ((0.5, 0.75), (0.25, 0.25))
    assert usage["bus"].bits == (128, 128)


@given(schedules())
def test_shares_are_shares(made: Schedule) -> None:
    for item in found(made).values():
        assert all(0 <= share <= 1 for share in item.taken)
        if item.group == "core":
            assert all(working <= taken for working, taken in zip(item.working, item.taken, strict=True))
