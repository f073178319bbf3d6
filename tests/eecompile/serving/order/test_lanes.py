from __future__ import annotations

import pytest

from eecompile.serving.order.lanes import KeyLanes, Lanes, LiveLanes
from tests.eecompile.serving.test_policies import CROWD

# Arrivals are 0, 1 and 2: a live rank that puts the last first.
WAITING = CROWD.waiting().at((0, [0, 1, 2]))


def lanes_of(kind: str) -> Lanes[int]:
    if kind == "keys":
        return KeyLanes()
    return LiveLanes(lambda _, seen: -seen.arrival_s, WAITING.at)


@pytest.mark.parametrize("kind", ["keys", "live"])
def test_the_next_of_lanes_and_of_a_lane_are_told_until_they_are_taken_out(kind: str) -> None:
    """Of 2 in lane a, and 1 and 0 in lane b, 2 is first, and of lane b 1."""
    lanes, a, b = lanes_of(kind), (0, 0), (0, 1)
    for lane, number in ((b, 1), (a, 2), (b, 0)):
        lanes.add(lane, number, number, -float(number))
    assert list(lanes.items[b]) == [1, 0]
    for _ in range(2):
        assert [lanes.first(0.0, ready) for ready in ([a, b], [b], [a])] == [(a, 2), (b, 1), (a, 2)]
        assert [lanes.some(0.0, b, count) for count in (1, 2, 3)] == [[1], [1, 0], [1, 0]]
    lanes.remove(b, [1])
    assert lanes.some(0.0, b, 2) == [0] and lanes.first(0.0, [a, b]) == (a, 2)
    lanes.remove(b, [0])
    lanes.remove(a, [2])
    assert not any(lanes.items.values())


def test_without_a_rank_the_fewest_are_late_whatever_their_lane() -> None:
    """At 6 one may not begin any more; the one due next leaves time for one of two others."""
    lanes: LiveLanes[str] = LiveLanes(None, WAITING.at)
    lanes.add((0, 0), 0, "late", 1.0, 5.0, 6.0)
    lanes.add((1, 0), 1, "long", 9.0, 6.5, 15.5)
    lanes.add((0, 0), 2, "short", 1.0, 15.0, 16.0)
    lanes.add((1, 0), 3, "shorter", 0.5, 15.5, 16.0)
    taken = []
    for _ in range(4):
        lane, number = lanes.first(6.0, [lane for lane, some in lanes.items.items() if some])
        taken.append(lanes.items[lane][number])
        lanes.remove(lane, [number])
    assert taken == ["shorter", "long", "short", "late"]
