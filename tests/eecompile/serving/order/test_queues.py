"""What waits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eecompile.serving.order.queues import KeyQueue, LiveQueue
from tests.eecompile.serving.test_policies import CROWD


def test_the_smallest_key_is_next_and_of_equals_the_first() -> None:
    queue = KeyQueue()
    for number, key in ((2, 1.0), (1, 1.0), (0, 0.5)):
        queue.add(number, key)
    assert len(queue) == 3
    assert queue.head() == (0.5, 0)
    assert [queue.take(0.0) for _ in range(3)] == [0, 1, 2]


@given(st.lists(st.integers(0, 9)), st.integers(0, 12))
def test_those_that_are_next_are_told_and_stay(keys: list[int], count: int) -> None:
    queue = KeyQueue()
    for number, key in enumerate(keys):
        queue.add(number, float(key))
    some = queue.some(count)
    assert len(queue) == len(keys)
    assert some == [queue.take(0.0) for _ in range(min(count, len(keys)))]


def test_ranks_are_asked_each_time_of_those_that_wait() -> None:
    waiting = CROWD.waiting()
    queue = LiveQueue(
        lambda now, seen: np.where(seen.arrival_s == now, 0.0, 1.0), lambda numbers: waiting.at((0, numbers))
    )
    for one in (2, 0, 1):
        queue.add(one)
    assert queue.order(1.0, (0, 1, 2)) == [1, 0, 2], "of equals the first that came"
    assert queue.order(1.0, {2, 1}) == [1, 2]
    assert [queue.take(1.0), queue.take(9.0), queue.take(9.0)] == [1, 0, 2]
    assert len(queue) == 0 and queue.order(0.0, ()) == []
