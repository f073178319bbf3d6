"""Bad data sets and preprocessing through the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.eecompile.cli.refusals import refused
from tests.eecompile.small_models import skip_net, write_images
from tests.needs import needs_torch


class Trap:
    """An object whose unpickling makes the file ``sprung``."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(Path("sprung").absolute()),)


def images(**changes: Any) -> dict[str, Any]:
    with np.load(write_images(Path("good.npz"))) as archive:
        found = {**archive, **changes}
    return {name: values for name, values in found.items() if values is not None}


RNG = np.random.default_rng(0)
BAD_IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "size": (
        {f"{s}_x": np.zeros((n, 3, 8, 8), np.uint8) for s, n in (("train", 64), ("val", 32), ("test", 32))},
        "images of shape [3, 8, 8], the model takes [3, 16, 16]",
    ),
    "splits differ": ({"test_x": np.zeros((32, 3, 8, 8), np.float32)}, "store all splits in one size"),
    "class count": ({"classes": np.int64(7)}, "has 7 classes, the model has 4"),
    "label": ({"test_y": np.arange(32) % 5}, "6 of 32 test labels lie outside the model's 4 classes"),
    "negative label": ({"val_y": np.arange(32) - 1}, "holds the label -1"),
    "labels as text": ({"train_y": np.array(["cat"] * 64)}, "train_y in data.npz has labels of type <U3"),
    "too few labels": ({"train_y": np.arange(63) % 4}, "has 63 labels for 64 images"),
    "missing": ({"train_y": None, "test_x": None}, "data.npz has no train_y, test_x"),
    "nan": ({"val_x": np.full((32, 3, 16, 16), np.nan, np.float32)}, "val_x in data.npz holds NaN"),
    "objects": ({"train_x": np.array([Trap()] * 64, object)}, "holds Python objects, which are never loaded"),
    "label objects": ({"val_y": np.array([Trap()] * 32, object)}, "holds Python objects, which are never"),
}  # fmt: skip


@needs_torch
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images(folder: Path, case: str) -> None:
    changes, message = BAD_IMAGES[case]
    np.savez("data.npz", **images(**changes))
    assert message in refused(folder, "run", "net.onnx", "--data", "data.npz", "-o", "out")
    assert not (folder / "sprung").exists()


def test_the_trap_springs_when_unpickled(folder: Path) -> None:
    np.savez("data.npz", train_x=np.array([Trap()], object))
    with np.load("data.npz", allow_pickle=True) as archive:
        archive["train_x"]
    assert (folder / "sprung").exists(), "or the tests above prove nothing"


@needs_torch
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "no data called 'digit', and no such file or folder\n  did you mean 'digits'?"),
        ("digits", "digits has images of shape [1, 8, 8], the model takes [3, 16, 16]"),
        ("gone.npz", "there is no file gone.npz"),
        ("net.onnx", "net.onnx is neither an .npz file nor a folder of images"),
        ("text.npz", "text.npz is not an .npz: not a zip archive, or cut short"),
        ("half.npz", "half.npz is not an .npz: not a zip archive, or cut short"),
        ("empty", "empty"),
        ("", "the name of the data is empty"),
    ],
)
def test_bad_data(folder: Path, spec: str, message: str) -> None:
    (folder / "text.npz").write_text("1, 2, 3")
    write_images(folder / "half.npz")
    os.truncate("half.npz", 10_000)
    (folder / "empty").mkdir()
    assert message in refused(folder, "run", "net.onnx", "--data", spec, "-o", "out")


@needs_torch
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("imagnet", "unknown preprocessing 'imagnet'\n  did you mean 'imagenet'"),
        ("mean=0.5,std=0", "mean must be finite and std positive"),
        ("mean=x,std=1", "could not convert string to float"),
        ("mean=1,2,std=1,2", "the images already hold values outside 0..255"),
        ("unit", "the images already hold values outside 0..255"),
    ],
)
def test_bad_preprocessing(folder: Path, rule: str, message: str) -> None:
    write_images(folder / "data.npz")
    options = ["--data", "data.npz", "--preprocess", rule, "-o", "out"]
    assert message in refused(folder, "run", "net.onnx", *options)


@needs_torch
def test_data_for_a_network_without_weights(folder: Path) -> None:
    model = skip_net()
    del model.graph.initializer[:]
    onnx.save(model, "shapes.onnx")
    write_images(folder / "data.npz")
    message = refused(folder, "run", "shapes.onnx", "--data", "data.npz", "-o", "out")
    assert "shapes.onnx has no weights" in message
