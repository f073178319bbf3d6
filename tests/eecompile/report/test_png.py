"""PNG files, read back by another library."""

from __future__ import annotations

import io

import numpy as np
import pytest

from eecompile.report.png import png


@pytest.mark.parametrize(("shape", "mode"), [((8, 8, 1), "L"), ((32, 20, 3), "RGB"), ((1, 1, 3), "RGB")])
def test_a_file_holds_the_pixels(shape: tuple[int, int, int], mode: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow, of the extra 'images', reads the file back")
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = image.open(io.BytesIO(png(pixels)))
    found.load()
    assert (found.format, found.mode) == ("PNG", mode)
    assert np.array_equal(np.asarray(found).reshape(shape), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)]
)
def test_what_is_no_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no image"):
        png(pixels)
