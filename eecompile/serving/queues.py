"""What waits: in a heap where keys are fixed, in a list where ranks change while time goes by."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eecompile.serving.waiting import Waiting

Item = TypeVar("Item")
Rank = Callable[[float, Waiting], NDArray[np.float64]]
Gather = Callable[[list[Item]], Waiting]


class KeyQueue:
    """The smallest key is next, of equals the first number; what is too late comes behind all others."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, float]] = []
        self._late: list[tuple[float, int, float]] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap) + len(self._late)

    def add(self, number: int, key: float, latest: float = inf) -> None:
        """Let ``number`` wait; it is too late after ``latest`` seconds."""
        heapq.heappush(self._heap, (key, number, latest))

    def head(self, now: float) -> tuple[bool, float, int]:
        """Return whether the one that is next at ``now``, seconds, is too late, its key and its number."""
        while self._heap and now > self._heap[0][2]:
            heapq.heappush(self._late, heapq.heappop(self._heap))
        key, number, _ = (self._heap or self._late)[0]
        return not self._heap, key, number

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        heap = self._heap
        while heap:
            entry = heapq.heappop(heap)
            if now <= entry[2]:
                return entry[1]
            heapq.heappush(self._late, entry)
        return heapq.heappop(self._late)[1]


class LiveQueue:
    """All that wait are ranked anew each time."""

    def __init__(self, rank: Rank, gather: Gather[int]) -> None:
        self._rank, self._gather = rank, gather
        self._waiting: dict[int, None] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, number: int, key: float = 0.0, latest: float = inf) -> None:
        """Let ``number`` wait; only its rank counts."""
        del key, latest
        self._waiting[number] = None

    def order(self, now: float) -> list[int]:
        """Return all that wait, the one that is next at ``now``, seconds, first."""
        if not self._waiting:
            return []
        numbers = list(self._waiting)
        ranks = self._rank(now, self._gather(numbers))
        return [numbers[one] for one in np.lexsort((np.array(numbers), ranks))]

    def remove(self, number: int) -> None:
        """Take out ``number``."""
        del self._waiting[number]

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        first = self.order(now)[0]
        self.remove(first)
        return first
