"""What is known of all requests at once."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.crowd import Crowd
from eecompile.serving.outlook import outlook
from eecompile.serving.requests import merged, stream
from tests.eecompile.serving.crowds import plain_outlook, service
from tests.eecompile.serving.test_outlook import TIMES, drawn


def test_each_request_waits_as_its_image_and_network_say() -> None:
    confidence, leaves = drawn(500)
    seen, short = outlook(TIMES, confidence, leaves), service(9.0)
    own = stream(np.arange(50.0), leaves, 0, 8.0, 0, 3.0)
    other = stream(np.array([4.5]), np.zeros(1, np.int64), 0, 5.0, 1)
    requests = merged([own, other])
    crowd = Crowd(requests, [TIMES, short], [seen, plain_outlook(short)], [confidence, np.zeros((0, 1))])
    found = crowd.waiting()
    of = requests.model == 0
    np.testing.assert_array_equal(found.expected_s[1, of], seen.expect(1, confidence[0, requests.image[of]]))
    np.testing.assert_array_equal(found.expected_s[0, of], np.full(50, seen.mean[0]))
    np.testing.assert_array_equal(found.mean_s[:, of], np.repeat(seen.mean[:, None], 50, 1))
    assert found.true_s is not None
    np.testing.assert_allclose(found.true_s[0, of], np.array([1, 3, 7])[requests.stages[of] - 1])
    np.testing.assert_allclose(found.true_s[1, of], np.array([0, 2, 6])[requests.stages[of] - 1])
    assert found.stage_s[:, 0].tolist() == [1, 2, 4] and set(found.job_s[2, of]) == {seen.mean[0]}
    assert found.deadline_s[2, 0] == 8 and found.priority[0, 0] == 3
    np.testing.assert_array_equal(found.likely_s[1, of], seen.likely(1, confidence[0, requests.image[of]]))
    assert set(found.likely_s[0, of]) == {seen.halves[0][0]}
    alone = found.at((0, ~of))
    assert [float(one[0]) for one in (alone.job_s, alone.mean_s, alone.stage_s)] == [9, 9, 9]
    assert alone.arrival_s == pytest.approx(4.5)
    assert np.isinf(found.stage_s[1:, ~of]).all(), "stages that it lacks"
    assert found.at((np.array([1, 2]), np.array([0, 0]))).stage_s == pytest.approx([2, 4])
