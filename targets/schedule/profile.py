"""How much of a resource is taken over time."""

from __future__ import annotations

from bisect import bisect_right

# Demands are bits per cycle and may be fractions; sums of them are compared with this slack.
_SLACK = 1e-9


class Profile:
    """A step function of time from cycle 0 on.

    Attributes:
        capacity: The most that may be taken at once; ``None`` is no limit.
        top: The most that was ever taken, also of what has been forgotten or given back.
    """

    __slots__ = ("_levels", "_times", "capacity", "top")

    def __init__(self, capacity: float | None) -> None:
        self.capacity = capacity
        self._times = [0]
        self._levels = [0.0]
        self.top = 0.0

    def copy(self, start: int) -> Profile:
        """Return a copy that can change on its own, without the steps that are over by ``start``."""
        twin = Profile.__new__(Profile)
        first = bisect_right(self._times, start) - 1
        twin.capacity, twin.top = self.capacity, self.top
        twin._times, twin._levels = self._times[first:], self._levels[first:]
        twin._times[0] = 0
        return twin

    def add(self, start: int, end: int | None, amount: float) -> None:
        """Take ``amount`` from ``start`` up to ``end``; ``None`` is for good. Negative amounts give back."""
        if end is not None and end <= start:
            return
        first = self._cut(start)
        last = len(self._times) if end is None else self._cut(end)
        levels = self._levels
        for i in range(first, last):
            levels[i] += amount
            self.top = max(self.top, levels[i])

    def _cut(self, time: int) -> int:
        """Return the index of the step that begins at ``time``, made if there is none."""
        i = bisect_right(self._times, time) - 1
        if self._times[i] == time:
            return i
        self._times.insert(i + 1, time)
        self._levels.insert(i + 1, self._levels[i])
        return i + 1

    def earliest(self, start: int, duration: int, amount: float) -> int:
        """Return the first time from ``start`` on at which ``amount`` is free for ``duration`` cycles."""
        if self.capacity is None or duration <= 0:
            return start
        room = self.capacity - amount + _SLACK
        times, levels = self._times, self._levels
        i = bisect_right(times, start) - 1
        count = len(times)
        begin = start
        while i < count:
            if levels[i] > room:
                i += 1
                while i < count and levels[i] > room:
                    i += 1
                if i == count:
                    raise ValueError("a demand beyond the capacity never fits")
                begin = times[i]
            i += 1
            if i == count or times[i] >= begin + duration:
                return begin
        return begin

    def earliest_for_good(self, start: int, amount: float) -> int | None:
        """Return from when on, not before ``start``, ``amount`` is free for good; ``None`` for never."""
        if self.capacity is None:
            return start
        room = self.capacity - amount + _SLACK
        levels = self._levels
        i = len(levels) - 1
        if levels[i] > room:
            return None
        times = self._times
        while i > 0 and times[i] > start and levels[i - 1] <= room:
            i -= 1
        return max(start, times[i])

    @property
    def last_end(self) -> int:
        """Return when the last change is."""
        return self._times[-1]

    @property
    def peak(self) -> float:
        """The most that is taken at any time."""
        return max(self._levels)

    def steps(self) -> list[tuple[int, float]]:
        """Return times and what is taken from then on."""
        return list(zip(self._times, self._levels, strict=True))
