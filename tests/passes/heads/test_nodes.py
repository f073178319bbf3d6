"""The nodes of a head compute what its layers say."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.heads.layers import Array, HeadLayer
from passes.heads.nodes import head_nodes_of
from tests.passes.equivalence import run_model

LAYERS = (
    HeadLayer("MaxPool", (2, 2)),
    HeadLayer("Conv", (1, 1), (1, 1), 5),
    HeadLayer("Conv", (3, 3), (2, 2), 5, depthwise=True),
    HeadLayer("Flatten"),
    HeadLayer("Gemm", channels=7, hidden=True, ceiling=0.5),
    HeadLayer("Concat", channels=4),
    HeadLayer("Gemm", channels=3),
)


def graph(before: int = 4, layers: tuple[HeadLayer, ...] = LAYERS, seed: int | None = 0) -> gs.Graph:
    x = gs.Variable("x", np.float32, [1, 2, 8, 8])
    other = gs.Variable("other", np.float32, [1, before])
    rng = None if seed is None else np.random.default_rng(seed)
    nodes = head_nodes_of(layers, x, "exit_0", rng, other)
    return gs.Graph(nodes, [x, other], [nodes[-1].outputs[0]], opset=21)


def test_nodes_are_named_and_shaped() -> None:
    made = graph()
    assert [node.name.partition("/")[2] for node in made.nodes] == [
        "maxpool", "conv", "relu", "conv_1", "relu_1", "flatten", "gemm", "clip", "concat", "gemm_1",
    ]  # fmt: skip
    shapes = {node.name.partition("/")[2]: list(node.outputs[0].shape) for node in made.nodes}
    assert shapes["maxpool"] == [1, 2, 4, 4] and shapes["conv_1"] == shapes["relu_1"] == [1, 5, 2, 2]
    assert shapes["clip"] == [1, 7] and shapes["concat"] == [1, 11] and shapes["gemm_1"] == [1, 3]
    assert made.outputs[0].name == "exit_0"


def value(made: gs.Graph, name: str, x: Array, other: Array) -> Array:
    tapped = made.copy()
    tapped.outputs = [tapped.tensors()[name]]
    model = gs.export_onnx(tapped.cleanup(remove_unused_graph_inputs=True), ir_version=10)
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": x, "other": other}
    found: Array = session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})[0]
    return found


def test_what_is_reused_stands_behind_the_own_features() -> None:
    rng = np.random.default_rng(1)
    x, other = rng.normal(size=(1, 2, 8, 8)).astype(np.float32), rng.normal(size=(1, 4)).astype(np.float32)
    made = graph()
    hidden = value(made, "exit_0/clip_out", x, other)
    assert hidden.min() >= 0 and hidden.max() == 0.5, "a ReLU with a ceiling"
    weight, bias = (t.values for t in made.nodes[-1].inputs[1:])
    expected = np.concatenate([hidden, other], axis=1) @ weight.T + bias
    np.testing.assert_allclose(value(made, "exit_0", x, other), expected, rtol=1e-5, atol=1e-5)


def test_logits_are_added() -> None:
    made = graph(3, (HeadLayer("Flatten"), HeadLayer("Gemm", channels=3), HeadLayer("Add")))
    x, other = np.ones((1, 2, 8, 8), np.float32), np.array([[1.0, -2.0, 3.0]], np.float32)
    np.testing.assert_allclose(
        value(made, "exit_0", x, other), value(made, "exit_0/gemm_out", x, other) + other, rtol=1e-6
    )


@pytest.mark.parametrize("seed", [None, 3])
def test_weights_are_symbolic_without_a_generator(seed: int | None) -> None:
    strides = [
        node.inputs[1].values.strides for node in graph(seed=seed).nodes if node.op in ("Conv", "Gemm")
    ]
    assert all(any(found) == (seed is not None) for found in strides)


def test_a_model_of_the_nodes_alone_runs() -> None:
    layers = (HeadLayer("Flatten"), HeadLayer("Gemm", channels=3))
    x = gs.Variable("x", np.float32, [1, 2, 2, 2])
    nodes = head_nodes_of(layers, x, "exit_0", np.random.default_rng(0))
    model = gs.export_onnx(gs.Graph(nodes, [x], [nodes[-1].outputs[0]], opset=21), ir_version=10)
    assert run_model(model, np.ones((1, 2, 2, 2), np.float32))[0].shape == (1, 3)
