"""Which data fits which model, and what is said where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eecompile.data.dataset import Dataset, Split
from eecompile.data.fit import fit_to_model
from eecompile.runtime.preprocess import axis_orders, reorder
from passes.errors import InputError


def in_memory(shape: tuple[int, ...], classes: int, declared: bool = True) -> Dataset:
    split = Split(np.zeros((classes, *shape), np.uint8), np.arange(classes))
    return Dataset("toy", split, split, split, classes, declared)


@pytest.mark.parametrize(
    ("stored", "wanted", "orders"),
    [
        ((3, 6, 5), (3, 6, 5), ["same"]),
        ((6, 5, 3), (3, 6, 5), ["NHWC->NCHW"]),
        ((3, 6, 5), (6, 5, 3), ["NCHW->NHWC"]),
        ((3, 3, 3), (3, 3, 3), ["same", "NHWC->NCHW", "NCHW->NHWC"]),
        ((1, 8, 8), (64,), ["flatten"]),
        ((1, 8, 7), (8, 7), ["squeeze"]),
        ((8, 7, 1), (8, 7), ["squeeze"]),
        ((1, 1, 64), (1, 64), ["series"]),
        ((1, 6, 64), (6, 64), ["squeeze"]),
        ((3, 8, 7), (8, 7), []),
        ((1, 8, 8), (3, 8, 8), []),
    ],
)
def test_axis_orders_lead_to_the_wanted_shape(
    stored: tuple[int, ...], wanted: tuple[int, ...], orders: list[str]
) -> None:
    found = axis_orders(stored, wanted)
    assert found == orders
    x = np.arange(2 * int(np.prod(stored))).reshape(2, *stored)
    assert all(reorder(x, order).shape == (2, *wanted) for order in found)
    if found == ["squeeze"]:
        assert np.array_equal(reorder(x, "squeeze").reshape(-1), x.reshape(-1))
    if found == ["NHWC->NCHW"]:
        assert reorder(x, found[0])[1, 2, 3, 4] == x[1, 3, 4, 2]


def test_fit_says_what_it_transposes_and_leaves_the_arrays_alone() -> None:
    dataset = in_memory((6, 5, 3), classes=4)
    fitted = fit_to_model(dataset, (1, 3, 6, 5), 4)
    assert fitted.train.x is dataset.train.x
    assert fitted.notes == ("images are stored as NHWC, the model takes NCHW: transposed",)
    assert fit_to_model(in_memory((3, 6, 5), 4), (1, 3, 6, 5), 4).notes == ()


@pytest.mark.parametrize(
    ("dataset", "shape", "classes", "message"),
    [
        (
            in_memory((1, 28, 28), 10),
            (1, 1, 32, 32),
            10,
            r"\[1, 28, 28\], the model takes \[1, 32, 32\]\nresize",
        ),
        (in_memory((1, 32, 32), 10), (1, 3, 32, 32), 10, "one is grey and the other has colour"),
        (in_memory((64,), 10), (1, 3, 32, 32), 10, "of the kind the model was trained on"),
        (in_memory((1, 8, 8), 10), (1, 1, 8, 8), 2, "8 of 10 train labels lie outside the model's 2 classes"),
        (in_memory((1, 8, 8), 10), (1, 1, 8, 8), 1000, "has 10 classes, the model has 1000"),
        (in_memory((1, 8, 8), 10, declared=False), (1, 1, 8, 8), 1000, "classes=1000"),
    ],
)
def test_fit_refuses(dataset: Dataset, shape: tuple[int, ...], classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_to_model(dataset, shape, classes)


@pytest.mark.parametrize("seen", [9, 5])
def test_a_class_that_never_occurs_is_a_note(seen: int) -> None:
    fitted = fit_to_model(in_memory((1, 8, 8), seen, declared=False), (1, 1, 8, 8), 10)
    (note,) = fitted.notes
    assert f"{seen} of the model's 10 classes" in note


def test_of_more_than_half_of_the_classes_something_must_be_seen() -> None:
    with pytest.raises(InputError, match="labels reach only 3, the model has 10 classes"):
        fit_to_model(in_memory((1, 8, 8), 4, declared=False), (1, 1, 8, 8), 10)


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_label_beyond_the_model_is_found_in_every_split(name: str) -> None:
    good = in_memory((1, 8, 8), 4)
    fields: dict[str, Any] = {name: Split(good.val.x, np.array([0, 3, 4, 7]))}
    with pytest.raises(InputError, match=rf"2 of 4 {name} labels .* \(image 2 has label 4\)"):
        fit_to_model(replace(good, **fields), (1, 1, 8, 8), 4)


@pytest.mark.parametrize(
    ("stored", "wanted", "note"),
    [
        ((1, 8, 8), (64,), "images [1, 8, 8] are flattened for the model's input [64]"),
        ((64,), (64,), ""),
        ((1, 1, 64), (1, 64), "data of shape [1, 64] are taken as stored, as channels and steps"),
        ((3, 6, 5), (6, 5, 3), "images are stored as NCHW, the model takes NHWC: transposed"),
        ((3, 3, 3), (3, 3, 3), ""),
    ],
)
def test_what_is_done_to_images_is_a_note(
    stored: tuple[int, ...], wanted: tuple[int, ...], note: str
) -> None:
    """Where images fit as they are, other orders that fit too are no news."""
    assert fit_to_model(in_memory(stored, 4), (1, *wanted), 4).notes == ((note,) if note else ())


@pytest.mark.parametrize(
    ("stored", "wanted", "hint"),
    [
        ((3, 32, 32), (1, 32, 32), "one is grey"),
        ((32, 32, 3), (1, 32, 32), "one is grey"),
        ((1, 28, 28), (3, 32, 32), "resize"),
        ((3, 28, 28), (3, 32, 32), "resize"),
        ((1, 8, 8), (63,), "of the kind"),
    ],
)
def test_the_hint_is_for_the_likely_reason(
    stored: tuple[int, ...], wanted: tuple[int, ...], hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit_to_model(in_memory(stored, 4), (1, *wanted), 4)
    assert hint in caught.value.hint


def test_there_and_back_is_a_view_of_the_same_images() -> None:
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    there = reorder(x, "NCHW->NHWC")
    assert there[1, 2, 3, 0] == x[1, 0, 2, 3], "channel 0 of row 2, column 3"
    back = reorder(there, "NHWC->NCHW")
    assert np.array_equal(back, x) and np.shares_memory(back, x)
    assert reorder(x, "same") is x
    assert np.array_equal(reorder(x, "flatten"), np.arange(120).reshape(2, 60))
