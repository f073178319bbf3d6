"""Pixel rules against plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eecompile.data.preprocess import parse_rule, preprocesses, standardizing
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 3, 4, 6), np.uint8)
UNIT = IMAGES.astype(np.float64) / 255


def only(rule: str, x: NDArray[Any], shape: tuple[int, ...]) -> Preprocess:
    (found,) = preprocesses(rule, x, shape)
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("raw", IMAGES),
        ("unit", UNIT),
        ("signed", 2 * UNIT - 1),
        ("imagenet", (UNIT - MEAN[:, None, None]) / STD[:, None, None]),
        ("mean=0.5,std=0.25", (UNIT - 0.5) / 0.25),
        ("mean=127.5,std=255", UNIT - 0.5),
        ("mean=0,0.5,1,std=1", UNIT - np.array([0, 0.5, 1])[:, None, None]),
    ],
)
def test_rules_on_every_way_of_storing_images(rule: str, expected: NDArray[Any]) -> None:
    kept = IMAGES.copy()
    got = only(rule, IMAGES, (1, 3, 4, 6)).apply(IMAGES)
    assert got.dtype == np.float32 and got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.array_equal(IMAGES, kept)
    to_nhwc = only(rule, IMAGES, (1, 4, 6, 3))
    np.testing.assert_array_equal(to_nhwc.apply(IMAGES), got.transpose(0, 2, 3, 1))
    stored_nhwc = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(only(rule, stored_nhwc, (1, 3, 4, 6)).apply(stored_nhwc), got)
    if rule != "raw":
        as_float = UNIT.astype(np.float32)
        np.testing.assert_allclose(only(rule, as_float, (1, 3, 4, 6)).apply(as_float), expected, atol=1e-5)
        np.testing.assert_array_equal(as_float, UNIT.astype(np.float32))


def test_reversed_channels_get_the_mean_of_their_place() -> None:
    bgr = Preprocess("x", (1.0, 2.0, 3.0), (1.0,), reverse_channels=True)
    np.testing.assert_array_equal(bgr.apply(IMAGES)[:, 0], IMAGES[:, 2].astype(np.float32) - 1)


def test_flat_input() -> None:
    grey = IMAGES[:, :1]
    np.testing.assert_allclose(only("unit", grey, (1, 24)).apply(grey), UNIT[:, 0].reshape(5, 24), atol=1e-6)


numbers = st.floats(0, 1, width=32)


@given(
    st.lists(numbers, min_size=3, max_size=3),
    st.floats(0.01, 300),
    st.sampled_from(["same", "NHWC->NCHW", "NCHW->NHWC", "flatten", "squeeze", "series"]),
    st.sampled_from(["NCHW", "NHWC", "flat"]),
    st.booleans(),
)
def test_json_and_text_round_trip(
    mean: list[float], std: float, order: Any, layout: Any, reverse: bool
) -> None:
    text, mean_pixels, std_pixels = parse_rule(f"mean={','.join(map(str, mean))},std={std}")
    assert parse_rule(text) == (text, mean_pixels, std_pixels)
    original = Preprocess(text, mean_pixels, std_pixels, order, layout, reverse)
    assert Preprocess.from_json(original.to_json()) == original


@pytest.mark.parametrize(
    "rule",
    [
        "imagnet",
        "",
        "mean=1",
        "mean=a,std=1",
        "mean=0,std=0",
        "mean=0,std=-1",
        "mean=nan,std=1",
        "mean=,std=1",
    ],
)
def test_bad_rules(rule: str) -> None:
    with pytest.raises(InputError, match="preprocessing"):
        parse_rule(rule)


def test_close_name_is_proposed() -> None:
    with pytest.raises(InputError, match="did you mean 'imagenet'"):
        parse_rule("imagnet")


GOOD_RECORD = Preprocess("raw", (0.0,), (1.0,)).to_json()


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {**GOOD_RECORD, "extra": 1}, {**GOOD_RECORD, "std": [0]}, {**GOOD_RECORD, "order": "up"}],
)
def test_bad_record(record: object) -> None:
    with pytest.raises(InputError, match="recorded preprocessing"):
        Preprocess.from_json(record)


def test_pixel_rules_refuse_normalized_floats() -> None:
    normalized = (2 * UNIT - 1).astype(np.float32)
    with pytest.raises(InputError, match="`preprocess` raw"):
        preprocesses("unit", normalized, (1, 3, 4, 6))


@pytest.mark.parametrize("white", [255, 1])
def test_images_of_a_network_that_is_yet_to_learn_are_standardized(white: int) -> None:
    x = RNG.integers(0, 128, (50, 3, 4, 6)).astype(np.uint8)
    stored = x if white == 255 else (x / 255).astype(np.float32)
    found = only(standardizing(stored), stored, (1, 3, 4, 6)).apply(stored)
    assert found.mean() == pytest.approx(0, abs=1e-3) and found.std() == pytest.approx(1, abs=1e-3)


def test_floats_that_are_no_pixels_are_taken_as_they_are() -> None:
    assert standardizing(RNG.normal(size=(5, 7)).astype(np.float32)) == "raw"
