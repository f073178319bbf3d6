"""What is known of a link from what was sent over it."""

from __future__ import annotations

import pytest

from eecompile.runtime.split.link_speed import LinkSpeed, wire_bits


def test_bits_are_what_is_neither_round_trip_nor_work() -> None:
    speed = LinkSpeed(0.5, 1.0, lambda: 0.0)
    assert speed.bit_s is None
    speed.rtt_s = 0.02
    speed.answered(0.020 + 0.003 + 1000 * 1e-6, 0.003, 1000)
    assert speed.bit_s == pytest.approx(1e-6)
    for _ in range(30):
        speed.answered(0.020 + 0.003 + 1000 * 4e-6, 0.003, 1000)
    assert speed.bit_s == pytest.approx(4e-6, rel=1e-3)
    speed.answered(0.01, 0.003, 1000)  # faster than a round trip: next to nothing is left
    assert speed.bit_s is not None and 0 < speed.bit_s < 4e-6


def test_a_link_is_down_after_two_failures_and_tried_again_later() -> None:
    now = [0.0]
    speed = LinkSpeed(0.01, 5.0, lambda: now[0])
    assert speed.may_try and not speed.down
    speed.failed()
    assert not speed.down
    speed.failed()
    assert speed.down and not speed.may_try
    now[0] = 5.0
    assert speed.may_try
    speed.answered(1.0, 0.0, 100)
    assert not speed.down


def test_bits_have_the_heads_of_their_segments() -> None:
    assert [wire_bits(size) for size in (1, 1460, 1461)] == [8 * 41, 8 * 1500, 8 * 1541]
