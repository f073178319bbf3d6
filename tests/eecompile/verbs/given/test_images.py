"""Parameter `data`: what is taken, and what is told of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.in_memory import ImagesInMemory
from eecompile.verbs.given.images import images_given
from passes.errors import InputError

X, Y = np.zeros((20, 3, 4, 4), np.float32), np.arange(20) % 2
SIX = (X, Y, X + 1, Y, X + 2, Y)


def test_names_and_paths_stay_texts() -> None:
    assert images_given("digits") == "digits" and images_given(Path("a/b.npz")) == "a/b.npz"


def loaded(data: Any) -> list[float]:
    given = images_given(data)
    assert isinstance(given, ImagesInMemory)
    found = given.load(0)
    return [float(split.x.mean()) for split in (found.train, found.val, found.test)]


def test_arrays_come_by_name_or_in_order() -> None:
    names = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y")
    assert loaded(SIX) == loaded(list(SIX)) == loaded(dict(zip(names, SIX, strict=True))) == [0, 1, 2]
    assert loaded((X, Y, X + 2, Y)) == [0, 0, 2], "without those of val"
    assert loaded((X.tolist(), Y.tolist(), X + 2, Y)) == [0, 0, 2]


def test_a_dataset_is_taken() -> None:
    given = images_given(SIX)
    assert isinstance(given, ImagesInMemory)
    assert loaded(given.load(0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "not int"),
        ((X, Y), "not 2 things"),
        ({"train_x": X}, "`data` has no train_y, test_x, test_y"),
        ({"train_x": X, "train_y": Y, "test_x": X, "test_y": Y, "valx": X}, "'valx', which is no array"),
    ],
)
def test_what_is_no_data(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        images_given(data)
