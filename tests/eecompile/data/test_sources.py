"""Loading: what each source gives, and that bad data is one helpful message."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.data.dataset import Dataset, Split, carve_val
from eecompile.data.fit import axis_orders, fit_to_model, reorder
from eecompile.data.sources import load_data
from passes.errors import InputError
from tests.shared_files import SHARED

Arrays = dict[str, NDArray[Any]]


def arrays(train: int = 40, val: int = 10, test: int = 10, classes: int = 4) -> Arrays:
    """Small images whose first pixel is their label."""
    result: Arrays = {}
    for name, count in (("train", train), ("val", val), ("test", test)):
        y = np.arange(count) % classes
        x = np.random.default_rng(count).integers(0, 255, (count, 3, 6, 5), np.uint8)
        x[:, 0, 0, 0] = y
        result |= {f"{name}_x": x, f"{name}_y": y}
    return result


def npz(folder: Path, content: Mapping[str, Any]) -> str:
    path = folder / "images.npz"
    np.savez(path, **content)
    return str(path)


def pixels_match_labels(split: Split) -> bool:
    return bool((split.x[:, 0, 0, 0] == split.y).all())


def in_memory(shape: tuple[int, ...], classes: int, declared: bool = True) -> Dataset:
    split = Split(np.zeros((classes, *shape), np.uint8), np.arange(classes))
    return Dataset("toy", split, split, split, classes, declared)


def test_digits_are_the_same_whatever_the_seed() -> None:
    first, second = load_data("digits"), load_data("digits", seed=5)
    assert [len(first.train), len(first.val), len(first.test)] == [898, 449, 450]
    assert first.hashes == second.hashes
    assert np.array_equal(first.test.x, second.test.x)
    assert first.train.x.shape[1:] == (1, 8, 8) and first.train.x.dtype == np.uint8
    assert (first.train.x.min(), first.train.x.max()) == (0, 255)
    whole = {image.tobytes() for split in (first.train, first.val, first.test) for image in split.x}
    assert len(whole) == 1797, "splits overlap or lose images"
    assert np.bincount(first.test.y).min() >= 43


def test_npz_with_all_splits(tmp_path: Path) -> None:
    content = arrays()
    dataset = load_data(npz(tmp_path, content))
    assert (dataset.name, dataset.classes, dataset.classes_declared, dataset.notes) == (
        "images",
        4,
        False,
        (),
    )
    for name in ("train", "val", "test"):
        assert np.array_equal(dataset.split(name).x, content[f"{name}_x"])
        assert dataset.split(name).y.dtype == np.int64
    assert list(dataset.hashes) == ["images.npz"]


def test_npz_without_val_is_carved_without_mixing_up_labels(tmp_path: Path) -> None:
    content = {key: value for key, value in arrays(train=9000).items() if not key.startswith("val")}
    spec = npz(tmp_path, content)
    dataset, again, other = load_data(spec), load_data(spec), load_data(spec, seed=1)
    assert (len(dataset.train), len(dataset.val)) == (8100, 900)
    assert np.bincount(dataset.val.y).tolist() == [225] * 4
    assert pixels_match_labels(dataset.train) and pixels_match_labels(dataset.val)
    together = {image.tobytes() for split in (dataset.train, dataset.val) for image in split.x}
    assert together == {image.tobytes() for image in content["train_x"]}
    assert np.array_equal(dataset.val.x, again.val.x)
    assert not np.array_equal(dataset.val.x, other.val.x)
    assert "900 of the training images" in dataset.notes[0]


def test_carving_does_not_hold_the_images_twice() -> None:
    x = np.zeros((100, 1, 2, 2), np.uint8)
    train, val = carve_val(Split(x, np.arange(100) % 2), seed=0)
    assert np.shares_memory(train.x, x) and len(train) + len(val) == 100


def test_npz_grey_images_gain_a_channel_and_wide_integers_become_pixels(tmp_path: Path) -> None:
    content = {
        key: value[:, 0].astype(np.int32) if key[-1] == "x" else value for key, value in arrays().items()
    }
    dataset = load_data(npz(tmp_path, content))
    assert dataset.train.x.shape == (40, 1, 6, 5) and dataset.train.x.dtype == np.uint8


def change(key: str, value: Any) -> Arrays:
    return {**arrays(), key: np.asarray(value)}


FLOATS = {key: value.astype(np.float32) if key[-1] == "x" else value for key, value in arrays().items()}
WITH_NAN = {**FLOATS, "val_x": np.full((10, 3, 6, 5), np.nan, np.float32)}
BAD_NPZ: list[tuple[Arrays, str]] = [
    (change("train_x", np.array([None] * 40, object)), "train_x .* Python objects"),
    (change("train_y", np.array([[1], [1, 2]], object)), "train_y .* Python objects"),
    ({"x_train": np.zeros(3)}, "has no train_x, train_y, test_x, test_y .*it has: x_train"),
    ({key: value for key, value in arrays().items() if key != "val_y"}, "has no val_y"),
    (change("train_y", np.zeros(39, int)), "39 labels for 40 images"),
    (change("test_y", np.zeros(10)), "test_y .* not integers"),
    (change("test_y", np.eye(10, dtype=int)), "not one class number per image(.|\n)*argmax"),
    (change("val_y", np.arange(10) - 1), "label -1"),
    (change("val_y", np.full(10, 2**63, np.uint64)), "label 9223372036854775808"),
    (change("test_x", np.zeros((0, 3, 6, 5), np.uint8)), "test_x .* is empty"),
    (change("test_x", np.zeros((10, 1, 3, 6, 5), np.uint8)), "test_x .* has shape"),
    (change("test_x", np.uint8(3)), "test_x .* has shape"),
    (change("test_x", np.zeros((10, 3, 6, 6), np.uint8)), r"test_x uint8 images of shape \[3, 6, 6\]"),
    (change("test_x", np.zeros((10, 3, 6, 5), np.float32)), "test_x float32 images"),
    (change("test_x", np.full((10, 3, 6, 5), "a")), "not pixels"),
    (WITH_NAN, "val_x .* NaN"),
    ({**FLOATS, "val_x": np.full((10, 3, 6, 5), 1e300)}, "val_x .* infinite"),
    (change("classes", 3), "3 classes but holds the label 3"),
    (change("classes", [4, 4]), "not one positive integer"),
]


@pytest.mark.parametrize(("content", "message"), BAD_NPZ)
def test_bad_npz_names_the_array(tmp_path: Path, content: Arrays, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_data(npz(tmp_path, content))
    assert caught.value.hint and "images.npz" in caught.value.message


class Bomb:
    """Leaves a file behind when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "unpickled"
    content = change("train_x", np.array([Bomb(trace)] * 40, object))
    with pytest.raises(InputError, match="Python objects"):
        load_data(npz(tmp_path, content))
    disguised = tmp_path / "disguised.npz"
    disguised.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(InputError, match=r"not an \.npz"):
        load_data(str(disguised))
    assert not trace.exists()


def test_damaged_files_and_wrong_kinds_of_path(tmp_path: Path) -> None:
    whole = Path(npz(tmp_path, arrays())).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 8] ^= 0xFF
    for content, message in ((whole[:-200], "cut short"), (b"", "cut short"), (bytes(flipped), "damaged")):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_data(str(tmp_path / "bad.npz"))
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for spec, message in (
        (str(tmp_path / "folder.npz"), "is a folder"),
        (str(tmp_path / "notes.txt"), "neither an .npz"),
        (str(tmp_path / "absent.npz"), "there is no file"),
        ("a" * 5000, "cannot be read: File name too long"),
        ("", "empty"),
        ("cifar01", "did you mean 'cifar10'"),
    ):
        with pytest.raises(InputError, match=message):
            load_data(spec)


@pytest.mark.parametrize(
    ("stored", "wanted", "orders"),
    [
        ((3, 6, 5), (3, 6, 5), ["same"]),
        ((6, 5, 3), (3, 6, 5), ["NHWC->NCHW"]),
        ((3, 6, 5), (6, 5, 3), ["NCHW->NHWC"]),
        ((3, 3, 3), (3, 3, 3), ["same", "NHWC->NCHW", "NCHW->NHWC"]),
        ((1, 8, 8), (64,), ["flatten"]),
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


def test_a_class_that_never_occurs_is_a_note() -> None:
    fitted = fit_to_model(in_memory((1, 8, 8), 9, declared=False), (1, 1, 8, 8), 10)
    assert "9 of the model's 10 classes" in fitted.notes[0]


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no shared images (EECOMPILE_SHARED)")
def test_real_images() -> None:
    cifar = load_data(str(SHARED / "data" / "cifar10_lossless_subset.npz"))
    assert [len(cifar.split(name)) for name in ("train", "val", "test")] == [8068, 611, 1000]
    assert cifar.classes == 10 and cifar.train.x.dtype == np.uint8
    fashion = load_data("fashion_mnist", root=SHARED / "data")
    assert fashion.train.x.shape == (54000, 1, 28, 28) and len(fashion.test) == 10000
    assert np.bincount(fashion.val.y).tolist() == [600] * 10
