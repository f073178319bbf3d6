"""Streams draw apart, and all of a load end together."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.arrivals import Arrivals, Periodic, Poisson
from eecompile.serving.streams import RequestStream, ServingLoad
from passes.errors import InputError


def load(*arrivals: Arrivals, requests: int = 1000) -> ServingLoad:
    """Return streams of one network, due after .1, .2, ... seconds."""
    streams = [RequestStream(f"s{n}", 0, one, 0.1 * (n + 1), 1.0 + n) for n, one in enumerate(arrivals)]
    return ServingLoad(streams, requests, [0])


@pytest.mark.parametrize("pattern", [Poisson(30), Periodic(30)])
def test_four_cameras_are_not_in_step(pattern: Arrivals) -> None:
    times = load(*[pattern] * 4).times(0)
    assert len(np.unique(np.concatenate(times))) == sum(map(len, times))
    again = load(*[pattern] * 4).times(0)
    for one, other in zip(times, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert load(pattern).times(1)[0][0] != times[0][0]


def test_the_mix_is_the_same_from_beginning_to_end() -> None:
    """The slow stream would go on for hours after the fast one has sent all."""
    times = load(Poisson(1000), Poisson(10), requests=10_000).times(0)
    assert len(times[0]) == 10_000 and len(times[1]) == pytest.approx(100, abs=40)
    assert abs(times[0][-1] - times[1][-1]) < 1.0
    with pytest.raises(InputError, match="s1 sends nothing in the"):
        load(Poisson(1000), Periodic(1e-4), requests=100).times(0)


def test_each_stream_has_its_deadline_priority_and_images() -> None:
    asked = load(Poisson(10), Poisson(10))
    times = asked.times(0)
    found = asked.requests_at(times, [np.arange(500) % 2], 0)
    assert (np.diff(found.arrival_s) >= 0).all() and len(found) == sum(map(len, times))
    for n in range(2):
        of = found.source == n
        np.testing.assert_array_equal(found.arrival_s[of], times[n])
        np.testing.assert_allclose((found.deadline_s - found.arrival_s)[of], 0.1 * (n + 1))
        assert (found.priority[of] == 1.0 + n).all() and (found.model[of] == 0).all()
    first, second = (found.image[found.source == n][:50] for n in range(2))
    assert (first != second).any(), "cameras see different things"
