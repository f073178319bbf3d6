"""CIFAR and SVHN in their published formats, made here in small."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile.data.sources import load_data
from eecompile.data.torchvision import load_torchvision
from passes.errors import InputError
from tests.eecompile.data.test_npz import Bomb
from tests.needs import WHY_TORCH


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
    pixels = np.repeat(y[:, None], 3072, 1).astype(np.uint8)
    pixels[:, 1024 + 32 * 3 + 5] = 200  # green, row 3, column 5
    pixels[:, 0] = np.arange(len(y)) // classes
    batch = {"data": pixels, label_key: y.tolist()}
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
        assert (split.x[:, 1, 3, 5] == 200).all()
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
    images = np.broadcast_to(labels.astype(np.uint8), (32, 32, 3, 100)).copy()
    images[3, 5, 1] = 200  # row 3, column 5, green
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
        assert (split.x[:, 1, 3, 5] == 200).all()


@pytest.mark.parametrize(
    ("name", "files", "more"),
    [("cifar10", "cifar-10-batches-py/data_batch_1", 6), ("svhn", "train_32x32.mat", 1)],
)
def test_files_that_are_missing_are_named_with_where_to_get_them(
    tmp_path: Path, name: str, files: str, more: int
) -> None:
    pytest.importorskip("torch", reason=WHY_TORCH)
    with pytest.raises(InputError) as caught:
        load_torchvision(name, tmp_path)
    assert caught.value.message == f"{name}: there is no {tmp_path / files} (nor {more} more)"
    assert "download http" in caught.value.hint and str(tmp_path) in caught.value.hint
    assert "EECOMPILE_DATA" in caught.value.hint
    assert list(tmp_path.iterdir()) == [], "nothing is downloaded"


def test_a_pickle_that_is_not_the_published_one_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason=WHY_TORCH)
    from eecompile.data.torchvision_import import import_torchvision

    loader = import_torchvision().datasets.CIFAR10
    write_cifar(tmp_path, loader, "labels", 10, monkeypatch)
    trace = tmp_path / "unpickled"
    for path in (tmp_path / loader.base_folder).iterdir():
        path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(InputError, match="damaged or not the published ones"):
        load_torchvision("cifar10", tmp_path)
    assert not trace.exists()


def test_a_set_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason=WHY_TORCH)
    from eecompile.data.torchvision_import import import_torchvision

    loader = import_torchvision().datasets.CIFAR10
    write_cifar(tmp_path, loader, "labels", 10, monkeypatch)
    dataset = load_torchvision("cifar10", tmp_path, seed=2)
    assert (dataset.name, dataset.classes, dataset.classes_declared) == ("cifar10", 10, True)
    assert dataset.notes == ("50 of the training images serve as validation images (stratified, seed 2)",)
    assert dataset.hashes == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / loader.base_folder).iterdir()
    }
    same, other = (load_torchvision("cifar10", tmp_path, seed).val.x[:, 0, 0, 0] for seed in (2, 3))
    assert np.array_equal(dataset.val.x[:, 0, 0, 0], same) and not np.array_equal(same, other)
