"""Requests of one network and of several."""

from __future__ import annotations

import numpy as np

from eecompile.serving.requests import merged, stream


def test_each_draws_an_image_and_takes_the_stages_of_that() -> None:
    leaves = np.array([0, 2, 1], np.int64)
    found = stream(np.arange(3000.0), leaves, 0, 5.0, 4, 9.0)
    np.testing.assert_array_equal(found.stages, leaves[found.image] + 1)
    np.testing.assert_array_equal(found.deadline_s, found.arrival_s + 5)
    assert set(found.image) == {0, 1, 2} and set(found.model) == {4} and set(found.priority) == {9.0}
    assert abs(np.bincount(found.image) / 3000 - 1 / 3).max() < 0.04
    np.testing.assert_array_equal(found.image, stream(np.arange(3000.0), leaves, 0, 5.0, 4).image)
    assert (found.image != stream(np.arange(3000.0), leaves, 1, 5.0, 4).image).any()
    assert (found.image != stream(np.arange(3000.0), leaves, 0, 5.0, 4, source=1).image).any(), "apart"


def test_several_are_in_order_of_arrival() -> None:
    nothing = np.zeros(1, np.int64)
    found = merged(
        [stream(np.array([0.0, 2.0]), nothing, 0), stream(np.array([1.0, 2.0]), nothing, 0, model=1)]
    )
    assert found.arrival_s.tolist() == [0, 1, 2, 2]
    assert found.model.tolist() == [0, 1, 0, 1], "of equals the first network"
    assert len(found) == 4
