"""Write graphs as ONNX: opset 21, IR 10, what is known about them as metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs
from onnx import helper

from passes import precision
from passes.files import write_atomic
from passes.model import loading
from passes.model.external_data import all_nodes
from passes.model.graph import EXITS_KEY, LAYER_KEY, ORIGIN_KEY, PRECISION_KEY, SOFTMAX_KEY
from passes.state import state_of


def to_model(graph: gs.Graph, batch: int | str | None = None) -> onnx.ModelProto:
    """Export ``graph`` as a ModelProto at opset 21, IR 10, with state as metadata.

    Args:
        graph: The graph; not changed.
        batch: Batch size to write: ``None`` keeps 1, a string makes it symbolic. Other than 1 it
            only fits graphs without a hard-coded batch (``canonicalize`` removes those it can).
    """
    state = state_of(graph)
    model: onnx.ModelProto = gs.export_onnx(
        graph, ir_version=loading.IR_VERSION, producer_name="eecompile", producer_version=""
    )
    model.graph.name = model.graph.name or "graph"  # the checker wants one; not every file has it
    del model.metadata_props[:]
    for key, value in state.metadata.items():
        model.metadata_props.add(key=key, value=value)
    if state.exits:
        model.metadata_props.add(key=EXITS_KEY, value=json.dumps([e.to_json() for e in state.exits]))
    if state.softmax:
        model.metadata_props.add(key=SOFTMAX_KEY, value="true")
    for node in all_nodes(model.graph):
        if not node.domain:
            node.ClearField("domain")  # a node that was read says it: the same network is the same file
        if node.name in state.origins:
            origin = json.dumps(list(state.origins[node.name]))
            node.metadata_props.add(key=ORIGIN_KEY, value=origin)
        if node.name in state.layers:
            node.metadata_props.add(key=LAYER_KEY, value=state.layers[node.name])
        if node.name in state.precisions:
            found = precision.to_text(state.precisions[node.name])
            node.metadata_props.add(key=PRECISION_KEY, value=found)
    if batch is not None:
        _set_batch(model, batch)
    return model


def _set_batch(model: onnx.ModelProto, batch: int | str) -> None:
    del model.graph.value_info[:]
    for value in [*model.graph.input, *model.graph.output]:
        dim = value.type.tensor_type.shape.dim[0]
        dim.Clear()
        if isinstance(batch, int):
            dim.dim_value = batch
        else:
            dim.dim_param = batch


def save(graph: gs.Graph, path: str | Path, batch: int | str | None = None) -> Path:
    """Write ``graph`` atomically after the full ONNX check; a symbolic graph as ``*.shape.onnx``.

    Returns:
        The path written: for a shape-only graph the suffix becomes ``.shape.onnx``.

    Raises:
        InputError: The folder cannot be written to.
    """
    path = Path(path)
    if state_of(graph).symbolic:
        if not path.name.endswith(".shape.onnx"):
            path = path.with_suffix(".shape.onnx")
        model = _shape_only(graph)
    else:
        model = to_model(graph, batch)
        onnx.checker.check_model(model, full_check=True)
    write_atomic(path, model.SerializeToString(deterministic=True))
    return path


def _shape_only(graph: gs.Graph) -> onnx.ModelProto:
    """Export without weights: parameters of linear operators become shapes in ``value_info``."""
    model = to_model(graph)
    parameters = {
        name
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul", "BatchNormalization")
        for name in node.input[1:]
    }
    kept = []
    for tensor in model.graph.initializer:
        if tensor.name in parameters:
            shape = list(tensor.dims)
            model.graph.value_info.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, shape))
        else:
            kept.append(tensor)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def annotated(
    graph: gs.Graph, notes: Mapping[str, Mapping[str, str]], batch: int | str | None = None
) -> bytes:
    """Return ``graph`` as an ONNX file whose nodes carry notes, as metadata and in words.

    Args:
        graph: The graph; not changed.
        notes: Node name -> key -> value. A node without an entry is as in other files.
        batch: As in `passes.model.writing.to_model`.
    """
    model = to_model(graph, batch)
    for node in model.graph.node:
        found = notes.get(node.name, {})
        for key, value in found.items():
            node.metadata_props.add(key=f"eecompile.{key}", value=value)
        if found:
            node.doc_string = "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in found.items())
    data: bytes = model.SerializeToString(deterministic=True)
    return data
