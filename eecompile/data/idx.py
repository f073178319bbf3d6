"""MNIST and Fashion-MNIST in torchvision's folder layout, read without torchvision.

torchvision reads only the unpacked files; the ones people download are gzipped. The format is a few
lines, so both are read here and the core does not need torch for them.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import Dataset, Split, carve_val, checked_labels, sha256_of
from passes.errors import InputError

_GARMENTS = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
}
_UINT8 = 8


def load_idx(name: str, root: Path, seed: int = 0) -> Dataset:
    """Read ``mnist`` or ``fashion_mnist``: images [N, 1, 28, 28] uint8.

    Raises:
        InputError: Files missing (the message says which, where they belong and where to get
            them) or damaged.
    """
    folder = root / _FOLDERS[name] / "raw"
    hashes: dict[str, str] = {}
    train = _read_split(name, folder, "train", hashes)
    test = _read_split(name, folder, "t10k", hashes)
    train, val = carve_val(train, seed)
    return Dataset(
        name=name,
        train=train,
        val=val,
        test=test,
        classes=10,
        class_names=tuple(_GARMENTS.split(", ")) if name == "fashion_mnist" else tuple("0123456789"),
        description=f"{_FOLDERS[name]}, 28x28 grey",
        notes=(f"{len(val)} of the training images serve as validation images (stratified, seed {seed})",),
        hashes=hashes,
    )


def _read_split(name: str, folder: Path, prefix: str, hashes: dict[str, str]) -> Split:
    arrays = []
    for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
        path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
        if path is None:
            raise InputError(
                f"{name}: there is no {stem} (nor {stem}.gz) in {folder}",
                f"download the four files from {_SOURCES[name]} into that folder, "
                "or name the folder above it with EECOMPILE_DATA",
            )
        arrays.append(read_idx(path))
        hashes[path.name] = sha256_of(path)
    images, labels = arrays
    if images.ndim != 3 or images.size == 0:
        raise InputError(
            f"{folder}: the {prefix} images have shape {list(images.shape)}", "download them again"
        )
    y = checked_labels(labels, len(images), f"{prefix} labels in {folder}")
    if y.max() > 9:
        raise InputError(f"{folder}: the {prefix} labels reach {y.max()}, not 9", "download them again")
    return Split(images[:, None], y)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the uint8 array of an IDX file, plain or gzipped (``.gz``); the array is writable.

    Raises:
        InputError: Not an IDX file of bytes, or its length is not what its header says.
    """
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}", "download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8 or len(data) < 4 + 4 * data[3]:
        raise InputError(f"{path} is not an IDX file of bytes", "download it again")
    rank = data[3]
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank))
    size = 1
    for length in shape:
        size *= length
    if len(data) - 4 - 4 * rank != size:
        raise InputError(
            f"{path} holds {len(data) - 4 - 4 * rank} values, its header says {size}",
            "it is cut short or damaged: download it again",
        )
    return np.frombuffer(bytearray(data[4 + 4 * rank :]), np.uint8).reshape(shape)
