"""Reliability: where bins and thresholds stand in the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.calibration_error import calibration_error
from eecompile.report.reliability import reliability_chart
from tests.eecompile.fabricated_run import samples


def test_points_stand_at_their_means_and_a_calibrated_exit_is_on_the_diagonal() -> None:
    test = samples().test
    sure = np.repeat(np.array([0.4, 0.8], np.float32), 500)
    right = np.concatenate([np.arange(500) < 200, np.arange(500) < 400])
    calibrated = replace(
        test,
        label=np.zeros(1000, np.int32),
        prediction=np.stack([~right] * 3).astype(np.int32),
        probability=np.stack([sure] * 3),
        confidence=np.stack([sure] * 2),
    )
    chart = reliability_chart(calibrated, 0, 0.75)
    assert chart is not None and chart.images == 1000
    assert chart.error == pytest.approx(0, abs=1e-5)
    x0, y0, x1, y1 = chart.diagonal
    for mark in chart.bins:
        along = (mark.x - x0) / (x1 - x0)
        assert mark.y == pytest.approx(y0 + along * (y1 - y0), abs=0.11)
        assert mark.low > mark.y > mark.high, "pixels run downwards"
    ticks = {float(t.label): t.x for t in chart.x_ticks}
    assert chart.bins[0].x == pytest.approx(ticks[0.4], abs=0.11)
    assert chart.bins[0].x < (chart.threshold_x or 0) < chart.bins[1].x
    assert "500 images of probability 0.400 on average: 40.0 % right [35.8, 44.4]" in chart.bins[0].label


def test_a_threshold_on_another_scale_or_of_no_image_is_not_drawn() -> None:
    test = samples().test
    other = replace(test, confidence=test.confidence - 1)
    assert (reliability_chart(other, 0, 0.75) or pytest.fail()).threshold_x is None
    assert (reliability_chart(test, 0, 2.0) or pytest.fail()).threshold_x is None
    assert (reliability_chart(test, 2, None) or pytest.fail()).threshold_x is None
    error = 100 * calibration_error(test.probability[0], test.correct[0])
    assert (reliability_chart(test, 0, None) or pytest.fail()).error == error > 0
    nothing = replace(test, probability=np.full_like(test.probability, np.nan))
    assert reliability_chart(nothing, 0, 0.75) is None
