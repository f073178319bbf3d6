"""Costs of batches that are not known, and the bound they give."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.batches.gain import BatchCost, grown, least_s
from eecompile.serving.service import ServiceTime
from tests.eecompile.serving.crowds import service


def test_larger_batches_than_are_known_run_as_several() -> None:
    known = ServiceTime(np.array([[2.0, 3.0]]), np.array([[1.0, 1.5]]), 0.5, 0.25)
    more = grown(known, 5)
    assert more.stage_s.tolist() == [[2.0, 3.0, 5.0, 6.0, 8.0]]
    assert more.stage_j.tolist() == [[1.0, 1.5, 2.5, 3.0, 4.0]]
    assert (more.load_s, more.load_j) == (0.5, 0.25)
    assert grown(known, 2) is known
    assert grown(service(3.0), 3).stage_s.tolist() == [[3.0, 6.0, 9.0]]


def test_the_bound_takes_the_cheapest_size_of_each_stage() -> None:
    times = ServiceTime(np.array([[2.0, 3.0, 6.0], [4.0, 9.0, 9.0]]), np.ones((2, 3)))
    leaves = np.array([0, 0, 0, 1])
    assert least_s(times, leaves, 1) == pytest.approx(2 + 4 / 4)
    assert least_s(times, leaves, 2) == pytest.approx(1.5 + 4 / 4)
    assert least_s(times, leaves, 3) == pytest.approx(1.5 + 3 / 4)
    assert BatchCost.of("net", "exits", times).image_s[1] == pytest.approx([4, 4.5, 3])
