"""Numbers as C has them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from eecompile.deployment.c_constants import Constants, comment, floating, integer
from passes.errors import InputError
from passes.integers.program import Addition, Rescale
from passes.number_formats import MULTIPLIED, ONNXRUNTIME, TARGET, Requantization


def rescale(*ratios: float, rule: Requantization = MULTIPLIED) -> Rescale:
    """Return a rescaling onto a byte around 128."""
    factors = np.array(ratios, np.float32)
    return Rescale(factors, tuple(Fraction(float(f)) for f in factors), 128, 0, 255, rule)


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (-(2**31), "(-2147483647 - 1)"), (2**31, "INT64_C(2147483648)"), (-3, "-3")],
)
def test_integers_are_constant_expressions_of_their_width(value: int, text: str) -> None:
    assert integer(value) == text


def test_floats_are_exact() -> None:
    value = np.float32(0.1)
    assert np.float32(float.fromhex(floating(value).rstrip("f"))) == value and floating(value).endswith("f")


def test_names_end_no_comment() -> None:
    assert comment("a/b */ ??/ é\n") == "a_b __ ___ __"


def test_a_rescaling_in_both_roundings() -> None:
    constants = Constants()
    rule = rescale(0.75, 2.0)
    emulated = constants.rescale("op_0", "conv", rule, ONNXRUNTIME)
    assert emulated == "{EMULATED, 2, op_0_multipliers, op_0_shifts, NULL, 0, 128, 0, 255}"
    assert "op_0_multipliers[2] = {\n    3, 1}" in constants.source()
    assert "op_0_shifts[2] = {\n    2, -1}" in constants.source()
    assert constants.size == 2 * 4 + 2 * 2
    assert "extern const int16_t op_0_shifts[2];" in constants.header()
    shifts = Requantization(0, 31)
    third = Rescale(np.ones(1, np.float32), (Fraction(1, 3),), 0, 0, 255, shifts)
    found = Constants().rescale("op_1", "average", third, TARGET)
    assert found == "{HALF_UP, 1, op_1_multipliers, NULL, op_1_divisors, 0, 0, 0, 255}", "it divides"


def test_what_is_divided_too_names_the_divisor_and_shifts_by_its_power() -> None:
    constants = Constants()
    rule = replace(rescale(0.75), divisor=np.float32(0.375))
    found = constants.rescale("op_0", "hidden", rule, ONNXRUNTIME)
    assert found == "{EMULATED, 1, op_0_multipliers, op_0_shifts, NULL, 3, 128, 0, 255}"
    assert "op_0_shifts[1] = {\n    -1}" in constants.source(), "3 * 2^-2 over 3 * 2^-3"


def test_steps_too_far_apart_are_refused_by_name() -> None:
    op = Addition("add_0", ("a", "b"), "c", (128, 128), rescale(1e30, 1e-30))
    for rounding in (ONNXRUNTIME, TARGET):
        with pytest.raises(InputError, match=r"'?add_0"):
            Constants().addition("op_0", op, 4, rounding)
