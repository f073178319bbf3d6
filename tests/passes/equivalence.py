"""What holds for every pass: the network computes the same, and a second run changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.printer
import onnx_graphsurgeon as gs
import onnxruntime as ort

from passes.base import Pass, Pipeline, to_text
from passes.model.graph import from_model
from passes.model.loading import infer
from passes.model.writing import to_model
from passes.registry import parse_pass, parse_pipeline
from passes.rewrite.rewriter import Array
from passes.state import state_of

RTOL, ATOL = 1e-4, 1e-5


def run_model(model: onnx.ModelProto, x: Array, optimize: bool = False) -> list[Array]:
    """Return the outputs of ``model`` in onnxruntime, without its optimizations unless ``optimize``."""
    session = session_of(model, optimize)
    found: list[Array] = session.run(None, {session.get_inputs()[0].name: x})
    return found


def session_of(model: onnx.ModelProto, optimize: bool = False) -> ort.InferenceSession:
    """Return ``model`` in onnxruntime on one thread, without its optimizations unless ``optimize``."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def softmax(logits: Array) -> Array:
    """Return the softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def probabilities(model: onnx.ModelProto, set_apart: bool, outputs: Array) -> Array:
    """Return ``outputs`` as what ``model`` predicts, whether or not its (log-)softmax was set apart."""
    if set_apart:
        return softmax(outputs)
    logarithms = any(node.op_type == "LogSoftmax" for node in model.graph.node)
    return np.exp(outputs) if logarithms else outputs


def printed(graph: gs.Graph) -> str:
    """Return the text of the graph."""
    text: str = onnx.printer.to_text(to_model(graph))
    return text


def batch_of(model: onnx.ModelProto, count: int, seed: int = 0) -> Array:
    """Return random inputs for ``model``, shape [count, …]."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(seed).normal(size=(count, *shape[1:])).astype(np.float32)


def check_passes(model: onnx.ModelProto, pipeline: str, any_batch: bool = True) -> gs.Graph:
    """Run ``pipeline`` on ``model`` and check what holds for every pass; return the new graph.

    With ``any_batch`` the result must also run three images at once.
    """
    graph = from_model(model)
    steps = parse_pipeline(pipeline)
    steps(graph)
    result = to_model(graph)
    onnx.checker.check_model(result, full_check=True)
    x = batch_of(model, 3)
    before = [run_model(model, image[None]) for image in x]
    after = [run_model(result, image[None]) for image in x]
    batched = run_model(to_model(graph, batch="N"), x) if any_batch else []
    for index in range(len(before[0])):
        expected = probabilities(model, False, np.concatenate([found[index] for found in before]))
        for actual in [np.concatenate([found[index] for found in after]), *batched[index : index + 1]]:
            compared = probabilities(model, state_of(graph).softmax, actual)
            np.testing.assert_allclose(compared, expected, rtol=RTOL, atol=ATOL)
    check_shapes(graph)
    check_stable(graph, steps)
    return graph


def check_shapes(graph: gs.Graph) -> None:
    """Check that the shapes the passes wrote are those that inference finds."""
    model = to_model(graph)
    del model.graph.value_info[:]
    inferred = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in infer(model, "test").graph.value_info
    }
    written = {t.name: list(t.shape) for node in graph.nodes for t in node.outputs if t.name in inferred}
    assert written == {name: inferred[name] for name in written}


def check_stable(graph: gs.Graph, steps: Pipeline) -> None:
    """Check that a second run of each pass says False and changes nothing."""
    before = printed(graph)
    for step in steps.steps:
        assert not step(graph), f"{to_text(step)} changed the graph again"
    assert printed(graph) == before


def check_text_form(step: Pass) -> None:
    """Check that the text form of ``step`` parses back to it."""
    assert parse_pass(to_text(step)) == step


def shapes(graph: gs.Graph) -> dict[str, list[int]]:
    """Return the shape of every tensor by name."""
    return {t.name: list(t.shape) for t in graph.tensors().values()}
