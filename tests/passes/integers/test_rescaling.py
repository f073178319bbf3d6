"""Integers do what float32 does, and what a core does by multiplier and shift."""

from __future__ import annotations

from dataclasses import replace
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
    quotients,
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


@pytest.mark.parametrize("step", [0.3, 0.25, 1.7e-5])
def test_products_that_are_divided_are_rounded_twice(step: float) -> None:
    rng = np.random.default_rng(2)
    factors = np.exp(rng.normal(np.log(step) - 5, 3, 64)).astype(np.float32)
    factors[:8] = np.float32(step) * 2.0 ** np.arange(-8, 0)  # ties
    sums = np.concatenate([rng.integers(-(2**31), 2**31, (500, 64)), rng.integers(-300, 300, (500, 64))])
    wanted = sums.astype(np.float32) * factors / np.float32(step)
    rule = replace(rescale(list(factors)), divisor=np.float32(step))
    np.testing.assert_array_equal(as_onnxruntime(sums, rule), np.clip(np.rint(wanted) + 100, 0, 255))
    once = as_onnxruntime(sums, rescale(list(factors / np.float32(step))))
    assert (as_onnxruntime(sums, rule) != once).any() or step == 0.25


def test_a_quotient_is_that_of_float32_in_all_its_bits() -> None:
    rng = np.random.default_rng(3)
    products = rng.integers(-(2**24), 2**24, 4000) << rng.integers(0, 31, 4000)
    products[:2] = (0, 1)
    found, places = quotients(products, 10485761)
    real = [float(Fraction(int(f), 2 ** int(p))) for f, p in zip(found, places, strict=True)]
    want = products.astype(np.float32) / np.float32(10485761)
    np.testing.assert_array_equal(np.array(real, np.float32), want)


@pytest.mark.parametrize(
    ("ratio", "rule"),
    [
        (Fraction(1, 2**32), SHIFTS),
        (Fraction(1, 2**31 * 98), Requantization(0, 31)),
        (Fraction(1, 2**22), Requantization(8, 20)),
        (Fraction(2**31), Requantization(31, 20)),
        (Fraction(2**32), SHIFTS),
    ],
)
def test_shifts_and_multipliers_stay_within_what_the_core_has(ratio: Fraction, rule: Requantization) -> None:
    with pytest.raises(InputError, match="'c' cannot be requantized: its ratio of steps is"):
        fixed_point("c", (ratio,), rule)


def test_what_the_core_just_reaches_is_taken() -> None:
    assert fixed_point("c", (Fraction(1, 2**31),), SHIFTS) == ([1], [2**31])
    assert fixed_point("c", (Fraction(1, 2**30 * 49),), SHIFTS) == ([1], [2**30 * 49])
    assert fixed_point("c", (Fraction(1, 2**40),), Requantization(8, 20)) == ([0], [2**20])
    with pytest.raises(InputError, match="'a' cannot be requantized: its inputs have steps too far apart"):
        common_divisor("a", (Fraction(2**30), Fraction(1, 2**31)), SHIFTS)


def test_a_table_begins_at_the_lowest_byte() -> None:
    rule = rescale([0.37, 1.21])
    signed, unsigned = (addition_tables("add", (3, 3), rule, lowest) for lowest in (-128, 0))
    scale = Fraction(2) ** signed[2], Fraction(2) ** unsigned[2]
    assert [int(v) * scale[0] for v in signed[1][128:]] == [int(v) * scale[1] for v in unsigned[1][:128]]
