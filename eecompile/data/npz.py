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

from eecompile.data.arrays import ALL_KEYS, KEYS, check_keys, dataset_of
from eecompile.data.dataset import Dataset, sha256_of
from passes.errors import InputError

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
            f"write it with numpy.savez, with the arrays {KEYS}",
        )
    arrays = _read_arrays(path)
    return dataset_of(arrays, seed, path.stem, path.name, str(path), {path.name: digest})


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    name = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = list(archive.files)
            check_keys(found, str(path))
            for name in (key for key in ALL_KEYS if key in found):
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
