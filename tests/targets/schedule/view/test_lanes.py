"""Lanes: nothing overlaps in one, and there are no more than run at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from targets.schedule.view.lanes import lanes_of


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=20))
def test_each_lane_has_one_at_a_time(drawn: list[tuple[int, int]]) -> None:
    spans = sorted((float(begin), float(begin + length)) for begin, length in drawn)
    lanes = lanes_of(spans)
    for lane in set(lanes):
        own = [span for span, of in zip(spans, lanes, strict=True) if of == lane]
        assert all(one[1] <= other[0] for one, other in pairwise(own))
    at_once = max((sum(a <= t < b for a, b in spans) for t, _ in spans), default=0)
    assert len(set(lanes)) == at_once
