"""Does this data set fit that model: image size, channels, axis order and classes."""

from __future__ import annotations

import numpy as np

from eecompile.data.dataset import SPLITS, Dataset
from eecompile.runtime.preprocess import axis_orders
from passes.errors import InputError


def fit_to_model(dataset: Dataset, input_shape: tuple[int, ...], classes: int) -> Dataset:
    """Check that a data set can be fed to a model.

    The arrays are not touched: `eecompile.data.preprocess` brings each batch into the model's axis order,
    so that what it records is right for the images as the user stores them.

    Args:
        dataset: What `load_data` returned.
        input_shape: Shape of the model's input with its batch axis.
        classes: Number of logits of the model.

    Returns:
        The data set, with a note for each thing the user should be told.

    Raises:
        InputError: Other size, channels or number of classes than the model has, or a label beyond them.
    """
    stored, wanted = tuple(dataset.train.x.shape[1:]), tuple(input_shape[1:])
    orders = axis_orders(stored, wanted)
    if not orders:
        raise InputError(
            f"{dataset.name} has images of shape {list(stored)}, the model takes {list(wanted)}",
            _shape_hint(stored, wanted),
        )
    if orders == ["flatten"]:
        dataset = dataset.with_note(
            f"images {list(stored)} are flattened for the model's input {list(wanted)}"
        )
    elif orders == ["squeeze"]:
        dataset = dataset.with_note(
            f"images {list(stored)} lose their channel axis for the model's input {list(wanted)}"
        )
    elif orders == ["series"]:
        dataset = dataset.with_note(
            f"data of shape {list(wanted)} are taken as stored, as channels and steps"
        )
    elif "same" not in orders:
        dataset = dataset.with_note(
            f"images are stored as {orders[0][:4]}, the model takes {orders[0][-4:]}: transposed"
        )
    return _check_classes(dataset, classes)


def _shape_hint(stored: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(stored) == len(wanted) == 3:
        gray, colour = {1, 3} & set(stored), {1, 3} & set(wanted)
        if len(gray) == len(colour) == 1 and gray != colour and max(stored) == max(wanted):
            return "one is grey and the other has colour: convert the images and store them as an .npz"
        return "resize the images to the model's input and store them as an .npz, or choose other data"
    return "choose data of the kind the model was trained on"


def _check_classes(dataset: Dataset, classes: int) -> Dataset:
    for name in SPLITS:
        y = dataset.split(name).y
        outside = np.flatnonzero(y >= classes)
        if len(outside):
            raise InputError(
                f"{dataset.name}: {len(outside)} of {len(y)} {name} labels lie outside the model's "
                f"{classes} classes (image {outside[0]} has label {y[outside[0]]})",
                "labels are counted from 0; choose the data the model was trained on",
            )
    if dataset.classes == classes:
        return dataset
    if dataset.classes_declared:
        raise InputError(
            f"{dataset.name} has {dataset.classes} classes, the model has {classes}",
            "class numbers would not mean the same; choose the data the model was trained on",
        )
    # Labels alone show only the classes that occur: a few rare ones may be absent, most of them not.
    if 2 * dataset.classes < classes:
        raise InputError(
            f"{dataset.name}: labels reach only {dataset.classes - 1}, the model has {classes} classes",
            f"if these really are some of its classes, add an array classes={classes} to the .npz",
        )
    return dataset.with_note(
        f"labels show {dataset.classes} of the model's {classes} classes; the others never occur"
    )
