"""A folder of images: ``root/train/<class>/*.png`` … or ``root/<class>/*``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eecompile.data.dataset import (
    SPLITS,
    Dataset,
    Images,
    Labels,
    Split,
    carve_val,
    sha256_of,
    stratified_order,
)
from passes.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff"})
SHARES = (0.7, 0.15, 0.15)
_GREY_MODES = frozenset({"1", "L"})
_WIDE_MODES = ("I", "F")  # converted, they would be cut off at 255
_Entry = tuple[Path, int]


def load_folder(root: Path, seed: int = 0) -> Dataset:
    """Read images of one size; class numbers are those of the class folders sorted by name.

    With ``train`` and ``test`` folders these are the splits, and without ``val`` a tenth of train
    serves as validation. Otherwise the images are divided 70/15/15 per class. Images are uint8
    [N, C, H, W] with C = 1 if all are grey, else 3.

    Raises:
        InputError: No images, fewer than two classes, unreadable images, several sizes, pixels wider than a
            byte, or Pillow missing.
    """
    pillow = _pillow()
    has_splits = _has_splits(root)
    present = [name for name in SPLITS if (root / name).is_dir()] if has_splits else ["all"]
    folders = {name: root / name if has_splits else root for name in present}
    class_names = _class_names(folders[present[0]])
    entries: list[_Entry] = []
    counts = []
    for name in present:
        found = list(_entries(folders[name], class_names))
        if not found:
            raise InputError(f"there are no images in {folders[name]}", _expected(root))
        entries += found
        counts.append(len(found))
    x = _read_images(pillow, [path for path, _ in entries])
    y = np.array([label for _, label in entries], np.int64)
    if has_splits:
        train, val, test, note = _given_splits(x, y, present, counts, seed)
    else:
        parts = stratified_order(y, SHARES, seed)
        if min(len(part) for part in parts) == 0:
            raise InputError(
                f"{len(y)} images in {root} are too few for three splits", "give more images per class"
            )
        train, val, test = (Split(x[part], y[part]) for part in parts)
        note = f"{root.name} has no train and test folders: divided 70/15/15 per class (seed {seed})"
    return Dataset(
        name=root.resolve().name,
        train=train,
        val=val,
        test=test,
        classes=len(class_names),
        class_names=class_names,
        description=f"image folder with {len(class_names)} classes, {len(y)} images",
        notes=(note,) if note else (),
        hashes={root.resolve().name: _digest(root, [path for path, _ in entries])},
    )


def _has_splits(root: Path) -> bool:
    names = {path.name for path in _subfolders(root)}
    if {"train", "test"} <= names:
        return True
    # ``train`` alone may be a class beside ``bicycle``; nothing but split names is a forgotten split.
    if names and names <= set(SPLITS):
        missing = " and ".join(sorted({"train", "test"} - names))
        raise InputError(f"{root} has {', '.join(sorted(names))} but no {missing}", _expected(root))
    return False


def _given_splits(
    x: Images, y: Labels, present: list[str], counts: list[int], seed: int
) -> tuple[Split, Split, Split, str]:
    cuts = np.cumsum(counts)[:-1]
    splits = {
        name: Split(part_x, part_y)
        for name, part_x, part_y in zip(present, np.split(x, cuts), np.split(y, cuts), strict=True)
    }
    if "val" in splits:
        return splits["train"], splits["val"], splits["test"], ""
    train, val = carve_val(splits["train"], seed)
    note = f"no val folder: {len(val)} of the training images serve as validation images (seed {seed})"
    return train, val, splits["test"], note


def _pillow() -> ModuleType:
    try:
        import PIL.Image
    except ImportError as error:
        raise InputError(
            "reading a folder of images needs Pillow", "install it with: pip install 'eecompile[images]'"
        ) from error
    return PIL.Image


def _expected(root: Path) -> str:
    return f"put images into {root}/<class>/, or into {root}/train/<class>/ and {root}/test/<class>/"


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in _subfolders(folder))
    if len(names) < 2:
        raise InputError(
            f"{folder} has {len(names)} class folders, at least two are needed", _expected(folder)
        )
    return names


def _entries(folder: Path, class_names: tuple[str, ...]) -> Iterator[_Entry]:
    for sub in _subfolders(folder):
        if sub.name not in class_names:
            raise InputError(
                f"{sub} is a class that the training images do not have",
                f"classes are: {', '.join(class_names)}",
            )
        label = class_names.index(sub.name)
        for path in sorted(sub.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path, label


def _read_images(pillow: ModuleType, paths: list[Path]) -> Images:
    """Return all images in one array, filled in place; the first image sets the size."""
    width, height = _open(pillow, paths[0]).size
    x = np.empty((len(paths), 3, height, width), np.uint8)
    all_grey = True
    for number, path in enumerate(paths):
        image = _open(pillow, path)
        if image.size != (width, height):
            raise InputError(
                f"{path} is {image.size[0]}x{image.size[1]} but {paths[0]} is {width}x{height}",
                "bring all images to the size of the model's input",
            )
        if image.mode.startswith(_WIDE_MODES):
            raise InputError(
                f"{path} has pixels of type {image.mode}, wider than a byte",
                "bring all images to 8 bits per channel, or store them as an .npz",
            )
        all_grey = all_grey and image.mode in _GREY_MODES
        x[number] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    return np.ascontiguousarray(x[:, :1]) if all_grey else x


def _open(pillow: ModuleType, path: Path) -> Any:
    try:
        with pillow.open(path) as image:
            image.load()
            return image
    # SyntaxError is what Pillow raises for a damaged PNG.
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an image: {error}", "repair or remove it") from error


def _digest(root: Path, paths: list[Path]) -> str:
    pieces = (f"{path.relative_to(root).as_posix()} {sha256_of(path)}\n".encode() for path in paths)
    return hashlib.sha256(b"".join(pieces)).hexdigest()
