"""A model of a repository is what Triton's messages and MLServer's settings say it is."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper

from eecompile import api
from eecompile.runtime.compiled_files import PREPROCESS_KEY
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.server.engines.model_repository import RUNTIME, config, model_repository
from eecompile.server.run_model import RunModel
from passes.errors import InputError
from tests.eecompile.runtime.small_run import images_of
from tests.eecompile.server.engines.engine import free_port, infer, running

ODD = 'a "name" \\ ü'


def parsed(text: str) -> Any:
    reason = "Triton's messages are of tritonclient, of the extra 'grpc'"
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason=reason)
    return text_format.Parse(text, messages.ModelConfig())


def test_triton_reads_the_tensors_of_the_network(small_run: Path) -> None:
    files = model_repository(small_run, ODD)
    found = parsed(files["config.pbtxt"].decode())
    assert (found.name, found.platform, found.max_batch_size) == (ODD, "onnxruntime_onnx", 0)
    network = onnx.load_from_string(files["1/model.onnx"])
    assert files["1/model.onnx"] == (small_run / "model.dynamic.onnx").read_bytes()
    names = {TensorProto.FLOAT: "TYPE_FP32", TensorProto.INT64: "TYPE_INT64"}
    for told, held in ((found.input, network.graph.input), (found.output, network.graph.output)):
        assert [tensor.name for tensor in told] == [value.name for value in held]
        for tensor, value in zip(told, held, strict=True):
            kind = value.type.tensor_type
            assert list(tensor.dims) == [dim.dim_value for dim in kind.shape.dim]
            assert (
                type(tensor)
                .DESCRIPTOR.fields_by_name["data_type"]
                .enum_type.values_by_number[tensor.data_type]
                .name
                == names[kind.elem_type]
            )
    assert [tensor.name for tensor in found.output] == ["logits", "exit", "confidence"]
    rule = json.loads(found.parameters[PREPROCESS_KEY].string_value)
    assert rule == json.loads((small_run / "run.json").read_text())["preprocess"]


def network(kind: int) -> bytes:
    """Return a network of one tensor of any size."""
    tensors = [helper.make_tensor_value_info(name, kind, ["n", 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "one", tensors[:1], tensors[1:])
    return bytes(helper.make_model(graph).SerializeToString())


def test_sizes_without_a_number_are_any() -> None:
    assert list(parsed(config(network(TensorProto.FLOAT), "any")).input[0].dims) == [-1, 2]


def test_types_without_a_name_are_refused() -> None:
    with pytest.raises(InputError, match="input 'x' is neither float32 nor int64"):
        config(network(TensorProto.DOUBLE), "other")


def test_mlserver_is_told_the_tensors_of_serve(small_run: Path) -> None:
    settings = json.loads(model_repository(small_run, ODD)["model-settings.json"])
    assert (settings["name"], settings["implementation"]) == (ODD, RUNTIME)
    assert settings["parameters"]["uri"] == "./1/run"
    model = RunModel(small_run)
    for key, specs in (("inputs", model.inputs), ("outputs", model.outputs)):
        assert [(row["name"], row["datatype"], row["shape"]) for row in settings[key]] == [
            (spec.name, spec.datatypes[0], list(spec.shape)) for spec in specs
        ]


@pytest.mark.engines
@pytest.mark.skipif(which("tritonserver") is None, reason="Triton comes in a container only")
def test_triton_answers_as_the_network(small_run: Path, tmp_path: Path) -> None:
    api.export(small_run, model_repository=tmp_path / "models")
    port = free_port()
    command = ("tritonserver", "--model-repository=.", f"--http-port={port}", "--allow-grpc=false")
    session = EarlyExitSession(small_run)
    images = session.model_input(images_of(3)[:-1])
    entry = onnx.load(small_run / "model.dynamic.onnx").graph.input[0].name
    with running((*command, "--allow-metrics=false"), tmp_path / "models", {}, port) as url:
        for image in images[:, None]:
            found, wanted = infer(url, image, ("logits", "exit"), entry), session.answer(image)
            np.testing.assert_allclose(found["logits"], wanted.logits, rtol=1e-5)
            assert found["exit"].tolist() == wanted.exit.tolist()
