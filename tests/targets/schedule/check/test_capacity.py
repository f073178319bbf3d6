"""What is taken of resources and stores, against a count of every single cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given

from targets.schedule.check.capacity import capacity_problems, work_of
from targets.schedule.machine import OUTER
from targets.schedule.network import Network
from targets.schedule.result import Schedule, Stay
from tests.targets.schedule import made_schedules as made
from tests.targets.schedule.check.damage import (
    found,
    shifted,
    stay_of,
    with_stay,
)
from tests.targets.schedule.small_schedule import small_schedule

COMPUTE = (0, 0, 0, 4, 0, 0, 0)
ROOM = 64


def kept(bits: int, start: int, end: int | None, store: str = "a.sram") -> Stay:
    return Stay(store, "buffers", made.PART, bits, start, end)


def sized_outside(network: Network, size_bits: int) -> Network:
    machine = network.machine
    outer = replace(machine.stores[OUTER], size_bits=size_bits)
    return replace(network, machine=replace(machine, stores={**machine.stores, OUTER: outer}))


def test_room_smaller_than_its_data() -> None:
    _, schedule = small_schedule()
    stay = stay_of(schedule, "rows.out", "a.sram")
    assert "takes 8 bits in a.sram, too few" in found(with_stay(schedule, stay, bits=8))


def test_a_store_too_full() -> None:
    network, schedule = small_schedule()
    machine = network.machine
    small = replace(machine.stores["a.sram"], size_bits=2000)
    tight = replace(network, machine=replace(machine, stores={**machine.stores, "a.sram": small}))
    assert "of a.sram is taken at cycle" in found(schedule, tight)


def test_two_runs_on_a_core_at_once() -> None:
    _, schedule = small_schedule()
    assert "2 of b is taken at cycle" in found(shifted(schedule, "head", -20))


def test_a_link_taken_twice() -> None:
    _, schedule = small_schedule()
    twice = replace(schedule, moves=(*schedule.moves, *schedule.moves))
    assert "of link is taken at cycle" in found(twice)
    assert "of port is taken at cycle" in found(twice)


def test_what_ends_makes_way_for_what_starts_in_the_same_cycle() -> None:
    runs = (made.run("a", 0, COMPUTE), made.run("a", 4, COMPUTE))
    stays = (kept(ROOM, 0, 4), kept(ROOM, 4, None))
    assert list(capacity_problems(made.network(), made.schedule(runs, (), stays))) == []
    early = (runs[0], runs[1]._replace(start=3))
    assert list(capacity_problems(made.network(), made.schedule(early))) == [
        "2 of a is taken at cycle 3, where there is 1"
    ]


def test_what_stays_for_good_takes_room_ever_after() -> None:
    stays = (kept(ROOM, 2, None), kept(1, 1000, 1001))
    assert list(capacity_problems(made.network(), made.schedule(stays=stays))) == [
        "65 of a.sram is taken at cycle 1000, where there is 64"
    ]


@pytest.mark.parametrize(("moves", "fits"), [(11, True), (12, False)])
def test_fractions_of_a_link_may_fill_it_but_no_more(moves: int, fits: bool) -> None:
    # Eleven times an eleventh of 32 is a little more than 32 in doubles.
    shares = [made.move("image", 0, 5, (("bus", 32 / 11),)) for _ in range(moves)]
    assert (list(capacity_problems(made.network(), made.schedule((), shares))) == []) == fits


def test_the_outer_store_is_as_large_as_it_is() -> None:
    stays = (kept(1000, 0, 9, OUTER), kept(1000, 8, 9, OUTER))
    network, schedule = made.network(), made.schedule(stays=stays)
    assert list(capacity_problems(network, schedule)) == [], "without a size it has no end"
    assert list(capacity_problems(sized_outside(network, 2000), schedule)) == []
    assert list(capacity_problems(sized_outside(network, 1999), schedule)) == [
        "2000 of offchip is taken at cycle 8, where there is 1999"
    ]


def test_all_that_takes_time_is_runs_and_moves() -> None:
    run, move = made.run("a", 5, COMPUTE), made.move("image", 0, 5, ())
    assert work_of(made.schedule((run,), (move,))) == [run, move]


def counted(network: Network, schedule: Schedule) -> Iterator[str]:
    """Yield what is found cycle by cycle."""
    machine = network.machine
    sizes = {name: store.size_bits for name, store in machine.stores.items() if store.size_bits}
    limits: dict[str, float] = {**machine.capacities, **sizes}
    last = max([0, *(w.end for w in work_of(schedule)), *(s.end or s.start for s in schedule.stays)])
    for name, limit in limits.items():
        for cycle in range(last + 1):
            working = [work for work in work_of(schedule) if work.start <= cycle < work.end]
            taken = sum(amount for work in working for resource, amount in work.uses if resource == name)
            for stay in schedule.stays:
                if stay.store == name and stay.start <= cycle and (stay.end is None or cycle < stay.end):
                    taken += stay.bits
            if taken > limit:
                yield f"{taken:g} of {name} is taken at cycle {cycle}, where there is {limit:g}"
                break


@given(made.schedules())
def test_the_first_cycle_with_too_much_is_told(schedule: Schedule) -> None:
    network = made.network()
    # These parts have eight bits.
    roomy = replace(schedule, stays=tuple(stay for stay in schedule.stays if stay.bits >= 8))
    assert list(capacity_problems(network, roomy)) == list(counted(network, roomy))
    narrow = [problem for problem in capacity_problems(network, schedule) if problem.endswith("too few")]
    assert len(narrow) == len(schedule.stays) - len(roomy.stays)
