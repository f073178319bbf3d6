"""The embedded digits against scikit-learn's own."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn.datasets import load_digits as sklearn_digits

from eecompile.data.dataset import SPLITS, Dataset
from eecompile.data.digits import load_digits


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def test_half_is_for_training_and_a_quarter_each_for_the_rest(digits: Dataset) -> None:
    assert [len(digits.split(name)) for name in SPLITS] == [898, 449, 450]
    assert digits.train.x.shape[1:] == (1, 8, 8) and digits.train.x.dtype == np.uint8
    whole = {image.tobytes() for name in SPLITS for image in digits.split(name).x}
    assert len(whole) == 1797, "splits overlap or lose images"
    for number in range(10):
        counts = [int((digits.split(name).y == number).sum()) for name in SPLITS]
        for count, share in zip(counts, (0.5, 0.25, 0.25), strict=True):
            assert abs(count - share * sum(counts)) <= 1, "each class is divided alike"


def test_images_are_the_published_ones_brought_to_the_range_of_bytes(digits: Dataset) -> None:
    images, labels = sklearn_digits(return_X_y=True)
    # Half up, in integers: of the 17 values only 8 lies on a half, and its even neighbour is above, too.
    grey = (images.astype(int) * 255 + 8) // 16
    number_of = {image.astype(np.uint8).tobytes(): label for image, label in zip(grey, labels, strict=True)}
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 255)
    for name in SPLITS:
        split = digits.split(name)
        assert [number_of[image.tobytes()] for image in split.x] == split.y.tolist()


def test_it_says_what_it_is(digits: Dataset) -> None:
    assert (digits.name, digits.classes, digits.classes_declared, digits.notes) == ("digits", 10, True, ())
    assert digits.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    images, labels = sklearn_digits(return_X_y=True)
    stored = np.rint(images * 15.9375).astype(np.uint8).tobytes() + labels.astype("<i8").tobytes()
    assert digits.hashes == {"digits": hashlib.sha256(stored).hexdigest()}
