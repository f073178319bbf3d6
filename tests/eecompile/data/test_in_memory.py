"""Images in memory are those of the file that holds the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.in_memory import NAME, ImagesInMemory
from eecompile.data.sources import load_data
from tests.eecompile.small_models import write_images


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, Any]:
    with np.load(write_images(tmp_path / "images.npz")) as found:
        return dict(found)


@pytest.mark.parametrize("val", [True, False])
def test_arrays_are_split_as_the_file_is(arrays: dict[str, Any], val: bool, tmp_path: Path) -> None:
    kept = {name: values for name, values in arrays.items() if val or not name.startswith("val")}
    before = {name: values.copy() for name, values in kept.items()}
    np.savez(tmp_path / "kept.npz", **kept)
    found, file = load_data(ImagesInMemory(kept), 3), load_data(str(tmp_path / "kept.npz"), 3)
    for name in ("train", "val", "test"):
        assert np.array_equal(found.split(name).x, file.split(name).x)
        assert np.array_equal(found.split(name).y, file.split(name).y)
    assert (found.classes, found.classes_declared, found.name) == (file.classes, False, NAME)
    assert all(np.array_equal(kept[name], before[name]) for name in kept), "the user's arrays stay"


def test_a_hash_for_each_array_tells_type_shape_and_values(arrays: dict[str, Any]) -> None:
    first = ImagesInMemory(arrays).load(0).hashes
    assert set(first) == set(arrays)
    assert ImagesInMemory({**arrays, "test_x": arrays["test_x"].copy(order="F")}).load(0).hashes == first
    other = arrays["test_x"].copy()
    other[0, 0, 0, 0] += 1
    changed = ImagesInMemory({**arrays, "test_x": other}).load(0).hashes
    assert {name for name in first if changed[name] != first[name]} == {"test_x"}


def test_a_dataset_is_taken_as_it_is_and_written_as_a_file(arrays: dict[str, Any], tmp_path: Path) -> None:
    dataset = ImagesInMemory({**arrays, "classes": np.array(7)}).load(0)
    given = ImagesInMemory(dataset)
    assert given.load(5) is dataset and str(given) == dataset.name
    unknown = ImagesInMemory(replace(dataset, hashes={})).load(5)
    assert unknown.hashes == {name: dataset.hashes[name] for name in arrays}, (
        "its images are told from others"
    )
    given.write(tmp_path / "again.npz")
    again = load_data(str(tmp_path / "again.npz"))
    assert again.classes == 7 and np.array_equal(again.test.x, dataset.test.x)
