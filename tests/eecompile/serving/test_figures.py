"""ServingFigures of what happened."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.serving.figures import capacity, figures, interval, over_seeds
from eecompile.serving.outcome import ServingOutcome
from tests.eecompile.serving.test_policies import CROWD


def test_figures_are_what_happened() -> None:
    """Latencies 4, 5 and 18 seconds; the last one was due at 16."""
    outcome = ServingOutcome(np.array([4.0, 6.0, 20.0]), 9.0, 3.0, 2, 1, spills=1, refused=4, peak_bits=800)
    found = figures(CROWD, outcome, np.array([True, False, True]))
    assert (found.mean_s, found.p50_s) == pytest.approx((9.0, 5.0))
    assert found.p99_s == pytest.approx(np.percentile([4, 5, 18], 99))
    assert (found.missed, found.accuracy) == pytest.approx((1 / 3, 2 / 3))
    assert (found.throughput, found.utilisation, found.energy_j) == pytest.approx((3 / 20, 9 / 20, 1.0))
    slow = np.array([4 / 4, 5 / 2, 18 / 3])
    assert found.fairness == pytest.approx(slow.sum() ** 2 / (3 * (slow**2).sum()))
    assert (found.interruptions, found.loads) == pytest.approx((1 / 3, 2 / 3))
    assert (found.spills, found.refused, found.peak_memory) == pytest.approx((1 / 3, 4 / 3, 100))
    assert figures(CROWD, outcome, None, warm_up=0.34).mean_s == pytest.approx(11.5), (
        "the first is not counted"
    )


def test_intervals_are_those_of_student() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx(
        (2.0, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5)
    )
    assert interval([4.0]).low is None
    outcome = ServingOutcome(np.array([4.0, 6.0, 20.0]), 9.0, 3.0, 2, 1)
    kept = over_seeds([figures(CROWD, outcome)] * 2)
    assert "accuracy" not in kept and kept["mean_s"].low == pytest.approx(9.0)


def test_capacity_is_where_it_ends() -> None:
    asked: list[float] = []

    def keeps(rate: float) -> bool:
        asked.append(rate)
        return rate <= 73.0

    assert capacity(keeps, 1.0, 100.0) == pytest.approx(73.0, rel=0.006)
    assert len(asked) < 15
    assert capacity(lambda rate: rate < 0, 1.0, 100.0) == 0.0
