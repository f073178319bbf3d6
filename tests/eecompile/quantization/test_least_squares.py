"""Steps and zero points: none that was not tried loses less, and 0.0 has an integer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.quantization.least_squares import best_grid, best_scale, best_scales, covering_grid
from passes.number_formats import Levels

Array = NDArray[Any]
BYTES = Levels(-128, 127, 8)
ANYWHERE = Levels(-128, 127, 8, symmetric=False)


def squared_error(values: Array, counts: Array, step: float, levels: Levels) -> float:
    snapped = np.clip(np.rint(values / step), levels.low, levels.high) * step
    return float((counts * (snapped - values) ** 2).sum())


SAMPLES = {
    "normal": np.random.default_rng(0).normal(size=4000),
    "long tails": np.random.default_rng(1).laplace(size=4000),
    "even": np.random.default_rng(2).uniform(-1, 1, 4000),
    "after a Relu": np.maximum(np.random.default_rng(3).normal(size=4000), 0),
    "tiny": np.random.default_rng(4).normal(size=4000) * 1e-9,
}


@pytest.mark.parametrize("sample", sorted(SAMPLES))
@pytest.mark.parametrize("levels", [BYTES, Levels(-7, 7, 4), Levels(-1, 1, 2)], ids=("byte", "4", "ternary"))
def test_no_other_step_loses_less(sample: str, levels: Levels) -> None:
    values = SAMPLES[sample]
    counts = np.random.default_rng(5).integers(1, 9, values.shape)

    def least(steps: Sequence[float]) -> float:
        return min(squared_error(values, counts, float(step), levels) for step in steps)

    shift = Levels(levels.low, levels.high, levels.bits, power_of_two=True)
    power = best_scale(values, counts, shift)
    assert np.log2(power) % 1 == 0
    found = squared_error(values, counts, power, shift)
    assert found == least([2.0**e for e in range(-50, 10)]), "of all powers of two"
    free = squared_error(values, counts, best_scale(values, counts, levels), levels)
    around = np.abs(values).max() / levels.high * np.linspace(0.02, 1.2, 600)
    assert free <= 1.05 * least([float(step) for step in around])
    assert free <= 1.01 * found


def test_values_count_as_often_as_they_occur() -> None:
    values = np.array([1.0, 50.0])
    often = best_scale(values, np.array([10**6, 1]), Levels(-1, 1, 2, power_of_two=True))
    rarely = best_scale(values, np.array([1, 10**6]), Levels(-1, 1, 2, power_of_two=True))
    assert (often, rarely) == (1.0, 64.0)


@pytest.mark.parametrize("levels", [BYTES, Levels(-7, 7, 4, power_of_two=True)], ids=("byte", "4 bits"))
def test_rows_have_each_the_step_it_has_alone(levels: Levels) -> None:
    rows = np.random.default_rng(8).laplace(size=(40, 1500)) * np.geomspace(1e-3, 1e3, 40)[:, None]
    rows[7] = 0
    alone = [best_scale(row, np.ones(row.shape), levels) for row in rows]
    assert best_scales(rows, None, levels) == alone and len(set(alone)) > 15
    counts = np.random.default_rng(9).integers(1, 99, rows.shape)
    assert best_scales(rows, counts, levels) == [
        best_scale(row, count, levels) for row, count in zip(rows, counts, strict=True)
    ]


@pytest.mark.parametrize("power_of_two", [True, False])
def test_nothing_but_zeros_still_has_a_step(power_of_two: bool) -> None:
    step = best_scale(np.zeros(5), np.ones(5), Levels(-128, 127, 8, power_of_two))
    assert np.isfinite(step) and step > 0
    assert best_scale(np.zeros(0), np.ones(0), Levels(-128, 127, 8, power_of_two)) > 0


def asymmetric_error(values: Array, step: float, zero: int, levels: Levels) -> float:
    integers = np.clip(np.rint(values / step) + zero, levels.low, levels.high)
    return float((((integers - zero) * step - values) ** 2).sum())


SHIFTED = {
    "normal around 2": SAMPLES["normal"] + 2,
    "long tails around -1": SAMPLES["long tails"] - 1,
    "mostly negative": np.random.default_rng(6).exponential(size=2000) * -1 + 0.2,
    "after a Relu": SAMPLES["after a Relu"],
}


@pytest.mark.parametrize("power_of_two", [False, True])
@pytest.mark.parametrize("sample", sorted(SHIFTED))
def test_no_other_step_and_zero_point_lose_less(sample: str, power_of_two: bool) -> None:
    values, ones = SHIFTED[sample], np.ones(SHIFTED[sample].shape)
    levels = Levels(-7, 8, 4, power_of_two, symmetric=False)
    step, zero = best_grid(values, ones, levels)
    assert levels.low <= zero <= levels.high
    span = max(values.max(), 0) - min(values.min(), 0)
    steps = 2.0 ** np.arange(-9, 3) if power_of_two else span / 15 * np.linspace(0.1, 1.1, 120)
    least = min(
        asymmetric_error(values, float(s), z, levels)
        for s in steps
        for z in range(levels.low, levels.high + 1)
    )
    assert asymmetric_error(values, step, zero, levels) <= 1.03 * least
    assert (np.log2(step) % 1 == 0) == power_of_two


@pytest.mark.parametrize(
    ("ends", "zero", "step"),
    [
        ((0.0, 5.1), -128, 5.1 / 255),  # a Relu: all levels are for what it lets pass
        ((2.0, 5.1), -128, 5.1 / 255),
        ((-5.1, 0.0), 127, 5.1 / 255),
        ((-1.0, 1.55), -28, 0.01),
        ((0.0, 0.0), -128, 1.0),
        ((-3e38, 3e38), 0, 6e38 / 255),
    ],
)
def test_ranges_are_covered_by_all_levels_and_zero_is_one(
    ends: tuple[float, float], zero: int, step: float
) -> None:
    for found in (covering_grid(*ends, ANYWHERE), best_grid(np.array(ends), np.ones(2), ANYWHERE)):
        assert abs(found[1] - zero) <= 1
        assert found[0] == pytest.approx(step, rel=0.02)
    found = covering_grid(*ends, BYTES)
    assert found[0] == pytest.approx(max(-ends[0], ends[1]) / 127 or 1.0) and found[1] == 0


def test_symmetric_levels_keep_their_zero_point() -> None:
    values = SHIFTED["normal around 2"]
    assert best_grid(values, np.ones(values.shape), BYTES) == (
        best_scale(values, np.ones(values.shape), BYTES),
        0,
    )
