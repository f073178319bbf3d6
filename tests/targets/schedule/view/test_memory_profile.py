from __future__ import annotations

from hypothesis import given

from targets.schedule.result import Schedule, Stay
from targets.schedule.view.memory_profile import MemoryProfile, memory_profiles
from tests.targets.schedule.made_schedules import PART, network, run, schedule, schedules


def profile(made: Schedule) -> MemoryProfile:
    return memory_profiles(made, network().machine)["a.sram"]


def test_what_is_given_back_makes_room_in_the_same_cycle() -> None:
    stays = [
        Stay("a.sram", "x", PART, bits, start, end)
        for bits, start, end in ((8, 0, 5), (6, 5, 9), (1, 2, None))
    ]
    runs = [run("a", 0, (0, 0, 0, 4, 0, 0, 0)), run("a", 4, (0, 0, 0, 6, 0, 0, 0), layer=1)]
    found = profile(schedule(runs, stays=stays))
    assert found.steps == ((0, 8), (2, 9), (5, 7), (9, 1))
    assert (found.capacity_bits, found.peaks_bits, found.peak_bits) == (64, (9, 9), 9)


def test_what_comes_after_an_exit_is_not_part_of_its_path() -> None:
    runs = [run("a", 0, (0, 0, 0, 4, 0, 0, 0)), run("a", 4, (0, 0, 0, 4, 0, 0, 0), layer=1)]
    stays = [Stay("a.sram", "x", PART, 3, 0, 4), Stay("a.sram", "y", PART, 5, 4, 8)]
    assert profile(schedule(runs, stays=stays)).peaks_bits == (3, 5)


def test_a_store_in_which_nothing_lies_is_empty() -> None:
    assert profile(schedule()) == MemoryProfile("a.sram", (), 64, (0, 0))


@given(schedules())
def test_levels_are_the_sum_of_what_lies_there(made: Schedule) -> None:
    found = profile(made)
    for cycle in range(70):
        lying = sum(s.bits for s in made.stays if s.start <= cycle and (s.end is None or cycle < s.end))
        before = [bits for at, bits in found.steps if at <= cycle]
        assert (before[-1] if before else 0) == lying
