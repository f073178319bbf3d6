"""Reliability: bins and calibration error worked out by hand, and where they stand in the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.statistics import wilson_interval
from eecompile.report.reliability import bins_of, calibration_error, reliability_chart
from tests.eecompile.fabricated_run import samples


def test_bins_hold_equal_counts_by_rising_probability() -> None:
    probability = np.array([0.9, 0.5, 0.6, 0.8], np.float32)
    correct = np.array([True, False, True, False])
    low, high = bins_of(probability, correct, 2)
    assert (low.count, high.count) == (2, 2)
    assert [low.sure, high.sure] == pytest.approx([0.55, 0.85])
    assert low.right == high.right == 0.5
    assert (low.low, low.high) == wilson_interval(1, 2)
    # |.5 - .55| and |.5 - .85|, each of half of the images
    assert calibration_error((low, high)) == pytest.approx(0.2)


def test_equal_probabilities_stay_together_and_those_without_are_left_out() -> None:
    probability = np.array([1, 1, 1, 1, 1, 0.5, np.nan, np.nan], np.float32)
    found = bins_of(probability, np.ones(8, bool), 4)
    assert [b.count for b in found] == [1, 5]
    assert bins_of(np.full(3, np.nan, np.float32), np.ones(3, bool)) == ()


def test_ten_bins_of_a_thousand_images_hold_a_hundred_each() -> None:
    test = samples().test
    assert [b.count for b in bins_of(test.probability[0], test.correct[0])] == [100] * 10


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
    nothing = replace(test, probability=np.full_like(test.probability, np.nan))
    assert reliability_chart(nothing, 0, 0.75) is None
