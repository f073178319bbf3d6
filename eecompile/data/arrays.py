"""Arrays by name as labelled images: how they are called, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from numpy.typing import NDArray

from eecompile.data.dataset import SPLITS, Dataset, Split, carve_val, checked_images, checked_labels
from passes.errors import InputError

KEYS = "train_x, train_y, test_x, test_y and optionally val_x, val_y"
ALL_KEYS = (*(f"{split}_{part}" for split in SPLITS for part in "xy"), "classes")


def dataset_of(
    arrays: dict[str, NDArray[Any]],
    seed: int,
    name: str,
    called: str,
    where: str,
    hashes: Mapping[str, str],
    owned: bool = True,
) -> Dataset:
    """Return the data set of arrays: ``train_x`` and so on, and optionally a scalar ``classes``.

    Args:
        arrays: Emptied on the way.
        seed: Of validation images that have to be carved.
        name: Of the data set.
        called: What notes call it.
        where: What messages call the arrays.
        hashes: SHA-256 by name of what was read.
        owned: The arrays may be changed in place.

    Raises:
        InputError: Arrays that are missing, or are not labelled images.
    """
    check_keys(arrays, where)
    splits = {part: _split(arrays, part, where) for part in SPLITS if f"{part}_x" in arrays}
    _check_alike(splits, where)
    notes: tuple[str, ...] = ()
    if "val" not in splits:
        train = splits["train"]
        whole = train if owned else Split(train.x.copy(), train.y)
        splits["train"], splits["val"] = carve_val(whole, seed)
        notes = (
            f"{called} has no val_x, val_y: {len(splits['val'])} of the training images serve as "
            f"validation images (stratified, seed {seed})",
        )
    seen = 1 + max(int(split.y.max()) for split in splits.values())
    declared = _declared_classes(arrays, seen, where)
    return Dataset(
        name=name,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        classes=declared or seen,
        classes_declared=declared is not None,
        description=f"arrays of {called}",
        notes=notes,
        hashes=hashes,
    )


def check_keys(found: Collection[str], where: str) -> None:
    """Raise InputError unless there are all arrays that a data set needs."""
    needed = ["train_x", "train_y", "test_x", "test_y"]
    if "val_x" in found or "val_y" in found:
        needed += ["val_x", "val_y"]
    missing = [key for key in needed if key not in found]
    if missing:
        raise InputError(
            f"{where} has no {', '.join(missing)} (it has: {', '.join(found) or 'nothing'})",
            f"name its arrays {KEYS}",
        )


def _split(arrays: dict[str, NDArray[Any]], name: str, where: str) -> Split:
    # Popped: after a change of type the array as it was read is let go of.
    x = checked_images(arrays.pop(f"{name}_x"), f"{name}_x in {where}")
    return Split(x, checked_labels(arrays.pop(f"{name}_y"), len(x), f"{name}_y in {where}"))


def _check_alike(splits: dict[str, Split], where: str) -> None:
    first = splits["train"].x
    for name, split in splits.items():
        if split.x.shape[1:] != first.shape[1:] or split.x.dtype != first.dtype:
            raise InputError(
                f"in {where}, train_x holds {first.dtype} images of shape {list(first.shape[1:])} but "
                f"{name}_x {split.x.dtype} images of shape {list(split.x.shape[1:])}",
                "store all splits in one size and one type",
            )


def _declared_classes(arrays: dict[str, NDArray[Any]], seen: int, where: str) -> int | None:
    if "classes" not in arrays:
        return None
    value = arrays["classes"]
    if value.dtype.kind not in "ui" or value.size != 1 or int(value.reshape(-1)[0]) < 1:
        raise InputError(f"classes in {where} is not one positive integer", "store the number of classes")
    classes = int(value.reshape(-1)[0])
    if classes < seen:
        raise InputError(
            f"{where} says it has {classes} classes but holds the label {seen - 1}",
            "labels are counted from 0; correct them or classes",
        )
    return classes
