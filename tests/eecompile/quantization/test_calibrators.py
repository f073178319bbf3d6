"""Each calibrator gives the grid of its definition, on values whose distribution is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.quantization.calibration_names import CALIBRATIONS, ENTROPY, LEAST_SQUARES, MINMAX, PERCENTILE
from eecompile.quantization.calibrators import bins_of, counts_sizes, grid_of
from eecompile.quantization.histograms import Seen
from eecompile.quantization.least_squares import best_grid
from passes.number_formats import Levels
from passes.state import QuantGrid

Array = NDArray[Any]
SYMMETRIC = Levels(-128, 127, 8)
ANYWHERE = Levels(-128, 127, 8, symmetric=False)
# Half a million values around 1, of which four lie far away: 99.999 % are within the others.
VALUES = np.concatenate([np.random.default_rng(0).normal(1, 1, 500_000), [30.0, 40.0, -25.0, -22.0]])


def counted(calibration: str, levels: Levels, values: Array) -> Seen:
    """Count ``values`` in numpy, in the bins that a calibrator asks for."""
    values = np.abs(values) if counts_sizes(calibration, levels) else values
    low, high = float(values.min()), float(values.max())
    bins = bins_of(calibration, low, high)
    return Seen(low, high, *(np.histogram(values, *bins) if bins else (np.zeros(0), np.zeros(0))))


def seen(calibration: str, levels: Levels) -> Seen:
    return counted(calibration, levels, VALUES)


def grid(calibration: str, levels: Levels) -> QuantGrid:
    return grid_of(calibration, seen(calibration, levels), levels)


@pytest.mark.parametrize("levels", [SYMMETRIC, ANYWHERE], ids=["symmetric", "asymmetric"])
def test_each_gives_another_grid(levels: Levels) -> None:
    found = [grid(name, levels) for name in CALIBRATIONS]
    assert len({(g.scale, g.zero_point) for g in found}) == len(CALIBRATIONS)
    for one in found:
        assert (one.low, one.high, one.dtype) == (0, 255, "uint8")
        assert (one.zero_point == 128) == levels.symmetric


def test_minmax_reaches_from_the_least_to_the_largest() -> None:
    assert grid(MINMAX, SYMMETRIC).scale[0] == pytest.approx(40 / 127)
    found = grid(MINMAX, ANYWHERE)
    assert found.scale[0] == pytest.approx(65 / 255)
    assert found.zero_point == round(25 / 65 * 255)


def test_percentile_holds_99_999_percent() -> None:
    """Of half a million values five are left out, whether on one side or on both."""
    top = grid(PERCENTILE, SYMMETRIC).scale[0] * 127
    assert 3 <= (np.abs(VALUES) > top).sum() <= 7
    found = grid(PERCENTILE, ANYWHERE)
    low, high = ((end - found.zero_point) * found.scale[0] for end in (0, 255))
    below, above = (np.count_nonzero(beyond) for beyond in (low > VALUES, high < VALUES))
    assert 1 <= below <= 4 and 1 <= above <= 4


def test_least_squares_is_over_the_histogram() -> None:
    for levels in (SYMMETRIC, ANYWHERE):
        counted = seen(LEAST_SQUARES, levels)
        centers = (counted.edges[:-1] + counted.edges[1:]) / 2
        step, zero = best_grid(centers, counted.counts, levels)
        found = grid(LEAST_SQUARES, levels)
        assert (found.scale[0], found.zero_point) == (step, 128 + zero)


def divergence(counts: Array, reach: int) -> float:
    """Return what is lost where only the ``reach`` bins on both sides of 0 are kept, in 128 levels."""
    middle = len(counts) // 2
    first, last = middle - reach, min(middle + reach + 1, len(counts))
    kept = counts[first:last].astype(np.float64)
    real = kept.copy()
    real[0] += counts[:first].sum()
    real[-1] += counts[last:].sum()
    merged = len(kept) // 128
    coarse = np.zeros(len(kept))
    for level in range(128):
        part = slice(level * merged, (level + 1) * merged)
        total = kept[part].sum() + (kept[128 * merged :].sum() if level == 127 else 0)
        if real[part].any():
            coarse[part] = int(total / (real[part] > 0).sum())

    def smooth(x: Array) -> Array:
        empty = x == 0
        taken = 1e-4 * empty.sum() / (~empty).sum()
        return np.asarray(np.where(empty, 1e-4, x - taken))

    p, q = smooth(real), smooth(coarse)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def test_entropy_loses_least_information() -> None:
    found = seen(ENTROPY, SYMMETRIC)
    middle, width = len(found.counts) // 2, found.edges[1] - found.edges[0]
    losses = {reach: divergence(found.counts, reach) for reach in range(64, middle + 1)}
    best = min(losses, key=lambda reach: losses[reach])
    assert 64 < best < middle, "neither all nor as little as possible is kept"
    for levels in (SYMMETRIC, ANYWHERE):
        reach = grid(ENTROPY, levels).scale[0] * (127 if levels.symmetric else 255 / 2)
        assert abs(reach - best * width) <= 1.01 * width


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("value", [0.0, 1e-30, 3.0, -3.0, 3e38])
@pytest.mark.parametrize("levels", [SYMMETRIC, ANYWHERE], ids=["symmetric", "asymmetric"])
def test_what_is_one_number_has_a_grid_that_holds_it(name: str, value: float, levels: Levels) -> None:
    found = grid_of(name, counted(name, levels, np.full(9, value)), levels)
    step = found.scale[0]
    integer = np.clip(np.rint(value / step) + found.zero_point, found.low, found.high)
    assert np.isfinite(np.float32(step)) and step > 0
    assert abs((integer - found.zero_point) * step - value) <= 0.02 * abs(value)
