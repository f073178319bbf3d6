"""Costs of batches that are not known, and the bound they give."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.batches.gain import BatchCost, grown, least_core_s, least_s
from eecompile.serving.service import ServiceTime
from tests.eecompile.serving.cores.stages import use
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


def test_the_bound_of_each_core_takes_the_size_that_uses_it_least() -> None:
    """Two images take the npu as long as one in the first stage; of the second nothing is shared."""
    first = [use(2.0, npu=((0.0, 1.0),)), use(3.0, npu=((0.0, 1.0),), bus=((1.0, 3.0),))]
    late = use(4.0, npu=((0.0, 4.0),), dsp=((1.0, 2.0),))
    seconds = np.array([[2.0, 3.0], [4.0, 8.0]])
    times = ServiceTime(seconds, seconds, uses=[first, [late, late.then(late)]])
    leaves = np.array([0, 0, 0, 1])
    assert least_core_s(times, leaves, 1) == {"npu": 1.0 + 4 / 4, "dsp": 1 / 4}
    assert least_core_s(times, leaves, 2) == {"npu": 0.5 + 4 / 4, "dsp": 1 / 4, "bus": 0.0}
    more = grown(times, 3).uses
    assert [one[2].seconds for one in more] == [5.0, 12.0]
    assert more[0][2] == first[1].then(first[0])
