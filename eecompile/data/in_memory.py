"""Images that lie in no file: arrays, or a `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.arrays import dataset_of
from eecompile.data.dataset import SPLITS, Dataset, sha256_of

NAME = "arrays"
"""What such images are called in files that tell of them."""


@dataclass(frozen=True, eq=False)
class ImagesInMemory:
    """Images as they were given.

    Attributes:
        given: Arrays by the names that an ``.npz`` has for them, or a data set.
    """

    given: Mapping[str, NDArray[Any]] | Dataset

    def load(self, seed: int) -> Dataset:
        """Return the three splits; the arrays are not changed.

        Raises:
            InputError: Arrays that are not labelled images.
        """
        if not isinstance(self.given, Dataset):
            hashes = {name: _hash(values) for name, values in self.given.items()}
            return dataset_of(dict(self.given), seed, NAME, "`data`", "`data`", hashes, owned=False)
        if self.given.hashes:
            return self.given
        arrays = _arrays_of(self.given)
        return replace(self.given, hashes={name: _hash(values) for name, values in arrays.items()})

    def write(self, path: Path) -> None:
        """Write an ``.npz`` that says the same; of a `Dataset` with its classes, if declared."""
        arrays: dict[str, Any] = {}
        if isinstance(self.given, Dataset):
            arrays |= _arrays_of(self.given)
            if self.given.classes_declared:
                arrays["classes"] = np.array(self.given.classes)
        else:
            arrays |= self.given
        with path.open("wb") as stream:
            np.savez(stream, **arrays)

    def __str__(self) -> str:
        return self.given.name if isinstance(self.given, Dataset) else NAME


ImageSource = str | ImagesInMemory
"""What `eecompile.data.sources.load_data` takes: a name, a path as text, or images in memory."""


def _arrays_of(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Return the arrays of a data set by the names that an ``.npz`` has for them."""
    splits = {name: dataset.split(name) for name in SPLITS}
    return {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in "xy"}


def _hash(values: NDArray[Any]) -> str:
    """Return the SHA-256 of type, shape and values of an array, in hexadecimal."""
    whole = np.ascontiguousarray(values)
    head = f"{whole.dtype.str} {whole.shape}\n".encode()
    return sha256_of([head, whole.data.cast("B") if whole.size else b""])
