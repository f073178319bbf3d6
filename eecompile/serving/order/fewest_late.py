"""Who is next so that the fewest of those that wait miss their deadlines (Moore 1968, after Hodgson)."""

from __future__ import annotations

import heapq
from bisect import insort
from math import inf


class FewestLateQueue:
    """The earliest deadline of those whose deadlines can all be kept, of equal ones the least work.

    By deadlines, work is added up; where a request would begin too late, the longest so far is set aside.
    What is set aside comes behind what can be kept, and what is too late even now behind that, the shortest
    first. Of requests that are all there and whose work is known, no order keeps more deadlines.
    """

    def __init__(self) -> None:
        # By deadline: (deadline, work, number, latest start), and by work: (work, number).
        self._due: list[tuple[float, float, int, float]] = []
        self._late: list[tuple[float, int]] = []
        self._known: dict[int, tuple[float, float, float]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._known)

    def add(self, number: int, key: float, latest: float, deadline: float) -> None:
        """Let ``number`` wait.

        Args:
            number: Of equals the smaller is next.
            key: Seconds of work, as far as is known.
            latest: It is too late if it begins after that, seconds.
            deadline: Seconds, absolute.
        """
        self._known[number] = (deadline, key, latest)
        insort(self._due, (deadline, key, number, latest))

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        self._sort_out(now)
        if self._due:
            aside = self._aside(now)
            place = next(i for i, entry in enumerate(self._due) if entry[2] not in aside)
            number = self._due.pop(place)[2]
        else:
            number = self._late.pop(0)[1]
        del self._known[number]
        return number

    def order(self, now: float) -> list[int]:
        """Return all that wait, the one that is next at ``now``, seconds, first."""
        self._sort_out(now)
        aside = self._aside(now)
        numbers = [entry[2] for entry in self._due]
        numbers.sort(key=aside.__contains__)
        return [*numbers, *(number for _, number in self._late)]

    def remove(self, number: int) -> None:
        """Take out ``number``."""
        deadline, work, latest = self._known.pop(number)
        if (work, number) in self._late:
            self._late.remove((work, number))
        else:
            self._due.remove((deadline, work, number, latest))

    def _sort_out(self, now: float) -> None:
        """Lay aside for good what is too late."""
        if any(entry[3] < now for entry in self._due):
            for _, work, number, latest in self._due:
                if latest < now:
                    insort(self._late, (work, number))
            self._due = [entry for entry in self._due if entry[3] >= now]

    def _aside(self, now: float) -> set[int]:
        """Return what is set aside for others; never all."""
        begin, aside = now, set[int]()
        if not self._is_any_late(now):
            return aside
        longest: list[tuple[float, int]] = []
        for deadline, work, number, latest in self._due:
            if deadline == inf:
                break
            heapq.heappush(longest, (-work, -number))
            late = begin > latest
            begin += work
            if late:
                less, dropped = heapq.heappop(longest)
                begin += less
                aside.add(-dropped)
        return aside

    def _is_any_late(self, now: float) -> bool:
        """Return whether one begins too late if all follow each other by deadlines; most often none does."""
        begin = now
        for deadline, work, _, latest in self._due:
            if begin > latest:
                return True
            if deadline == inf:
                break
            begin += work
        return False
