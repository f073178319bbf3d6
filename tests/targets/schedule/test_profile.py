"""Profiles against plain arrays of what is taken at each cycle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.profile import Profile

HORIZON = 40
Taken = tuple[int, int | None, int]
takes = st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 25), st.integers(1, 3)), max_size=6)


def profile_of(taken: list[Taken], capacity: float | None) -> Profile:
    profile = Profile(capacity)
    for start, end, amount in taken:
        profile.add(start, end, amount)
    return profile


def levels_of(taken: list[Taken]) -> list[int]:
    return [
        sum(amount for start, end, amount in taken if start <= time and (end is None or time < end))
        for time in range(HORIZON)
    ]


@given(takes)
def test_steps_are_the_sums(taken: list[Taken]) -> None:
    profile, levels = profile_of(taken, None), levels_of(taken)
    steps = profile.steps()
    assert [time for time, _ in steps] == sorted({time for time, _ in steps})
    assert [[level for time, level in steps if time <= t][-1] for t in range(HORIZON)] == levels
    assert profile.peak == max(levels)


@given(takes, st.integers(0, 25), st.integers(1, 9), st.integers(1, 4))
def test_earliest_is_the_first_gap(taken: list[Taken], start: int, duration: int, amount: int) -> None:
    profile, levels = profile_of(taken, 4), levels_of(taken)
    levels += [levels[-1]] * HORIZON
    free = [
        time
        for time in range(start, HORIZON)
        if all(level + amount <= 4 for level in levels[time : time + duration])
    ]
    if free:
        assert profile.earliest(start, duration, amount) == free[0]
    else:
        with pytest.raises(ValueError, match="never fits"):
            profile.earliest(start, duration, amount)


@given(takes, st.integers(0, 25), st.integers(1, 4))
def test_earliest_for_good_is_behind_the_last_that_is_in_the_way(
    taken: list[Taken], start: int, amount: int
) -> None:
    profile, levels = profile_of(taken, 4), levels_of(taken)
    free = [t for t in range(start, HORIZON) if all(level + amount <= 4 for level in levels[t:])]
    assert profile.earliest_for_good(start, amount) == (free[0] if free else None)


@given(takes, st.integers(0, 25), st.integers(1, 9))
def test_what_is_forgotten_changes_nothing_later(taken: list[Taken], floor: int, duration: int) -> None:
    profile = profile_of(taken, 9)
    shorter = profile.copy(floor)
    for start in range(floor, HORIZON):
        for amount in (1, 5):
            assert shorter.earliest_for_good(start, amount) == profile.earliest_for_good(start, amount)
            if profile.earliest_for_good(start, amount) is not None:
                assert shorter.earliest(start, duration, amount) == profile.earliest(start, duration, amount)


def test_a_copy_changes_on_its_own() -> None:
    profile = Profile(1)
    twin = profile.copy(0)
    twin.add(0, 10, 1)
    assert (profile.earliest(0, 5, 1), twin.earliest(0, 5, 1)) == (0, 10)


def test_what_is_given_back_is_free() -> None:
    profile = Profile(8)
    profile.add(0, None, 6)
    assert profile.earliest_for_good(0, 4) is None
    profile.add(7, None, -6)
    assert profile.earliest_for_good(0, 4) == 7
    assert profile.last_end == 7


def test_no_limit_is_free_at_once() -> None:
    profile = Profile(None)
    profile.add(0, None, 1e9)
    assert profile.earliest(3, 5, 1e9) == profile.earliest_for_good(3, 1e9) == 3
