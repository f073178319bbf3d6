"""Who is next so that the fewest of those that wait miss their deadlines (Moore 1968, after Hodgson)."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Collection, Iterator
from math import inf

# Of at least so many times as many that wait, some are sorted by themselves.
FEW = 2


class FewestLateQueue:
    """The earliest deadline of those whose deadlines can all be kept, of equal ones the least work.

    By deadlines, work is added up; where a request would begin too late, the longest so far is set aside.
    What is set aside comes behind what can be kept, and what is too late even now behind that, the shortest
    first. Of requests that are all there and whose work is known, no order keeps more deadlines.
    """

    def __init__(self) -> None:
        # By deadline: (deadline, work, number, latest start), by work: (work, number), and a heap of
        # (latest start, number) of all whose latest start is yet to come, those that were taken out too.
        self._due: list[tuple[float, float, int, float]] = []
        self._late: list[tuple[float, int]] = []
        self._latest: list[tuple[float, int]] = []
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
        if latest < inf:
            heapq.heappush(self._latest, (latest, number))
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

    def order(self, now: float, some: Collection[int]) -> Iterator[int]:
        """Yield some of those that wait, the one that is next at ``now``, seconds, first, until a change."""
        self._sort_out(now)
        aside = self._aside(now)
        if len(some) < len(self._known) // FEW:
            yield from sorted(some, key=lambda number: self._place(number, now, aside))
            return
        for later in (False, True) if aside else (False,):
            for _, _, number, _ in self._due:
                if (number in aside) == later and number in some:
                    yield number
        for _, number in self._late:
            if number in some:
                yield number

    def _place(self, number: int, now: float, aside: set[int]) -> tuple[int, float, float, int]:
        deadline, work, latest = self._known[number]
        if latest < now:
            return 2, work, number, 0
        return int(number in aside), deadline, work, number

    def remove(self, number: int) -> None:
        """Take out ``number``."""
        deadline, work, latest = self._known.pop(number)
        if (work, number) in self._late:
            self._late.remove((work, number))
        else:
            self._due.remove((deadline, work, number, latest))

    def _sort_out(self, now: float) -> None:
        """Lay aside for good what is too late."""
        is_any = False
        while self._latest and self._latest[0][0] < now:  # some of these may have been taken out since
            latest, number = heapq.heappop(self._latest)
            is_any |= number in self._known and self._known[number][2] == latest
        if is_any:
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
