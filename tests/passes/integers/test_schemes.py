"""Schemes: the numbers of a core, by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.errors import InputError
from passes.integers.schemes import SCHEMES, ZERO_POINT, Scheme, scheme
from passes.number_formats import Precision


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_levels_fit_their_bits(name: str) -> None:
    found: Scheme = SCHEMES[name]
    for levels in (found.weights, found.activations):
        assert (levels.high - levels.low).bit_length() <= levels.bits
        assert levels.low < 0 < levels.high


def test_weights_with_zero_points_of_their_own_are_refused_where_they_are_declared() -> None:
    usual = SCHEMES["uint8-channel"]
    with pytest.raises(ValueError, match="weights have the zero point 0"):
        replace(usual, weights=replace(usual.weights, symmetric=False))
    assert not usual.activations.symmetric, "activations may"


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_a_name_says_what_the_weights_are(name: str) -> None:
    found = scheme(name)
    width, step = name.split("-")
    levels = 3 if width == "ternary" else 2 ** int(width.removeprefix("u").removeprefix("int"))
    assert found.activations.symmetric is not width.startswith("u")
    assert found.name == name
    # weights per channel lie around zero, so that the smallest number of two's complement is left out
    assert found.weights.high - found.weights.low + 1 == levels - (step == "channel")
    assert found.weights.per_channel is (step != "pow2")
    assert found.weights.power_of_two is (step == "pow2")
    assert found.activations.power_of_two is (step != "channel")
    assert (found.array is not None) is (step == "analog")
    assert not found.activations.per_channel


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_activations_fit_the_bytes_they_are_stored_in(name: str) -> None:
    for levels in (scheme(name).activations, scheme(name).weights):
        assert 0 <= levels.low + ZERO_POINT <= levels.high + ZERO_POINT <= 255


def test_a_core_reads_and_writes_the_same_numbers() -> None:
    found = SCHEMES["int4-channel"]
    expected = Precision(found.weights, found.activations, found.activations, 32)
    assert found.precision(True) == expected
    assert found.precision(False) == Precision(None, found.activations, found.activations, 32)
    narrow = Scheme("narrow", found.weights, found.activations, bias_bits=16)
    assert narrow.precision(True).bias_bits == 16


@pytest.mark.parametrize(
    ("name", "hint"),
    [("int8-channels", "did you mean 'int8-channel'"), ("float", "known: int2-channel, int3-channel, int4")],
)
def test_an_unknown_scheme_names_those_there_are(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"unknown quantization scheme '{name}'\n{hint}"):
        scheme(name)


def test_only_what_has_weights_runs_in_the_array() -> None:
    found = scheme("ternary-analog")
    assert found.array is not None
    assert (found.array.rows, found.array.converter.low, found.array.converter.high) == (1152, -32, 31)
    assert found.precision(True).array == found.array
    assert found.precision(False).array is None
