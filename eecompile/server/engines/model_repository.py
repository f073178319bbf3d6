"""A run directory as a model of a repository, as Triton, KServe and MLServer read one."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from google.protobuf.text_encoding import CEscape

from eecompile.runtime.compiled_files import PREPROCESS_KEY
from eecompile.server.engines.whole import files_of
from eecompile.server.inference import metadata_of
from eecompile.server.repository import VERSION
from eecompile.server.run_model import RunModel
from passes.errors import InputError

RUNTIME = "eecompile.server.engines.mlserver_runtime.EarlyExitRuntime"
SETTINGS, CONFIG = "model-settings.json", "config.pbtxt"
RUN, _MODEL = f"{VERSION}/run", f"{VERSION}/model.onnx"
# Triton's names of what the networks take and give.
_TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT64: "TYPE_INT64"}


def model_repository(run: Path, name: str) -> dict[str, bytes]:
    """Return the files of one model of a repository, by their place in its folder.

    Triton runs ``model.dynamic.onnx`` by ``config.pbtxt``: tensors as the network has them. MLServer answers
    by `RUNTIME` as ``model-settings.json`` says: raw images, and the tensors of `eecompile serve`.

    Args:
        run: The run directory.
        name: Of the model; its folder must be called so.

    Raises:
        InputError: No run with a trained network, or a damaged one.
    """
    copied = {place: path.read_bytes() for place, path in files_of(run).items()}
    network = copied["model.dynamic.onnx"]
    return {
        **{f"{RUN}/{place}": content for place, content in copied.items()},
        _MODEL: network,
        CONFIG: config(network, name).encode(),
        SETTINGS: (json.dumps(_settings(run, name), indent=2) + "\n").encode(),
    }


def config(network: bytes, name: str) -> str:
    """Return the configuration of Triton for a network, as protobuf's text.

    Raises:
        InputError: It takes or gives what Triton is not told here.
    """
    model = onnx.load_from_string(network)
    lines = [f"name: {_quoted(name)}", 'platform: "onnxruntime_onnx"', "max_batch_size: 0"]
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            if tensor.elem_type not in _TYPES:
                raise InputError(f"{kind} '{value.name}' is neither float32 nor int64", "make the run again")
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            lines.append(
                f"{kind} {{\n  name: {_quoted(value.name)}\n  data_type: {_TYPES[tensor.elem_type]}\n"
                f"  dims: {dims}\n}}"
            )
    for prop in model.metadata_props:
        if prop.key == PREPROCESS_KEY:
            value = f"{{ string_value: {_quoted(prop.value)} }}"
            lines.append(f"parameters {{\n  key: {_quoted(prop.key)}\n  value: {value}\n}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{CEscape(text, as_utf8=True)}"'


def _settings(run: Path, name: str) -> dict[str, object]:
    told = metadata_of(name, RunModel(run))
    return {
        "name": name,
        "implementation": RUNTIME,
        "platform": told["platform"],
        "versions": told["versions"],
        "inputs": told["inputs"],
        "outputs": told["outputs"],
        "parameters": {"uri": f"./{RUN}", "version": VERSION},
    }
