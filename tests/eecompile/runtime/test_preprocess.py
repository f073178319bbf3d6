"""Images as users hold them become what the recorded rule makes of the stored ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eecompile.data.preprocess import preprocesses
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 5), np.uint8)
UNIT = PIXELS.astype(np.float32) / np.float32(255)
LAST = np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1))
STORED = {"uint8": PIXELS, "0 to 255": PIXELS.astype(np.float32), "0 to 1": UNIT}
FIRST, LAST_SHAPE = (3, 4, 5), (4, 5, 3)


def recorded(rule: str, stored: Any, wanted: tuple[int, ...]) -> Preprocess:
    (found,) = preprocesses(rule, stored, (1, *wanted))
    return Preprocess.from_json(found.to_json())


@pytest.mark.parametrize("rule", ["unit", "imagenet"])
@pytest.mark.parametrize("wanted", [FIRST, LAST_SHAPE])
@pytest.mark.parametrize("kind", STORED)
def test_bytes_mean_the_same_however_the_images_of_the_run_were_stored(
    rule: str, wanted: tuple[int, ...], kind: str
) -> None:
    stored = STORED[kind]
    made = recorded(rule, stored, wanted)
    expected = made.apply(stored)
    np.testing.assert_array_equal(made.model_input(stored, wanted), expected)
    np.testing.assert_allclose(made.model_input(PIXELS, wanted), expected, atol=1e-5)
    assert made.model_input(PIXELS, wanted).dtype == np.float32


@pytest.mark.parametrize("wanted", [FIRST, LAST_SHAPE])
def test_channels_may_come_first_though_the_images_of_the_run_have_them_last(wanted: tuple[int, ...]) -> None:
    made = recorded("imagenet", LAST, wanted)
    expected = made.apply(LAST)
    np.testing.assert_array_equal(made.model_input(LAST, wanted), expected)
    np.testing.assert_array_equal(made.model_input(PIXELS, wanted), expected)


def test_vectors_and_series_come_as_they_were_stored() -> None:
    grey = PIXELS[:, :1]
    for wanted in ((20,), (4, 5)):
        made = recorded("unit", grey, wanted)
        np.testing.assert_array_equal(made.model_input(grey, wanted), made.apply(grey))
        with pytest.raises(InputError, match=r"takes \[N, 1, 4, 5\]"):
            made.model_input(made.apply(grey), wanted)


NORMAL = (2 * UNIT - 1).astype(np.float32)


@pytest.mark.parametrize(
    ("stored", "images", "message"),
    [
        (PIXELS, PIXELS[:0], "a batch of no images"),
        (PIXELS, PIXELS[0], r"images have shape \[3, 4, 5\].*\n.*images\[None\]"),
        (PIXELS, PIXELS[..., :4], r"images have shape \[3, 3, 4, 4\], the network takes \[N, 3, 4, 5\]"),
        (PIXELS, LAST, r"images have shape \[3, 4, 5, 3\], the network takes \[N, 3, 4, 5\]"),
        (LAST, PIXELS[..., :4], r"takes \[N, 4, 5, 3\] or \[N, 3, 4, 5\]"),
        (PIXELS, PIXELS.astype(np.int64), "images are int64\n.*uint8"),
        (PIXELS, UNIT.astype(np.float16), "images are float16"),
        (PIXELS, PIXELS > 9, "images are bool"),
        (NORMAL, PIXELS, "floats that are no pixels\n.*normalized"),
    ],
)
def test_images_that_do_not_fit_are_named(stored: Any, images: Any, message: str) -> None:
    made = recorded("raw", stored, FIRST)
    with pytest.raises(InputError, match=message):
        made.model_input(images, FIRST)


def test_the_images_of_the_user_stay_as_they_are() -> None:
    made = recorded("imagenet", UNIT, FIRST)
    kept = UNIT.copy()
    made.model_input(UNIT, FIRST)
    np.testing.assert_array_equal(UNIT, kept)


@pytest.mark.parametrize("key", ["shape", "white"])
def test_a_record_from_before_shapes_were_kept_is_refused(key: str) -> None:
    record = recorded("unit", PIXELS, FIRST).to_json()
    del record[key]
    with pytest.raises(InputError, match=r"recorded preprocessing cannot be read.*\nmake the run again"):
        Preprocess.from_json(record)
