"""Splits and their checks: carving against counts by hand, bad arrays against their messages."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eecompile.data.dataset import (
    Dataset,
    Split,
    carve_val,
    checked_images,
    checked_labels,
    evenly,
    sha256_of,
    stratified_order,
)
from passes.errors import InputError


def numbered(y: NDArray[np.int64]) -> Split:
    """Return images that hold their label and their number."""
    return Split(np.stack([y, np.arange(len(y))], axis=1).astype(np.float32), y)


def test_carving_does_not_hold_the_images_twice() -> None:
    x = np.zeros((100, 1, 2, 2), np.uint8)
    train, val = carve_val(Split(x, np.arange(100) % 2), seed=0)
    assert np.shares_memory(train.x, x) and len(train) + len(val) == 100


def test_carving_moves_many_images_with_their_labels() -> None:
    """More images than are moved at once."""
    count = 10_000
    whole = numbered(np.arange(count) % 3)
    train, val = carve_val(replace(whole, x=whole.x.copy()), seed=4)
    assert np.bincount(val.y).tolist() == [333, 333, 333], "a tenth of 3334, 3333 and 3333"
    numbers = [split.x[:, 1].astype(int) for split in (train, val)]
    assert sorted(np.concatenate(numbers)) == list(range(count))
    for split, found in zip((train, val), numbers, strict=True):
        assert (np.diff(found) > 0).all(), "in the order they were in"
        assert (whole.x[found] == split.x).all() and (whole.y[found] == split.y).all()


@pytest.mark.parametrize(("per_class", "taken"), [(6, 1), (14, 1), (16, 2), (100, 10)])
def test_a_tenth_of_each_class_is_taken_to_the_nearest(per_class: int, taken: int) -> None:
    train, val = carve_val(numbered(np.repeat([0, 1], per_class)), seed=0)
    assert np.bincount(val.y).tolist() == [taken, taken]
    assert np.bincount(train.y).tolist() == [per_class - taken] * 2


def test_too_few_to_carve_from_is_refused() -> None:
    with pytest.raises(InputError, match="8 training images are too few") as caught:
        carve_val(numbered(np.repeat([0, 1], 4)), seed=0)
    assert "val_x and val_y" in caught.value.hint


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_parts_hold_every_image_once_and_each_class_by_its_share(
    labels: list[int], weights: list[int], seed: int
) -> None:
    y = np.array(labels, np.int64)
    shares = tuple(weight / sum(weights) for weight in weights)
    parts = stratified_order(y, shares, seed)
    assert sorted(itertools.chain(*(part.tolist() for part in parts))) == list(range(len(y)))
    assert all((np.diff(part) > 0).all() for part in parts)
    for label in set(labels):
        count = labels.count(label)
        for number in range(1, len(parts)):
            so_far = sum(int((y[part] == label).sum()) for part in parts[:number])
            assert abs(so_far - sum(shares[:number]) * count) <= 0.5 + 1e-9
    again = stratified_order(y, shares, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_another_seed_divides_otherwise() -> None:
    y = np.zeros(100, np.int64)
    (first, _), (second, _) = (stratified_order(y, (0.5, 0.5), seed) for seed in (0, 1))
    assert not np.array_equal(first, second)


@given(st.integers(1, 500), st.integers(1, 60))
def test_evenly_takes_ends_and_equal_steps(total: int, count: int) -> None:
    values = np.arange(total)
    found = evenly(values, count)
    if total <= count:
        assert found is values
        return
    assert len(found) == count and found[0] == 0
    assert count == 1 or found[-1] == total - 1
    steps = np.diff(found)
    assert count == 1 or steps.max() - steps.min() <= 1


def test_evenly_takes_of_every_class_of_a_sorted_set() -> None:
    assert np.bincount(evenly(np.repeat(np.arange(10), 100), 50)).tolist() == [5] * 10


def test_a_hash_is_that_of_a_file_or_of_pieces(tmp_path: Path) -> None:
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == abc, "FIPS 180-4, example of one block"
    assert sha256_of([b"a", memoryview(b"bc")]) == abc


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (np.zeros((2, 1, 3, 3), np.uint8), np.uint8),
        (np.full((2, 1, 3, 3), 255, np.int64), np.uint8),
        (np.full((2, 1, 3, 3), 256, np.int32), np.float32),
        (np.full((2, 1, 3, 3), -1, np.int8), np.float32),
        (np.zeros((2, 5), np.float64), np.float32),
        (np.zeros((2, 1, 3, 3), np.float16), np.float32),
    ],
)
def test_images_become_bytes_or_floats_of_the_same_value(given_: NDArray[Any], expected: type) -> None:
    found = checked_images(given_, "here")
    assert found.dtype == expected
    assert found.shape == given_.shape and (found == given_).all()


def test_images_of_the_right_kind_are_not_copied_and_grey_ones_gain_a_channel() -> None:
    for dtype in (np.uint8, np.float32):
        x = np.zeros((2, 4, 3), dtype)
        found = checked_images(x, "here")
        assert found.shape == (2, 1, 4, 3) and np.shares_memory(found, x)
        assert checked_images(found, "here") is found


LATE_NAN = np.zeros((5000, 2), np.float32)
LATE_NAN[4500, 1] = np.nan


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 2), bool), "here has values of type bool, which are not pixels"),
        (np.zeros((2, 2), complex), "type complex128"),
        (np.zeros(4, np.uint8), r"here has shape \[4\]"),
        (np.zeros((1,) * 5, np.uint8), r"here has shape \[1, 1, 1, 1, 1\]"),
        (np.zeros((3, 0, 4, 4), np.uint8), r"here is empty \(shape \[3, 0, 4, 4\]\)"),
        (LATE_NAN, r"here holds NaN or infinite values \(in images 4096 to"),
        (np.full((2, 2), -np.inf, np.float32), "in images 0 to"),
        (np.full((2, 2), 1e39), "infinite"),
    ],
)
def test_what_cannot_be_images(x: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        checked_images(x, "here")
    assert caught.value.hint


@pytest.mark.parametrize(
    "y", [np.array([2, 0, 1], np.uint8), np.array([[2], [0], [1]], np.int32), np.array([2, 0, 1], ">i8")]
)
def test_labels_become_int64(y: NDArray[Any]) -> None:
    found = checked_labels(y, 3, "here")
    assert found.dtype == np.int64 and found.dtype.isnative and found.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(3), "here has labels of type float64, not integers"),
        (np.zeros(3, bool), "labels of type bool"),
        (np.eye(3, dtype=int), r"here has shape \[3, 3\]"),
        (np.zeros((3, 1, 1), int), r"here has shape \[3, 1, 1\]"),
        (np.zeros(4, int), "here has 4 labels for 3 images"),
        (np.array([0, -2, 1]), "here holds the label -2"),
        (np.array([0, 2**31, 1]), "here holds the label 2147483648"),
    ],
)
def test_what_cannot_be_labels(y: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        checked_labels(y, 3, "here")
    assert caught.value.hint


def test_the_ends_of_the_range_of_labels_are_labels() -> None:
    assert checked_labels(np.array([0, 2**31 - 1]), 2, "here").tolist() == [0, 2**31 - 1]
    assert len(checked_labels(np.zeros(0, int), 0, "here")) == 0


def test_a_note_is_added_and_the_arrays_stay() -> None:
    train, val, test = (numbered(np.arange(count)) for count in (3, 2, 1))
    dataset = Dataset("toy", train, val, test, 3, notes=("first",))
    noted = dataset.with_note("second")
    assert noted.notes == ("first", "second") and dataset.notes == ("first",)
    assert [noted.split(name) for name in ("train", "val", "test")] == [train, val, test]
    assert all(noted.split(name).x is dataset.split(name).x for name in ("train", "val", "test"))
    with pytest.raises(KeyError):
        dataset.split("validation")
