"""Programs of int8 as bytes: the same sums, and integers that are 128 more."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from eecompile.deployment.c_bytes import as_bytes
from passes.confidence import MAX_SOFTMAX
from passes.integers.interpreter import interpret
from passes.integers.program import (
    Average,
    Concatenation,
    Convolution,
    IntegerExit,
    IntegerProgram,
    Maximum,
    Operation,
    Rescale,
    Widening,
    WindowAverage,
)
from passes.integers.read_program import integer_program
from passes.number_formats import MULTIPLIED
from tests.eecompile.deployment.c_networks import two_exits

RULE = Rescale(np.array([0.3], np.float32), (Fraction(3, 10),), -7, -128, 90, MULTIPLIED)
SHAPE = (1, 2, 4, 4)


def operations() -> tuple[Operation, ...]:
    """One operation of each kind that is moved, on int8 in a row."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-9, 9, (2, 2, 2, 2))
    of_sums = np.clip(np.arange(-255 * 4, 255 * 4 + 1) // 12 - 7, -128, 90)
    tables = tuple(np.clip(np.arange(-128, 128) // part - 7, -128, 90) for part in (2, 3))
    kernel: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": ((1, 0), (0, 1))}
    return (
        Convolution("conv", ("x",), "a", weights, np.array([3, -5]), -11, groups=1, rescale=RULE, **kernel),
        Maximum("max", ("a",), "b", (2, 2), **kernel),
        WindowAverage("window", ("b",), "c", (2, 2), zero=-7, padding_counts=True, rescales={4: RULE},
                      tables={4: of_sums}, **kernel),
        Concatenation("join", ("b", "c"), "d", 1, -128, (-7, -7), (RULE, RULE), tables),
        Average("mean", ("d",), "e", -7, RULE),
        Widening("logits", ("e",), "f", -7),
    )  # fmt: skip


def program() -> IntegerProgram:
    shapes: dict[str, tuple[int, ...]] = {"d": (1, 4, 4, 4), "e": (1, 4, 1, 1), "f": (1, 4, 1, 1)}
    for name in "xabc":
        shapes[name] = SHAPE
    last = IntegerExit("final", "f", np.ones(1, np.float32), None, MAX_SOFTMAX)
    return IntegerProgram(
        "image", "x", np.float32(0.5), -11, -128, 127, shapes, operations(), (last,), frozenset("xabcde")
    )


@pytest.mark.parametrize("rounding", ["onnxruntime", "target"])
def test_integers_are_moved_and_sums_are_not(rounding: str) -> None:
    signed, moved = program(), as_bytes(program())
    given = np.random.default_rng(1).integers(-128, 128, (5, *SHAPE[1:]))
    before, after = interpret(signed, given, rounding), interpret(moved, given + 128, rounding)
    for name in "abcde":
        assert np.array_equal(before[name] + 128, after[name]), name
        assert after[name].min() >= 0 and np.unique(before[name]).size > 2, name
    assert np.array_equal(before["f"], after["f"])
    assert (moved.zero, moved.low, moved.high, moved.signed) == (117, 0, 255, frozenset())
    images = np.random.default_rng(2).normal(0, 20, (3, *SHAPE[1:])).astype(np.float32)
    assert np.array_equal(signed.quantized(images) + 128, moved.quantized(images))


def test_programs_of_bytes_stay_as_they_are() -> None:
    plain = integer_program(two_exits("int8-pow2"))
    assert not plain.signed and as_bytes(plain) is plain
