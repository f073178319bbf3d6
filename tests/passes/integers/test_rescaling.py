"""Integers do what float32 does, and what a core does by multiplier and shift."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from passes.errors import InputError
from passes.integers.program import Rescale
from passes.integers.rescaling import (
    addition_tables,
    as_onnxruntime,
    as_target,
    common_divisor,
    divided,
    fixed_point,
    float32,
    parts,
    to_significand,
)
from passes.number_formats import Requantization

SHIFTS = Requantization(multiplier_bits=0, shift_bits=31)


def rescale(
    factors: list[float], ratios: list[Fraction] | None = None, rule: Requantization = SHIFTS
) -> Rescale:
    found = np.array(factors, np.float32)
    exact = tuple(ratios or [Fraction(float(f)) for f in found])
    return Rescale(found, exact, 100, 0, 255, rule)


def test_sums_are_rounded_to_float32() -> None:
    values = np.concatenate([2**24 + np.arange(100), [0, -1, 2**31 - 1, -(2**31), -(2**24) - 3, 2**56 - 1]])
    np.testing.assert_array_equal(to_significand(values), values.astype(np.float32).astype(np.int64))


@pytest.mark.parametrize("spread", [1.0, 12.0])
def test_the_product_is_that_of_float32(spread: float) -> None:
    rng = np.random.default_rng(0)
    factors = np.exp(rng.normal(-9, spread, 64)).astype(np.float32)
    factors[:8] = 2.0 ** np.arange(-8, 0)  # half of what these make of small sums are ties
    sums = np.concatenate([rng.integers(-(2**31), 2**31, (500, 64)), rng.integers(-300, 300, (500, 64))])
    real = np.rint(sums.astype(np.float32) * factors) + 100
    np.testing.assert_array_equal(as_onnxruntime(sums, rescale(list(factors))), np.clip(real, 0, 255))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e-40, 3e38, -7.25])
def test_parts_are_the_float(value: float) -> None:
    m, e = parts(np.float32(value))
    assert Fraction(m) * Fraction(2) ** e == Fraction(float(np.float32(value)))


def test_a_fraction_is_rounded_as_numpy_does() -> None:
    for value in np.random.default_rng(0).normal(0, 100, 300):
        assert float32(Fraction(value)) == Fraction(float(np.float32(value)))


def test_every_sum_of_an_addition_is_that_of_fused_multiply_adds() -> None:
    rule = rescale([0.37, 1.21])
    step, table, power = addition_tables("add", (128, 3), rule)
    a, b = (Fraction(float(f)) for f in rule.factors)
    rest = float32(100 - float32(a * 128 + float32(b * 3)))
    for x, y in ((0, 0), (255, 255), (17, 200), (128, 3)):
        assert Fraction(step * x + int(table[y])) * Fraction(2) ** power == a * x + float32(b * y + rest)
    with pytest.raises(InputError, match=r"'add' \(Add\) do not fit"):
        addition_tables("add", (128, 3), rescale([1e-20, 1.0]))


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("half-even", [-2, -2, 0, 0, 2, 2]),
        ("half-up", [-2, -1, 0, 1, 2, 3]),
        ("half-away", [-3, -2, -1, 1, 2, 3]),
        ("down", [-3, -2, -1, 0, 1, 2]),
    ],
)
def test_ties_go_where_the_core_says(rounding: str, expected: list[int]) -> None:
    np.testing.assert_array_equal(divided(np.array([-10, -6, -2, 2, 6, 10]), 4, rounding), expected)


def test_a_core_has_its_own_multiplier() -> None:
    rule = Requantization(multiplier_bits=8, shift_bits=20)
    assert fixed_point("c", (Fraction(1, 3),), rule) == ([171], [512])
    assert fixed_point("c", (Fraction(1, 128),), SHIFTS) == ([1], [128])
    assert common_divisor("c", (Fraction(1, 2), Fraction(1, 8)), SHIFTS) == ([4, 1], 8)
    with pytest.raises(InputError, match="'c' only shifts"):
        fixed_point("c", (Fraction(3, 4),), SHIFTS)
    found = as_target("c", np.array([[300]]), rescale([1 / 3], [Fraction(1, 3)], rule))
    assert found.tolist() == [[200]]
