"""What a labelled image set is: three splits, their checks, and how a missing split is carved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from passes.errors import InputError

Images = NDArray[Any]
Labels = NDArray[np.int64]

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.1
_CHUNK = 4096

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        x: uint8 (0..255) or float32, shape [N, …] in the axis order in which it is stored: [N, C, H, W],
            [N, H, W, C], or [N, F] for a network on feature vectors. May be a view or a transposed view.
        y: int64 class numbers, shape [N].
    """

    x: Images
    y: Labels

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """Images to train heads on, to choose thresholds on and to report on.

    Attributes:
        name: Short name, as it stands in the run directory.
        train: What heads are trained on.
        val: What thresholds, preprocessing and calibration are chosen on.
        test: What accuracy is reported on; nothing is chosen on it.
        classes: How many classes there are. If ``classes_declared`` is false, the largest label plus one.
        classes_declared: Whether the source itself says how many classes there are.
        class_names: Names by class number; empty where unknown.
        description: Where the images come from, one line.
        notes: What was done to the data that the user should be told.
        hashes: SHA-256 (hex) of what was read, by file name.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: int
    classes_declared: bool = True
    class_names: tuple[str, ...] = ()
    description: str = ""
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> Split:
        """Return the split called ``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def with_note(self, note: str) -> Dataset:
        """Return the same data set (the same arrays) with one more note."""
        return replace(self, notes=(*self.notes, note))


def sha256_of(source: Path | Iterable[bytes | memoryview]) -> str:
    """Return the SHA-256 in hex of a file, read in pieces, or of some byte strings."""
    digest = hashlib.sha256()
    if isinstance(source, Path):
        stream: BinaryIO
        with source.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    for piece in source:
        digest.update(piece)
    return digest.hexdigest()


def evenly(values: NDArray[_Scalar], count: int) -> NDArray[_Scalar]:
    """Return at most ``count`` of ``values`` [N, …], evenly spread: data sets are often sorted by class."""
    if len(values) <= count:
        return values
    spread: NDArray[_Scalar] = values[np.linspace(0, len(values) - 1, count).astype(int)]
    return spread


def halves(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of ``count`` images in two random halves: those that choose, those that test."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: (count + 1) // 2], order[(count + 1) // 2 :]


def checked_images(x: NDArray[Any], where: str) -> Images:
    """Return images as uint8 or float32, without a copy where they already are; [N, H, W] gains a channel.

    Raises:
        InputError: No images, wrong rank or type, or a value that is not finite.
    """
    if x.dtype.kind not in "uif":
        raise InputError(
            f"{where} has values of type {x.dtype}, which are not pixels",
            "store uint8 (0..255) or float32 values",
        )
    if not 2 <= x.ndim <= 4:
        raise InputError(
            f"{where} has shape {list(x.shape)}",
            "images have shape [N, C, H, W], [N, H, W, C] or [N, H, W]; feature vectors have [N, F]",
        )
    if x.size == 0:
        raise InputError(f"{where} is empty (shape {list(x.shape)})", "give at least one image per split")
    if x.dtype != np.uint8:
        is_pixels = x.dtype.kind in "ui" and x.min() >= 0 and x.max() <= 255
        with np.errstate(over="ignore"):  # becomes infinite, which the next check names
            x = x.astype(np.uint8 if is_pixels else np.float32, copy=False)
    if x.dtype.kind == "f":
        for start in range(0, len(x), _CHUNK):
            # In pieces: a mask over all images would be a quarter of their size again.
            if not np.isfinite(x[start : start + _CHUNK]).all():
                raise InputError(
                    f"{where} holds NaN or infinite values (in images {start} to {start + _CHUNK - 1})",
                    "remove those images or repair their values",
                )
    return x[:, None] if x.ndim == 3 else x


def checked_labels(y: NDArray[Any], count: int, where: str) -> Labels:
    """Return labels as int64 of shape [count]; [count, 1] is accepted.

    Raises:
        InputError: Not integers, negative, too large, or not one label per image.
    """
    if y.dtype.kind not in "ui":
        raise InputError(
            f"{where} has labels of type {y.dtype}, not integers",
            "store class numbers 0, 1, 2, … as integers, e.g. labels.astype('int64')",
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            f"{where} has shape {list(y.shape)}, not one class number per image",
            "turn one-hot labels into class numbers with labels.argmax(axis=1)",
        )
    if len(y) != count:
        raise InputError(f"{where} has {len(y)} labels for {count} images", "give one label per image")
    if count and (y.min() < 0 or y.max() >= 2**31):
        value = y.min() if y.min() < 0 else y.max()
        raise InputError(f"{where} holds the label {value}", "labels are class numbers counted from 0")
    return y.astype(np.int64)


def stratified_order(y: Labels, shares: tuple[float, ...], seed: int) -> list[NDArray[np.int64]]:
    """Divide images into parts of the given shares, each class in the same proportion.

    Returns:
        Sorted image numbers of each part. The last part takes what rounding leaves.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    bounds = np.cumsum(shares)[:-1]
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        cuts = np.rint(bounds * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def carve_val(train: Split, seed: int) -> tuple[Split, Split]:
    """Take a stratified tenth of the training images as validation images.

    The remaining images move together **in place**, so that a large array is never held twice: the
    caller must own ``train.x`` and use only what is returned.

    Raises:
        InputError: Too few training images for both.
    """
    val_index, keep = stratified_order(train.y, (VAL_SHARE, 1 - VAL_SHARE), seed)
    if len(val_index) == 0 or len(keep) == 0:
        raise InputError(
            f"{len(train)} training images are too few to take validation images from",
            "give val_x and val_y, or at least ten training images of some class",
        )
    val = Split(train.x[val_index], train.y[val_index])
    for start in range(0, len(keep), _CHUNK):
        source = keep[start : start + _CHUNK]
        # Safe in place: sources are sorted, so they never lie before their destination.
        train.x[start : start + len(source)] = train.x[source]
    return Split(train.x[: len(keep)], train.y[keep]), val
