"""IDX files made here in small: plain, gzipped, damaged; and data sets of four of them."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.idx import load_idx, read_idx
from eecompile.data.sources import load_data
from passes.errors import InputError


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_set(folder: Path, **changes: np.ndarray[Any, Any]) -> Path:
    """Write twenty images a class for training and two for testing; arrays of ``changes`` replace some."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 200), ("t10k", 20)):
        y = np.arange(count) % 10
        images = changes.get(f"{prefix}_images", np.broadcast_to(y[:, None, None], (count, 28, 28)))
        labels = changes.get(f"{prefix}_labels", y)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return raw


def test_mnist_plain_and_gzipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    labels = np.arange(40) % 10
    images = np.broadcast_to(labels[:, None, None], (40, 28, 28))
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images[:20]))
    monkeypatch.setenv("EECOMPILE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"no t10k-labels-idx1-ubyte(.|\n)*download"):
        load_data("mnist")
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:20]))
    with pytest.raises(InputError, match="too few"):
        load_data("mnist")  # four images a class: a tenth of them is none
    labels, images = np.repeat(labels, 3), np.repeat(images, 3, axis=0)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    dataset = load_data("mnist")
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [110, 10, 20]
    for split in (dataset.train, dataset.val, dataset.test):
        assert (split.x[:, 0, 5, 5] == split.y).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("short", idx_bytes(np.zeros((4, 2, 2)))[:-1], "holds 15 values, its header says 16"),
        ("text", b"not an idx file", "not an IDX"),
        ("floats", bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "not an IDX"),
        ("cut.gz", gzip.compress(b"x" * 100)[:-9], "cannot be read"),
    ],
    ids=["short", "text", "floats", "gzip"],
)
def test_damaged_idx(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("00 00 08 01  00 00 00 03  07 00 ff", [7, 0, 255]),
        ("00 00 08 02  00 00 00 02  00 00 00 03  01 02 03 04 05 06", [[1, 2, 3], [4, 5, 6]]),
        ("00 00 08 02  00 00 00 00  00 00 00 03", np.zeros((0, 3))),
        ("00 00 08 01  00 00 01 01" + "05" * 257, [5] * 257),
    ],
    ids=["vector", "rows first", "nothing", "lengths from the high byte"],
)
def test_the_format_by_hand(tmp_path: Path, data: str, expected: Any) -> None:
    (tmp_path / "plain").write_bytes(bytes.fromhex(data))
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(bytes.fromhex(data)))
    for name in ("plain", "zipped.gz"):
        found = read_idx(tmp_path / name)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, np.array(expected))
        found[...] = 1  # what is carved of it is moved in place


@pytest.mark.parametrize(
    "data", ["", "00 00 08", "00 01 08 00", "00 00 08 02  00 00 00 01"], ids=["empty", "3", "magic", "header"]
)
def test_what_is_no_idx(tmp_path: Path, data: str) -> None:
    (tmp_path / "file").write_bytes(bytes.fromhex(data))
    with pytest.raises(InputError, match="is not an IDX file of bytes"):
        read_idx(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be read"):
        read_idx(tmp_path)


def test_values_beyond_what_the_header_says_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(idx_bytes(np.zeros((2, 3))) + b"?")
    with pytest.raises(InputError, match="holds 7 values, its header says 6"):
        read_idx(tmp_path / "long")


@pytest.mark.parametrize(
    ("name", "folder", "classes"),
    [("mnist", "MNIST", ("0", "9")), ("fashion_mnist", "FashionMNIST", ("T-shirt/top", "Ankle boot"))],
)
def test_a_set_says_what_it_is(tmp_path: Path, name: str, folder: str, classes: tuple[str, str]) -> None:
    raw = write_set(tmp_path / folder)
    dataset = load_idx(name, tmp_path, seed=3)
    assert (dataset.name, dataset.classes, dataset.classes_declared) == (name, 10, True)
    assert len(dataset.class_names) == 10
    assert (dataset.class_names[0], dataset.class_names[-1]) == classes
    assert dataset.notes == ("20 of the training images serve as validation images (stratified, seed 3)",)
    assert dataset.hashes == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in raw.iterdir()
    }
    other = load_idx(name, tmp_path, seed=4)
    assert np.bincount(dataset.val.y).tolist() == np.bincount(other.val.y).tolist() == [2] * 10


def test_another_seed_takes_other_validation_images(tmp_path: Path) -> None:
    numbers = np.broadcast_to(np.arange(200)[:, None, None], (200, 28, 28))
    write_set(tmp_path / "MNIST", train_images=numbers)
    first, again, other = (set(load_idx("mnist", tmp_path, seed).val.x[:, 0, 0, 0]) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t10k_labels": np.full(20, 10)}, "the t10k labels reach 10, not 9"),
        ({"train_labels": np.zeros(199)}, "train labels in .* has 199 labels for 200 images"),
        ({"train_images": np.zeros((200, 784))}, r"the train images have shape \[200, 784\]"),
        (
            {"t10k_images": np.zeros((0, 28, 28)), "t10k_labels": np.zeros(0)},
            r"the t10k images have shape \[0, 28, 28\]",
        ),
    ],
    ids=["labels", "counts", "rank", "nothing"],
)
def test_files_that_are_no_set(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_set(tmp_path / "MNIST", **changes)
    with pytest.raises(InputError, match=message):
        load_idx("mnist", tmp_path)
