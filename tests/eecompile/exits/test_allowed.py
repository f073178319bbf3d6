from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.allowed import first_allowed, most_lost, neighbour_mean


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


def test_the_first_of_a_ranking_is_found_however_far_behind() -> None:
    lost = np.arange(5000)[::-1]
    for limit, expected in ((4999, 0), (100, 4899), (0, 4999)):
        assert first_allowed(np.arange(5000), lost, lost, lambda a, _, most=limit: a <= most) == expected  # type: ignore[misc]
    assert first_allowed(np.arange(5000), lost, lost, lambda a, _: a < 0) is None
