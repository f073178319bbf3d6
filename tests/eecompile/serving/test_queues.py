"""What waits."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.queues import KeyQueue, LiveQueue, latest_starts
from tests.eecompile.serving.test_policies import CROWD


def test_the_smallest_key_of_its_stage_is_next_and_of_equals_the_first() -> None:
    queue = KeyQueue([np.array([3.0, 1.0, 1.0]), np.array([0.5, 9.0, 9.0])])
    queue.add(2, 0)
    queue.add(1, 0)
    queue.add(0, 1)
    assert len(queue) == 3
    assert [queue.take(0.0) for _ in range(3)] == [0, 1, 2]


def test_what_is_too_late_comes_behind_all_others_and_is_not_lost() -> None:
    latest = latest_starts(CROWD)
    assert latest[0] == pytest.approx([26, 13, 13])
    queue = KeyQueue([np.array([3.0, 1.0, 2.0])], latest)
    for one in range(3):
        queue.add(one, 0)
    assert [queue.take(13.0), queue.take(13.5), queue.take(13.5)] == [1, 0, 2]


def test_ranks_are_asked_each_time() -> None:
    queue = LiveQueue(lambda now, waiting, _: np.where(waiting == int(now), 0.0, 1.0))
    for one in (5, 3, 4):
        queue.add(one, 0)
    assert [queue.take(4.0), queue.take(9.0), queue.take(9.0)] == [4, 3, 5], "of equals the first that came"
