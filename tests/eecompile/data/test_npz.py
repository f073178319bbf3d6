"""An ``.npz`` of images: what is read, what is refused, and that nothing in it is run."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.data.npz import load_npz
from eecompile.data.sources import load_data
from passes.errors import InputError

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


def test_damaged_files(tmp_path: Path) -> None:
    whole = Path(npz(tmp_path, arrays())).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 8] ^= 0xFF
    for content, message in ((whole[:-200], "cut short"), (b"", "cut short"), (bytes(flipped), "damaged")):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_data(str(tmp_path / "bad.npz"))


def test_what_is_no_array_in_the_archive_is_refused(tmp_path: Path) -> None:
    path = Path(npz(tmp_path, {key: value for key, value in arrays().items() if key != "val_x"}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("val_x", b"no array")
    with pytest.raises(InputError, match=r"val_x in .* cannot be read"):
        load_npz(path)


HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    "header",
    [
        HEADER[:-20],
        HEADER.replace(b"}", b""),
        HEADER.replace(b"|u1", b"|O"),
        HEADER.replace(b"|u1", b"nonsense"),
        HEADER.replace(b"(2,)", b"(-2,)"),
        HEADER.replace(b"(2,)", b"(2**70,)"),
        HEADER.replace(b"(2,)", b"('a',)"),
        HEADER.replace(b"{", b"{" * 5),
        b"\xff" + HEADER[1:],
        b"",
    ],
)
def test_a_damaged_header_is_refused(header: bytes, tmp_path: Path) -> None:
    path = Path(npz(tmp_path, {key: value for key, value in arrays().items() if key != "val_x"}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "val_x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"12"
        )
    with pytest.raises(InputError, match=r"val_x in .*images\.npz"):
        load_npz(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = Path(npz(tmp_path, arrays()))
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags says that a member is encrypted: APPNOTE of the zip format, 4.4.4.
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for match in re.finditer(re.escape(signature), bytes(data)):
            data[match.start() + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"train_x in .* encrypted"):
        load_npz(path)


@pytest.mark.parametrize("count", [4, np.uint8(9), [10], [[1000]]])
def test_the_number_of_classes_may_be_said(tmp_path: Path, count: Any) -> None:
    dataset = load_npz(Path(npz(tmp_path, change("classes", count))))
    assert (dataset.classes, dataset.classes_declared) == (int(np.max(count)), True)


@pytest.mark.parametrize("count", [0, -1, 4.0, "4"])
def test_what_is_no_number_of_classes(tmp_path: Path, count: Any) -> None:
    with pytest.raises(InputError, match=r"classes in .*images\.npz is not one positive integer"):
        load_npz(Path(npz(tmp_path, change("classes", count))))


def test_undeclared_classes_are_counted_over_all_splits(tmp_path: Path) -> None:
    rare = change("test_y", [0, 1, 2, 3, 0, 1, 2, 3, 0, 6])
    assert load_npz(Path(npz(tmp_path, rare))).classes == 7


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = Path(npz(tmp_path, arrays()))
    assert load_npz(path).hashes == {"images.npz": hashlib.sha256(path.read_bytes()).hexdigest()}
