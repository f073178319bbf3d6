"""Parameter `data`: what is taken, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eecompile import api
from eecompile.data.in_memory import ImagesInMemory
from eecompile.data.sources import load_data
from eecompile.verbs.given.images import images_given
from passes.errors import InputError
from tests.eecompile.small_models import write_images, write_skip_net

X, Y = np.zeros((20, 3, 4, 4), np.float32), np.arange(20) % 2
NAMES = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y")
SIX = (X, Y, X + 1, Y, X + 2, Y)


def test_names_and_paths_stay_texts() -> None:
    assert images_given("digits") == "digits" and images_given(Path("a/b.npz")) == "a/b.npz"


def loaded(data: Any) -> list[float]:
    given = images_given(data)
    assert isinstance(given, ImagesInMemory)
    found = given.load(0)
    return [float(split.x.mean()) for split in (found.train, found.val, found.test)]


def test_arrays_come_by_name_or_in_order() -> None:
    assert loaded(SIX) == loaded(list(SIX)) == loaded(dict(zip(NAMES, SIX, strict=True))) == [0, 1, 2]
    assert loaded((X, Y, X + 2, Y)) == [0, 0, 2], "without those of val"
    assert loaded((X.tolist(), Y.tolist(), X + 2, Y)) == [0, 0, 2]


def test_a_dataset_is_taken() -> None:
    given = images_given(SIX)
    assert isinstance(given, ImagesInMemory)
    assert loaded(given.load(0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "not int"),
        ((X, Y), "not 2 things"),
        ({"train_x": X}, "`data` has no train_y, test_x, test_y"),
        ({"train_x": X, "train_y": Y, "test_x": X, "test_y": Y, "valx": X}, "'valx', which is no array"),
    ],
)
def test_what_is_no_data(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        images_given(data)


KINDS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "arrays by name": lambda path: dict(np.load(path)),
    "arrays in order": lambda path: tuple(np.load(path)[name] for name in NAMES),
    "data set": lambda path: load_data(str(path)),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "images.npz")
    return folder


def answer(verb: str, files: Path, data: Any, out: Path) -> dict[str, Any]:
    """Return what a verb answers, without times and names."""
    model = files / "net.onnx"
    if verb == "opt":
        pipeline = "canonicalize,quantize"
        found = api.opt(model, pipeline, data=data, preprocess="raw", verify_each=True).to_json()
        return {**found, "passes": [{**step, "seconds": None} for step in found["passes"]]}
    quantized = api.quantize(model, data, calibration="minmax", preprocess="raw", out=out).to_json()
    return {name: value for name, value in quantized.items() if name not in ("data", "out")}


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "path"])
@pytest.mark.parametrize("verb", ["opt", "quantize"])
def test_each_verb_answers_as_for_the_path(verb: str, kind: str, files: Path, tmp_path: Path) -> None:
    path = files / "images.npz"
    found = answer(verb, files, KINDS[kind](path), tmp_path / "found")
    assert found == answer(verb, files, str(path), tmp_path / "expected")
