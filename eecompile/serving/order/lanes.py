"""Who waits for which stage of which network: in each lane, the order of a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Generic, Protocol, TypeVar

from eecompile.serving.order.fewest_late import FewestLateQueue
from eecompile.serving.order.queues import Gather, KeyQueue, LiveQueue, Rank

Item = TypeVar("Item")
# Network and stage.
Lane = tuple[int, int]
# From the lane and number of the one that is next, the lane of which some are taken and how many.
Choose = Callable[[Lane, int], tuple[Lane, int]]


class Lanes(Protocol[Item]):
    """Items that wait in lanes."""

    @property
    def items(self) -> Mapping[Lane, Mapping[int, Item]]:
        """Those that wait in each lane by their numbers, as they came."""

    def add(
        self, lane: Lane, number: int, item: Item, key: float, latest: float = inf, deadline: float = inf
    ) -> None:
        """Let an item wait; of equals the smaller number is next. The rest is as its queue has it."""

    def take(self, now: float, ready: Sequence[Lane], choose: Choose) -> tuple[Lane, list[Item]]:
        """Take out of one of the lanes that are ready, at ``now`` seconds, those that are next."""


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

    def take(self, now: float, ready: Sequence[Lane], choose: Choose) -> tuple[Lane, list[Item]]:
        """Take out of one of the lanes that are ready, at ``now`` seconds, those that are next."""
        (_, number), first = min((self._queues[lane].head(), lane) for lane in ready)
        lane, count = choose(first, number)
        queue, items = self._queues[lane], self.items[lane]
        return lane, [items.pop(queue.take(now)) for _ in range(count)]


class LiveLanes(Generic[Item]):
    """All that wait are ordered anew each time, whatever their lane."""

    def __init__(self, rank: Rank | None, gather: Gather[Item]) -> None:
        """Make them empty; without a rank, the fewest are late."""
        self.items: dict[Lane, dict[int, Item]] = {}
        self._lane: dict[int, Lane] = {}
        self._queue = (
            FewestLateQueue()
            if rank is None
            else LiveQueue(rank, lambda numbers: gather([self.items[self._lane[n]][n] for n in numbers]))
        )

    def add(
        self, lane: Lane, number: int, item: Item, key: float, latest: float = inf, deadline: float = inf
    ) -> None:
        """Let an item wait."""
        self.items.setdefault(lane, {})[number] = item
        self._lane[number] = lane
        self._queue.add(number, key, latest, deadline)

    def take(self, now: float, ready: Sequence[Lane], choose: Choose) -> tuple[Lane, list[Item]]:
        """Take out of one of the lanes that are ready, at ``now`` seconds, those that are next."""
        order = self._queue.order(now)
        number = next(n for n in order if self._lane[n] in ready)
        lane, count = choose(self._lane[number], number)
        taken = [n for n in order if self._lane[n] == lane][:count]
        for number in taken:
            self._queue.remove(number)
            del self._lane[number]
        return lane, [self.items[lane].pop(number) for number in taken]
