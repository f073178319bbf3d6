"""CIFAR-10, CIFAR-100 and SVHN through torchvision's loaders; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eecompile.data.dataset import Dataset, Split, carve_val, checked_labels, sha256_of
from eecompile.data.torchvision_import import import_torchvision
from passes.errors import InputError

_CLASS_OF = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}
_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10}


def load_torchvision(name: str, root: Path, seed: int = 0) -> Dataset:
    """Read ``cifar10``, ``cifar100`` or ``svhn`` from ``root``: images [N, 3, 32, 32] uint8.

    The CIFAR files are pickles. torchvision compares each with its published checksum before it
    reads it, and that check is what makes it safe: it is never switched off here.

    Raises:
        InputError: Files missing or damaged, or torchvision not installed.
    """
    datasets = import_torchvision().datasets
    loader = getattr(datasets, _CLASS_OF[name])
    files = _files(name, loader, root)
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError(
            f"{name}: there is no {missing[0]}" + (f" (nor {len(missing) - 1} more)" if missing[1:] else ""),
            _where_to_get(name, loader, root),
        )
    try:
        train, val = carve_val(_split(name, loader, root, True), seed)
        test = _split(name, loader, root, False)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        # torchvision's own message proposes an option that this project does not have.
        raise InputError(
            f"{name}: the files in {root} are damaged or not the published ones",
            _where_to_get(name, loader, root),
        ) from error
    return Dataset(
        name=name,
        train=train,
        val=val,
        test=test,
        classes=_CLASSES[name],
        description=f"{_CLASS_OF[name]}, 32x32 RGB, torchvision layout",
        notes=(f"{len(val)} of the training images serve as validation images (stratified, seed {seed})",),
        hashes={path.name: sha256_of(path) for path in files},
    )


def _files(name: str, loader: Any, root: Path) -> list[Path]:
    if name == "svhn":
        return [root / loader.split_list[split][1] for split in ("train", "test")]
    names = [entry[0] for entry in (*loader.train_list, *loader.test_list)] + [loader.meta["filename"]]
    return [root / loader.base_folder / filename for filename in names]


def _where_to_get(name: str, loader: Any, root: Path) -> str:
    other = "or name another folder with EECOMPILE_DATA"
    if name == "svhn":
        urls = " and ".join(loader.split_list[split][0] for split in ("train", "test"))
        return f"download {urls} into {root}, {other}"
    return f"download {loader.url} and unpack it in {root}, {other}"


def _split(name: str, loader: Any, root: Path, train: bool) -> Split:
    if name == "svhn":
        data = loader(str(root), split="train" if train else "test", download=False)
        x, labels = data.data, data.labels
    else:
        data = loader(str(root), train=train, download=False)
        x, labels = data.data.transpose(0, 3, 1, 2), np.asarray(data.targets)
    y = checked_labels(labels, len(x), f"{name} in {root}")
    return Split(x, y)
