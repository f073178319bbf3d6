"""Time left is measured, never 0 before the end, and does not believe that what is late is done at once."""

from __future__ import annotations

import itertools

import pytest

from eecompile.cli.progress.time_left import MOST_MARKS, Mark, in_words, time_left, with_mark


def evenly(units: int, seconds: float) -> list[Mark]:
    return [(number * seconds, number) for number in range(units + 1)]


@pytest.mark.parametrize(
    ("marks", "total", "now", "left"),
    [
        ([], 10, 5.0, None),
        ([(0.0, 0)], 10, 5.0, None),  # nothing is done
        (evenly(3, 0.2), 10, 0.7, None),  # measured in too little time
        (evenly(5, 2.0), 10, 10.0, 10.0),
        (evenly(5, 2.0), 10, 11.0, 9.0),
        (evenly(5, 2.0), 10, 12.0, 8.5),  # the unit at work should be over, and is not
        (evenly(4, 1.0), 5, 4.99, 0.25),  # the last unit is never nothing
        (evenly(4, 1.0), 5, 7.0, 2.0),  # two seconds late: as long again
        (evenly(10, 1.0), 10, 10.0, 0.0),
        ([(100.0, 50), (102.0, 52)], 54, 102.0, 2.0),  # what was done before it began took no time
    ],
)
def test_from_marks_to_seconds(marks: list[Mark], total: int, now: float, left: float | None) -> None:
    assert time_left(marks, total, now) == (left if left is None else pytest.approx(left))


def test_a_late_unit_makes_the_others_longer_too() -> None:
    marks = evenly(2, 1.0)  # two of six, a second each
    on_time, late = time_left(marks, 6, 2.5), time_left(marks, 6, 7.0)
    assert on_time == pytest.approx(3.5)
    assert late == pytest.approx(4.0 + 3 * (1.0 + 5.0) / 2)  # one of the two is in the later half


def test_a_slow_begin_is_forgotten() -> None:
    marks = [(0.0, 0), (10.0, 1), *((10.0 + k, 1 + k) for k in range(1, 15))]
    assert time_left(marks, 25, 24.0) == pytest.approx(10.0, abs=0.1)


def test_between_marks_it_falls_and_stays_above_nothing() -> None:
    marks = evenly(4, 3.0)
    seen = [time_left(marks, 6, 12.0 + 0.5 * k) for k in range(6)]
    assert all(a is not None and b is not None and a > b > 0 for a, b in itertools.pairwise(seen))
    later = [time_left(marks, 6, 15.0 + k) for k in range(1, 60)]
    assert all(value is not None and value > 3.0 for value in later)


def test_marks_are_only_of_progress_and_never_too_many() -> None:
    marks: list[Mark] = []
    for number in range(2000):
        with_mark(marks, float(number), number // 2)
    assert marks[0] == (0.0, 0) and marks[-1] == (1998.0, 999)
    assert len(marks) <= MOST_MARKS
    assert all(a[1] < b[1] for a, b in itertools.pairwise(marks))
    assert time_left(marks, 1500, 1999.0) == pytest.approx(1001.0, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"), (7.6, "8 s"), (59.4, "59 s"), (59.6, "1 min"), (200.0, "3 min 20 s"),
        (3600.0, "1 h"), (7500.0, "2 h 5 min"), (3599.8, "1 h"),
    ],
)  # fmt: skip
def test_durations_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
