"""What waits: in a heap where keys are fixed, in a list where ranks change while time goes by."""

from __future__ import annotations

import heapq
from typing import Protocol

import numpy as np

from eecompile.serving.policies import Crowd, Keys, Live, Policy


class Queue(Protocol):
    """Requests that wait, each for one of its stages."""

    def __len__(self) -> int:
        """Return how many wait."""

    def add(self, request: int, stage: int) -> None:
        """Let ``request`` wait for ``stage``."""

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""


def queue_of(crowd: Crowd, policy: Policy) -> Queue:
    """Return an empty queue of ``policy``."""
    if policy.live is not None:
        return LiveQueue(policy.live(crowd))
    assert policy.keys is not None
    return KeyQueue(policy.keys(crowd), latest_starts(crowd) if policy.gives_up else None)


def latest_starts(crowd: Crowd) -> Keys:
    """Return until when a stage may begin to keep the deadline at the exit behind it: [stages] of [N]."""
    requests = crowd.requests
    stages = max(service.stages for service in crowd.services)
    found = [np.full(len(requests), np.inf) for _ in range(stages)]
    for number, service in enumerate(crowd.services):
        of = requests.model == number
        for stage in range(service.stages):
            found[stage][of] = requests.deadline_s[of] - service.stage_s[stage, 0]
    return found


class KeyQueue:
    """The smallest key is next, of equals the first that came; what is too late comes behind all others."""

    def __init__(self, keys: Keys, latest: Keys | None = None) -> None:
        # Lists: a scalar of numpy takes five times as long in these loops.
        self._keys = [values.tolist() for values in keys]
        self._latest = None if latest is None else [values.tolist() for values in latest]
        self._heap: list[tuple[float, int, int]] = []
        self._late: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap) + len(self._late)

    def add(self, request: int, stage: int) -> None:
        """Let ``request`` wait for ``stage``."""
        heapq.heappush(self._heap, (self._keys[stage][request], request, stage))

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        heap, latest = self._heap, self._latest
        if latest is None:
            return heapq.heappop(heap)[1]
        while heap:
            entry = heapq.heappop(heap)
            if now <= latest[entry[2]][entry[1]]:
                return entry[1]
            heapq.heappush(self._late, entry)
        return heapq.heappop(self._late)[1]


class LiveQueue:
    """All that wait are ranked anew each time."""

    def __init__(self, rank: Live) -> None:
        self._rank = rank
        self._waiting: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, request: int, stage: int) -> None:
        """Let ``request`` wait for ``stage``."""
        self._waiting[request] = stage

    def take(self, now: float) -> int:
        """Take out the one that is next at ``now``, seconds."""
        waiting = np.fromiter(self._waiting, np.int64, len(self._waiting))
        stages = np.fromiter(self._waiting.values(), np.int64, len(self._waiting))
        one = int(waiting[np.lexsort((waiting, self._rank(now, waiting, stages)))[0]])
        del self._waiting[one]
        return one
