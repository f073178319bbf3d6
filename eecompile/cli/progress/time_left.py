"""How long something that is counted will take, from how long it took so far."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_SECONDS = 1.0
"""What is measured in less says nothing yet."""
MOST_MARKS = 256
OVERDUE = 0.25
"""Share of the usual time of a unit that the one at work is expected to need at least."""

Mark = tuple[float, int]
"""When, in seconds, so much was done."""


def time_left(marks: Sequence[Mark], total: int, now: float) -> float | None:
    """Return the seconds until ``total`` is done; ``None`` where nothing was measured yet.

    The time of a unit is that in the later half of the time so far: what comes first is often slower. What
    the unit at work has taken already counts, but never all of it: one that takes longer than usual is taken
    to last as long again as it is late, and lets the others be expected to last longer, too.

    Args:
        marks: When how much was done, rising; the first is the beginning.
        total: How much there is.
        now: Seconds on the same clock.
    """
    if len(marks) < 2 or now - marks[0][0] < LEAST_SECONDS:
        return None
    last, done = marks[-1]
    if done >= total:
        return 0.0
    middle = (marks[0][0] + last) / 2
    start = max(number for number, (when, _) in enumerate(marks[:-1]) if when <= middle)
    then, before = marks[start]
    units, spent = done - before, last - then
    usual, since = spent / units, max(0.0, now - last)
    if since > usual:
        late = since - usual
        others = (spent + since) / (units + 1)
        return max(late, OVERDUE * usual) + (total - done - 1) * others
    return max(usual - since, OVERDUE * usual) + (total - done - 1) * usual


def with_mark(marks: list[Mark], when: float, done: int) -> None:
    """Add a mark where more is done than at the last; of too many every other goes."""
    if marks and done <= marks[-1][1]:
        return
    marks.append((when, done))
    if len(marks) > MOST_MARKS:
        del marks[1:-1:2]


def in_words(seconds: float) -> str:
    """Return a duration as people say it: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
