"""Parameter `model`: all kinds of a network give each verb the same answer as its path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from eecompile import api
from eecompile.verbs.given.network import network_given
from passes.errors import InputError
from passes.model.graph import load
from passes.model.in_memory import ModelInMemory, sha256_of_network
from tests.eecompile.small_models import write_images, write_skip_net
from tests.needs import needs_torch

KINDS: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "ModelProto": onnx.load,
    "graph": lambda path: gs.import_onnx(onnx.load(path)),
    "graph of ours": load,
}


def without_times(answer: Any) -> Any:
    if isinstance(answer, dict):
        left_out = {"seconds", "model", "out", "measured", "folder"}
        return {key: without_times(value) for key, value in answer.items() if key not in left_out}
    return [without_times(item) for item in answer] if isinstance(answer, list) else answer


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "images.npz")
    return folder


def verbs(files: Path, out: Path) -> dict[str, Callable[[Any], Any]]:
    images = str(files / "images.npz")
    return {
        "cost": lambda model: api.cost(model, exits=["relu_0"], head="linear").to_json(),
        "inspect": lambda model: api.inspect(model).to_json(),
        "opt": lambda model: api.opt(
            model, "canonicalize,quantize", data=images, preprocess="raw", verify_each=True
        ).to_json(),
        "quantize": lambda model: api.quantize(
            model, images, out=out, preprocess="raw", calibration="minmax"
        ).to_json(),
        "run": lambda model: api.run(model, exits=1, out=out).summary.model_dump(mode="json"),
    }


def plain(answer: Any) -> Any:
    return without_times(json.loads(json.dumps(answer, default=str)))


@pytest.fixture(scope="module")
def of_path(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = files / "net.onnx"
    found = verbs(files, tmp_path_factory.mktemp("path") / "out").items()
    return {name: plain(verb(path)) for name, verb in found}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["cost", "inspect", "opt", "quantize", "run"])
def test_each_verb_answers_as_for_the_path(
    verb: str, kind: str, files: Path, of_path: dict[str, Any], tmp_path: Path
) -> None:
    model = KINDS[kind](files / "net.onnx")
    before = model.SerializeToString() if isinstance(model, onnx.ModelProto) else None
    assert plain(verbs(files, tmp_path / "out")[verb](model)) == of_path[verb]
    if before is not None:
        assert model.SerializeToString() == before


def test_a_network_in_memory_is_written_into_the_run_directory(files: Path, tmp_path: Path) -> None:
    data = (files / "net.onnx").read_bytes()
    api.run(data, out=tmp_path / "run")
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (tmp_path / "run" / "model.onnx").read_bytes() == data
    assert told["options"]["model"] == "model.onnx" and told["in_memory"] == ["model"]
    assert told["model_sha256"] == sha256_of_network(files / "net.onnx")
    assert told["command"].split()[:3] == ["eecompile", "run", "model.onnx"]
    api.run(files / "net.onnx", out=tmp_path / "run")
    assert not (tmp_path / "run" / "model.onnx").exists(), "that of a file stays where it is"


@needs_torch
def test_arrays_give_the_run_of_their_file(files: Path, tmp_path: Path) -> None:
    with np.load(files / "images.npz") as found:
        arrays = dict(found)
    options: dict[str, Any] = {"exits": 1, "head": "linear", "preprocess": "raw", "max_drop": 100.0}
    first = api.run(files / "net.onnx", data=files / "images.npz", out=tmp_path / "a", **options)
    second = api.run(files / "net.onnx", data=arrays, out=tmp_path / "b", **options)
    a, b = (plain(run.summary.model_dump(mode="json")) for run in (first, second))
    assert a.pop("dataset")["name"] == "images" and b.pop("dataset")["name"] == "arrays"
    assert a == b
    told = json.loads((tmp_path / "b" / "run.json").read_text())
    assert told["options"]["data"] == "arrays" and told["in_memory"] == ["data"]
    assert set(told["data_sha256"]) == set(arrays)


def test_paths_stay_paths() -> None:
    assert network_given("a/net.onnx") == network_given(Path("a/net.onnx")) == Path("a/net.onnx")
    assert network_given(b"abc") == ModelInMemory(b"abc")


@pytest.mark.parametrize("model", [3, ["net.onnx"], np.zeros(3)])
def test_what_is_no_network(model: Any) -> None:
    with pytest.raises(InputError, match=r"`model` is a path, bytes, .* not (int|list|ndarray)"):
        network_given(model)
