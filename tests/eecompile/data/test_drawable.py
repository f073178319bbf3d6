"""Stored images as pixels: whatever order, scale and size they have; what is no image is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.data.drawable import MAX_SIDE, drawable
from eecompile.runtime.preprocess import AxisOrder, Layout, Preprocess

RNG = np.random.default_rng(0)


def rule(order: AxisOrder = "same", layout: Layout = "NCHW", white: float | None = 255.0) -> Preprocess:
    return Preprocess("raw", (0.0,), (1.0,), order, layout, white=white)


def made(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, (2, *shape)).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "order", "layout", "first"),
    [
        ((1, 28, 28), "same", "NCHW", True),
        ((3, 32, 32), "same", "NCHW", True),
        ((1, 8, 8), "same", "NCHW", True),
        ((32, 32, 3), "same", "NHWC", False),
        ((32, 32, 3), "NHWC->NCHW", "NCHW", False),
        ((3, 32, 32), "NCHW->NHWC", "NHWC", True),
        ((3, 3, 3 * 4), "same", "NCHW", None),
        ((1, 28, 28), "flatten", "flat", True),
        ((28, 28, 1), "flatten", "flat", False),
        ((1, 28, 28), "squeeze", "flat", True),
    ],
)
def test_channels_come_last(
    shape: tuple[int, ...], order: AxisOrder, layout: Layout, first: bool | None
) -> None:
    images = made(*shape)
    pixels, note = drawable(images, rule(order, layout))
    if first is None:
        assert len(pixels) == 0 and "look like series" in note
        return
    assert np.array_equal(pixels, images.transpose(0, 2, 3, 1) if first else images)
    assert note == ""


@pytest.mark.parametrize(
    ("shape", "order", "said"),
    [
        ((64,), "same", "vectors of 64 numbers"),
        ((2, 16, 16), "same", "2 channels"),
        ((4, 16, 16), "same", "4 channels"),
        ((1, 1, 128), "same", "1 x 128 values look like series"),
        ((1, 9, 128), "squeeze", "9 x 128 values look like series"),
        ((1, 3, 3), "same", "3 x 3 values look like series"),
    ],
)
def test_what_is_no_image_is_not_drawn(shape: tuple[int, ...], order: AxisOrder, said: str) -> None:
    pixels, note = drawable(made(*shape), rule(order))
    assert pixels.shape == (0, 1, 1, 1) and said in note


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floats_are_drawn_on_the_scale_they_are_stored_on(white: float) -> None:
    images = made(1, 8, 8)
    pixels, note = drawable(images.astype(np.float32) * np.float32(white / 255), rule(white=white))
    assert np.array_equal(pixels, images.transpose(0, 2, 3, 1)) and note == ""


def test_normalized_floats_are_stretched_and_that_is_said() -> None:
    images = np.linspace(-2, 3, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    pixels, note = drawable(images, rule(white=None))
    assert (pixels.min(), pixels.max()) == (0, 255) and "normalized values" in note
    flat, _ = drawable(np.full((1, 1, 8, 8), 1.5, np.float32), rule(white=None))
    assert not flat.any(), "all alike: nothing to divide by"


def test_large_images_are_averaged_down_and_that_is_said() -> None:
    images = np.zeros((1, 3, 224, 130), np.uint8)
    images[:, 0, :4, :4] = 200
    pixels, note = drawable(images, rule())
    assert pixels.shape == (1, 56, 32, 3) and max(pixels.shape) <= MAX_SIDE
    assert pixels[0, 0, 0].tolist() == [200, 0, 0] and not pixels[0, 1:].any()
    assert note == "made 4 times smaller, from 224 x 130 pixels"
