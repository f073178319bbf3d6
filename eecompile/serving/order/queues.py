"""What waits: in a heap where keys are fixed, in a list where ranks change while time goes by."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from math import inf
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.waiting import Waiting

Item = TypeVar("Item")
Rank = Callable[[float, Waiting], NDArray[np.float64]]
Gather = Callable[[list[Item]], Waiting]


class KeyQueue:
    """The smallest key is next, of equals the first number."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def add(self, number: int, key: float, latest: float = inf, deadline: float = inf) -> None:
        """Let ``number`` wait; only its key counts."""
        del latest, deadline
        heapq.heappush(self._heap, (key, number))

    def head(self) -> tuple[float, int]:
        """Return key and number of the one that is next."""
        return self._heap[0]

    def some(self, count: int) -> list[int]:
        """Return so many of those that are next, or all, and leave them there."""
        heap, found = self._heap, list[int]()
        near = [(heap[0], 0)] if heap else []  # of those that may follow, where they are in the heap
        while near and len(found) < count:
            (_, number), place = heapq.heappop(near)
            found.append(number)
            for behind in (2 * place + 1, 2 * place + 2):
                if behind < len(heap):
                    heapq.heappush(near, (heap[behind], behind))
        return found

    def take(self, now: float) -> int:
        """Take out the one that is next, now as later."""
        del now
        return heapq.heappop(self._heap)[1]


class LiveQueue:
    """All that wait are ranked anew each time."""

    def __init__(self, rank: Rank, gather: Gather[int]) -> None:
        self._rank, self._gather = rank, gather
        self._waiting: dict[int, None] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, number: int, key: float = 0.0, latest: float = inf, deadline: float = inf) -> None:
        """Let ``number`` wait; only its rank counts."""
        del key, latest, deadline
        self._waiting[number] = None

    def order(self, now: float, some: Iterable[int]) -> list[int]:
        """Return some of those that wait, the one that is next at ``now``, seconds, first."""
        numbers = list(some)
        if not numbers:
            return []
        ranks = self._rank(now, self._gather(numbers))
        return [numbers[one] for one in np.lexsort((np.array(numbers), ranks))]

    def remove(self, number: int) -> None:
        """Take out ``number``."""
        del self._waiting[number]

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        first = self.order(now, self._waiting)[0]
        self.remove(first)
        return first
