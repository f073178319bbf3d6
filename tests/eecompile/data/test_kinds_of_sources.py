"""Data sets in other people's formats: IDX, CIFAR, SVHN and folders of images, made here in small."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.idx import read_idx
from eecompile.data.sources import load_data
from passes.errors import InputError
from tests.needs import WHY_TORCH

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


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


def write_cifar(
    root: Path, loader: Any, label_key: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write a small CIFAR in the published format and let torchvision expect its checksums."""
    folder = root / loader.base_folder
    folder.mkdir()

    def write(name: str, content: dict[str, Any]) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    y = np.arange(10 * classes) % classes
    batch = {"data": np.repeat(y[:, None], 3072, 1).astype(np.uint8), label_key: y.tolist()}
    for kind in ("train_list", "test_list"):
        entries = [[name, write(name, batch)] for name, _ in getattr(loader, kind)]
        monkeypatch.setattr(loader, kind, entries)
    meta = {**loader.meta, "md5": write(loader.meta["filename"], {loader.meta["key"]: ["?"] * classes})}
    monkeypatch.setattr(loader, "meta", meta)


@pytest.mark.parametrize(
    ("name", "label_key", "classes"), [("cifar10", "labels", 10), ("cifar100", "fine_labels", 100)]
)
def test_cifar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, label_key: str, classes: int
) -> None:
    pytest.importorskip("torch", reason=WHY_TORCH)
    from eecompile.data.torchvision_import import import_torchvision

    loader = getattr(import_torchvision().datasets, name.upper())
    with pytest.raises(InputError, match=r"there is no .*(.|\n)*download https"):
        load_data(name, root=tmp_path)
    write_cifar(tmp_path, loader, label_key, classes, monkeypatch)
    dataset = load_data(name, root=tmp_path)
    batches = len(loader.train_list)
    assert (len(dataset.train), len(dataset.val)) == (9 * classes * batches, classes * batches)
    assert len(dataset.test) == 10 * classes and dataset.classes == classes
    for split in (dataset.train, dataset.val, dataset.test):
        assert split.x.shape[1:] == (3, 32, 32) and (split.x[:, 2, 7, 9] == split.y).all()
    victim = tmp_path / loader.base_folder / loader.test_list[0][0]
    victim.write_bytes(victim.read_bytes() + b"!")
    with pytest.raises(InputError, match="damaged or not the published ones"):
        load_data(name, root=tmp_path)


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="scipy is not installed")
    pytest.importorskip("torch", reason=WHY_TORCH)
    from eecompile.data.torchvision_import import import_torchvision

    loader = import_torchvision().datasets.SVHN
    labels = np.arange(100) % 10 + 1  # SVHN calls the digit zero 10
    images = np.broadcast_to(labels.astype(np.uint8), (32, 32, 3, 100))
    expected = {}
    for split, (url, filename, _) in loader.split_list.items():
        scipy_io.savemat(tmp_path / filename, {"X": images, "y": labels[:, None]})
        md5 = hashlib.md5((tmp_path / filename).read_bytes(), usedforsecurity=False).hexdigest()
        expected[split] = [url, filename, md5]
    monkeypatch.setattr(loader, "split_list", expected)
    dataset = load_data("svhn", root=tmp_path)
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [90, 10, 100]
    for split in (dataset.train, dataset.val, dataset.test):
        assert split.x.shape[1:] == (3, 32, 32) and (split.x[:, 0, 3, 4] % 10 == split.y).all()


def write_images(folder: Path, count: int, value: int, mode: str = "RGB") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        colour = value if mode == "L" else (value, 0, number)
        Image.new(mode, (6, 4), colour).save(folder / f"{number:03}.png")


def test_folder_of_classes_is_divided_per_class(tmp_path: Path) -> None:
    for value, name in enumerate(("bird", "cat", "dog")):
        write_images(tmp_path / "pets" / name, 20, value)
    dataset = load_data(str(tmp_path / "pets"))
    assert dataset.class_names == ("bird", "cat", "dog") and dataset.name == "pets"
    assert [np.bincount(dataset.split(name).y).tolist() for name in ("train", "val", "test")] == [
        [14] * 3,
        [3] * 3,
        [3] * 3,
    ]
    for name in ("train", "val", "test"):
        split = dataset.split(name)
        assert split.x.shape[1:] == (3, 4, 6) and (split.x[:, 0, 2, 2] == split.y).all()
    assert "70/15/15" in dataset.notes[0]
    before = dataset.hashes["pets"]
    Image.new("RGB", (6, 4), (9, 9, 9)).save(tmp_path / "pets" / "cat" / "000.png")
    assert load_data(str(tmp_path / "pets")).hashes["pets"] != before


def test_folder_with_splits_and_grey_images(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("test", 5)):
        for value, name in enumerate(("no", "yes")):
            write_images(tmp_path / split / name, count, value, "L")
    dataset = load_data(str(tmp_path))
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [36, 4, 10]
    assert dataset.test.x.shape == (10, 1, 4, 6) and (dataset.test.x[:, 0, 0, 0] == dataset.test.y).all()
    write_images(tmp_path / "val" / "yes", 3, 1, "L")
    assert load_data(str(tmp_path)).val.y.tolist() == [1, 1, 1]
    write_images(tmp_path / "val" / "maybe", 1, 1, "L")
    with pytest.raises(InputError, match="maybe is a class that the training images do not have"):
        load_data(str(tmp_path))


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 class folders"):
        load_data(str(tmp_path / "empty"))
    write_images(tmp_path / "half" / "train" / "a", 1, 0)
    with pytest.raises(InputError, match="has train but no test"):
        load_data(str(tmp_path / "half"))
    for name in "ab":
        write_images(tmp_path / "sizes" / name, 10, 0)
    odd = tmp_path / "sizes" / "b" / "odd.png"
    Image.new("RGB", (7, 4)).save(odd)
    with pytest.raises(InputError, match=r"odd.png is 7x4 but .*000.png is 6x4"):
        load_data(str(tmp_path / "sizes"))
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).save(odd)
    odd.write_bytes(odd.read_bytes()[:70])
    with pytest.raises(InputError, match=r"odd.png cannot be read as an image"):
        load_data(str(tmp_path / "sizes"))
