"""Who waits for which stage of which network: in each lane, the order of a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import inf
from typing import Generic, Protocol, TypeVar

from eecompile.serving.order.fewest_late import FewestLateQueue
from eecompile.serving.order.queues import Gather, KeyQueue, LiveQueue, Rank

Item = TypeVar("Item")
# Network and stage.
Lane = tuple[int, int]


class Lanes(Protocol[Item]):
    """Items that wait in lanes."""

    @property
    def items(self) -> Mapping[Lane, Mapping[int, Item]]:
        """Those that wait in each lane by their numbers, as they came."""

    def add(
        self, lane: Lane, number: int, item: Item, key: float, latest: float = inf, deadline: float = inf
    ) -> None:
        """Let an item wait; of equals the smaller number is next. The rest is as its queue has it."""

    def first(self, now: float, ready: Sequence[Lane]) -> tuple[Lane, int]:
        """Return lane and number of the one that is next at ``now``, seconds, of lanes in which some wait."""

    def some(self, now: float, lane: Lane, count: int) -> list[int]:
        """Return the numbers of so many of a lane that are next at ``now``, seconds."""

    def remove(self, lane: Lane, numbers: Sequence[int]) -> None:
        """Take out those that `some` returned."""


class KeyLanes(Generic[Item]):
    """Each lane is a heap."""

    def __init__(self) -> None:
        self.items: dict[Lane, dict[int, Item]] = {}
        self._queues: dict[Lane, KeyQueue] = {}

    def add(
        self, lane: Lane, number: int, item: Item, key: float, latest: float = inf, deadline: float = inf
    ) -> None:
        """Let an item wait; only its key counts."""
        if lane not in self._queues:
            self._queues[lane], self.items[lane] = KeyQueue(), {}
        self._queues[lane].add(number, key, latest, deadline)
        self.items[lane][number] = item

    def first(self, now: float, ready: Sequence[Lane]) -> tuple[Lane, int]:
        """Return lane and number of the one that is next of lanes in which some wait, now as later."""
        del now
        if len(ready) == 1:
            return ready[0], self._queues[ready[0]].head()[1]
        (_, number), lane = min((self._queues[lane].head(), lane) for lane in ready)
        return lane, number

    def some(self, now: float, lane: Lane, count: int) -> list[int]:
        """Return the numbers of so many of a lane that are next, now as later."""
        del now
        return self._queues[lane].some(count)

    def remove(self, lane: Lane, numbers: Sequence[int]) -> None:
        """Take out those that `some` returned."""
        queue, items = self._queues[lane], self.items[lane]
        for number in numbers:
            queue.take(0.0)
            del items[number]


class LiveLanes(Generic[Item]):
    """All that wait are ordered anew each time, whatever their lane."""

    def __init__(self, rank: Rank | None, gather: Gather[Item]) -> None:
        """Make them empty; without a rank, the fewest are late."""
        self.items: dict[Lane, dict[int, Item]] = {}
        self._all: dict[int, Item] = {}
        self._queue = (
            FewestLateQueue()
            if rank is None
            else LiveQueue(rank, lambda numbers: gather([self._all[n] for n in numbers]))
        )

    def add(
        self, lane: Lane, number: int, item: Item, key: float, latest: float = inf, deadline: float = inf
    ) -> None:
        """Let an item wait."""
        self.items.setdefault(lane, {})[number] = item
        self._all[number] = item
        self._queue.add(number, key, latest, deadline)

    def first(self, now: float, ready: Sequence[Lane]) -> tuple[Lane, int]:
        """Return lane and number of the one that is next at ``now``, seconds, of lanes in which some wait."""
        waiting = sum(len(self.items[lane]) for lane in ready)
        some = self._all if waiting == len(self._all) else set[int]().union(*(self.items[of] for of in ready))
        number = next(iter(self._queue.order(now, some)))
        return next(lane for lane in ready if number in self.items[lane]), number

    def some(self, now: float, lane: Lane, count: int) -> list[int]:
        """Return the numbers of so many of a lane that are next at ``now``, seconds."""
        return list(islice(self._queue.order(now, self.items[lane]), count))

    def remove(self, lane: Lane, numbers: Sequence[int]) -> None:
        """Take out those that `some` returned."""
        for number in numbers:
            self._queue.remove(number)
            del self.items[lane][number], self._all[number]
