from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.allowed import cheapest_allowed, most_lost, neighbour_mean


def test_most_lost_is_the_last_allowed_count() -> None:
    assert most_lost(lambda lost, gained: lost - gained <= 2, 4, 5).tolist() == [2, 3, 4, 5, 5]
    assert most_lost(lambda lost, gained: lost + 1 <= gained, 2, 5).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("axis", [0, 1])
def test_the_mean_is_over_those_neighbours_that_there_are(axis: int) -> None:
    values = np.random.default_rng(0).random((6, 6))
    found = neighbour_mean(values, 2, axis)
    for at in range(6):
        near = values.take(range(max(0, at - 2), min(6, at + 3)), axis)
        assert found.take(at, axis) == pytest.approx(near.mean(axis=axis))


def test_the_cheapest_is_found_however_far_behind_and_of_equals_the_first() -> None:
    lost, all_ = np.arange(5000)[::-1], np.ones(5000, bool)
    cost = np.repeat(np.arange(50.0), 100)
    for limit, expected in ((4999, 0), (100, 4899), (0, 4999)):
        found = cheapest_allowed(cost, all_, lost, lost, lambda a, _, most=limit: a <= most)  # type: ignore[misc]
        assert found == expected
    assert cheapest_allowed(cost, all_, lost, lost, lambda a, _: a < 0) is None
    assert cheapest_allowed(cost, ~all_, lost, lost, lambda a, _: a >= 0) is None
    falling = cost[::-1].copy()
    assert cheapest_allowed(falling, all_, lost, lost, lambda a, _: a >= 0) == 4900, (
        "the first of the last 100"
    )
    odd = np.arange(5000) % 2 == 1
    assert cheapest_allowed(falling, odd, lost, lost, lambda a, _: a >= 0) == 4901
    draw = np.random.default_rng(1)
    for _ in range(20):
        values, fine = draw.integers(0, 30, 20_000).astype(float), draw.random(20_000) < 0.0002
        among = draw.random(20_000) < 0.7
        both = np.flatnonzero(among & fine)
        cheapest = int(both[np.argmin(values[both])]) if len(both) else None
        assert cheapest_allowed(values, among, fine, fine, lambda a, _: a) == cheapest
