from __future__ import annotations

import pytest

from eecompile.serving.order.lanes import KeyLanes, Lane, Lanes, LiveLanes
from tests.eecompile.serving.test_policies import CROWD

# Arrivals are 0, 1 and 2: a live rank that puts the last first.
WAITING = CROWD.waiting().at((0, [0, 1, 2]))


def lanes_of(kind: str) -> Lanes[int]:
    if kind == "keys":
        return KeyLanes()
    return LiveLanes(lambda _, seen: -seen.arrival_s, WAITING.at)


@pytest.mark.parametrize("kind", ["keys", "live"])
def test_the_next_of_the_lanes_that_are_ready_takes_others_of_the_lane_chosen(kind: str) -> None:
    """Of 2 in lane a, and 1 and 0 in lane b, 2 is first; but what is asked for may be of the other."""
    lanes, a, b = lanes_of(kind), (0, 0), (0, 1)
    for lane, number in ((b, 1), (a, 2), (b, 0)):
        lanes.add(lane, number, number, -float(number))
    seen: list[tuple[Lane, int]] = []

    def choose(first: Lane, number: int) -> tuple[Lane, int]:
        seen.append((first, number))
        return b, 1

    assert list(lanes.items[b]) == [1, 0]
    assert lanes.take(0.0, [a, b], choose) == (b, [1])
    assert lanes.take(0.0, [b], choose) == (b, [0])
    assert lanes.take(0.0, [a], lambda first, _: (first, 1)) == (a, [2])
    assert seen == [(a, 2), (b, 0)] and not any(lanes.items.values())


def test_without_a_rank_the_fewest_are_late_whatever_their_lane() -> None:
    """At 6 one may not begin any more; the one due next leaves time for one of two others."""
    lanes: LiveLanes[str] = LiveLanes(None, WAITING.at)
    lanes.add((0, 0), 0, "late", 1.0, 5.0, 6.0)
    lanes.add((1, 0), 1, "long", 9.0, 6.5, 15.5)
    lanes.add((0, 0), 2, "short", 1.0, 15.0, 16.0)
    lanes.add((1, 0), 3, "shorter", 0.5, 15.5, 16.0)
    ready = [(0, 0), (1, 0)]
    taken = [lanes.take(6.0, ready, lambda lane, _: (lane, 1))[1][0] for _ in range(4)]
    assert taken == ["shorter", "long", "short", "late"]
