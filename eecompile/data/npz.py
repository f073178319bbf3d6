"""An ``.npz`` with ``train_x``, ``train_y``, ``test_x``, ``test_y`` and, if there, ``val_x``, ``val_y``."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.dataset import (
    SPLITS,
    Dataset,
    Split,
    carve_val,
    checked_images,
    checked_labels,
    sha256_of,
)
from passes.errors import InputError

_KEYS = "train_x, train_y, test_x, test_y and optionally val_x, val_y"
# What numpy and zipfile raise for damaged files; a header is parsed as Python, whose tokenizer has an error
# of its own, and RuntimeError is what zipfile raises for an encrypted member.
_DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_npz(path: Path, seed: int = 0) -> Dataset:
    """Read an ``.npz``; nothing in it is ever unpickled.

    An optional scalar ``classes`` says how many classes there are where the labels do not show it.

    Raises:
        InputError: Not a readable ``.npz``, or arrays that are not labelled images.
    """
    if not path.exists():
        raise InputError(f"there is no file {path}", "check the path given with `data`")
    try:
        is_zip = zipfile.is_zipfile(path)
        digest = sha256_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    if not is_zip:
        raise InputError(
            f"{path} is not an .npz: not a zip archive, or cut short",
            f"write it with numpy.savez, with the arrays {_KEYS}",
        )
    arrays = _read_arrays(path)
    splits = {name: _split(arrays, name, path) for name in SPLITS if f"{name}_x" in arrays}
    _check_alike(splits, path)
    notes: tuple[str, ...] = ()
    if "val" not in splits:
        splits["train"], splits["val"] = carve_val(splits["train"], seed)
        notes = (
            f"{path.name} has no val_x, val_y: {len(splits['val'])} of the training images serve as "
            f"validation images (stratified, seed {seed})",
        )
    seen = 1 + max(int(split.y.max()) for split in splits.values())
    declared = _declared_classes(arrays, seen, path)
    return Dataset(
        name=path.stem,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        classes=declared or seen,
        classes_declared=declared is not None,
        description=f"arrays of {path.name}",
        notes=notes,
        hashes={path.name: digest},
    )


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    wanted = [f"{split}_{part}" for split in SPLITS for part in "xy"] + ["classes"]
    arrays: dict[str, NDArray[Any]] = {}
    name = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = list(archive.files)
            _check_keys(found, path)
            for name in (key for key in wanted if key in found):
                arrays[name] = archive[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise ValueError("not stored as a NumPy array")
    except MemoryError as error:
        raise InputError(f"{name} in {path} does not fit into memory", "give fewer images") from error
    except _DAMAGED as error:
        where = f"{name} in {path}" if name else str(path)
        if "allow_pickle" in str(error):
            raise InputError(
                f"{where} holds Python objects, which are never loaded from user files",
                "store a plain array: images of one size as uint8, labels as integers",
            ) from error
        raise InputError(
            f"{where} cannot be read, the archive is damaged: {error}",
            "write it again with numpy.savez",
        ) from error
    return arrays


def _check_keys(found: list[str], path: Path) -> None:
    needed = ["train_x", "train_y", "test_x", "test_y"]
    if "val_x" in found or "val_y" in found:
        needed += ["val_x", "val_y"]
    missing = [key for key in needed if key not in found]
    if missing:
        raise InputError(
            f"{path} has no {', '.join(missing)} (it has: {', '.join(found) or 'nothing'})",
            f"name its arrays {_KEYS}",
        )


def _split(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> Split:
    # Popped: after a change of type the array as it was read is let go of.
    x = checked_images(arrays.pop(f"{name}_x"), f"{name}_x in {path}")
    return Split(x, checked_labels(arrays.pop(f"{name}_y"), len(x), f"{name}_y in {path}"))


def _check_alike(splits: dict[str, Split], path: Path) -> None:
    first = splits["train"].x
    for name, split in splits.items():
        if split.x.shape[1:] != first.shape[1:] or split.x.dtype != first.dtype:
            raise InputError(
                f"in {path}, train_x holds {first.dtype} images of shape {list(first.shape[1:])} but "
                f"{name}_x {split.x.dtype} images of shape {list(split.x.shape[1:])}",
                "store all splits in one size and one type",
            )


def _declared_classes(arrays: dict[str, NDArray[Any]], seen: int, path: Path) -> int | None:
    if "classes" not in arrays:
        return None
    value = arrays["classes"]
    if value.dtype.kind not in "ui" or value.size != 1 or int(value.reshape(-1)[0]) < 1:
        raise InputError(f"classes in {path} is not one positive integer", "store the number of classes")
    classes = int(value.reshape(-1)[0])
    if classes < seen:
        raise InputError(
            f"{path} says it has {classes} classes but holds the label {seen - 1}",
            "labels are counted from 0; correct them or classes",
        )
    return classes
