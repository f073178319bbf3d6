"""Arithmetic on weights, against what onnxruntime computes without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.rewrite.rewriter import Array, Rewriter
from passes.rewrite.weights import (
    channel_values,
    out_channels,
    scale_inputs,
    scale_outputs,
    set_constant,
    why_not_constant,
)
from tests.passes.equivalence import batch_of, check_passes, run_model
from tests.passes.net_builder import NetBuilder

LINEARS = [
    ("Conv", {}),
    ("Conv", {"group": 2}),
    ("ConvTranspose", {"strides": [2, 2]}),
    ("ConvTranspose", {"group": 2}),
    ("Gemm", {"transB": 0}),
    ("Gemm", {"transB": 1}),
]


def linear_net(op: str, attrs: dict[str, int], bias: Array | None) -> onnx.ModelProto:
    """Return one linear operator from 4 to 6 channels."""
    groups = attrs.get("group", 1)
    net = NetBuilder((1, 4) if op == "Gemm" else (1, 4, 3, 3))
    if op == "Gemm":
        weights = net.normal(6, 4) if attrs["transB"] else net.normal(4, 6)
    else:
        weights = net.normal(*((6, 4 // groups) if op == "Conv" else (4, 6 // groups)), 2, 2)
    return net.model(net.op(op, "x", weights, *([] if bias is None else [net.const(bias)]), **attrs))


def per_channel(values: Array, like: Array) -> Array:
    return np.asarray(values, np.float32).reshape(1, -1, *(1 for _ in like.shape[2:]))


BIASES = [None, np.arange(6.0)]


@pytest.mark.parametrize("bias", BIASES, ids=["no bias", "bias"])
@pytest.mark.parametrize(("op", "attrs"), LINEARS, ids=str)
def test_scaled_outputs(op: str, attrs: dict[str, int], bias: Array | None) -> None:
    model = linear_net(op, attrs, bias)
    graph = from_model(model)
    rng = np.random.default_rng(1)
    scale, shift = rng.uniform(0.5, 2.0, 6), rng.normal(size=6)
    (node,) = graph.nodes
    assert out_channels(node) == 6
    scale_outputs(Rewriter(graph, "test"), node, scale, shift)
    x = batch_of(model, 1)
    plain = run_model(model, x)[0]
    expected = plain * per_channel(scale, plain) + per_channel(shift, plain)
    np.testing.assert_allclose(run_model(to_model(graph), x)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", BIASES, ids=["no bias", "bias"])
@pytest.mark.parametrize(("op", "attrs"), [case for case in LINEARS if case[0] != "ConvTranspose"], ids=str)
def test_scaled_inputs(op: str, attrs: dict[str, int], bias: Array | None) -> None:
    model = linear_net(op, attrs, bias)
    graph = from_model(model)
    rng = np.random.default_rng(1)
    scale, shift = rng.uniform(0.5, 2.0, 4), rng.normal(size=4)
    scale_inputs(Rewriter(graph, "test"), graph.nodes[0], scale, shift)
    x = batch_of(model, 1)
    expected = run_model(model, x * per_channel(scale, x) + per_channel(shift, x))[0]
    np.testing.assert_allclose(run_model(to_model(graph), x)[0], expected, rtol=1e-5, atol=1e-5)


def test_values_are_rounded_once() -> None:
    """In float32 the scale alone would be rounded, to one."""
    net = NetBuilder((1, 1))
    graph = from_model(net.model(net.op("Gemm", "x", net.const([[1.5]]), net.const([2.0**24]), transB=1)))
    scale = np.array([1 + 2**-24 - 2**-30])
    scale_outputs(Rewriter(graph, "test"), graph.nodes[0], scale, np.array([-(2.0**24)]))
    weights, bias = (t.values.reshape(-1)[0] for t in graph.nodes[0].inputs[1:])
    assert (weights, bias) == (np.float32(1.5 + 2**-23), np.float32(1 - 2**-6))
    assert weights.dtype == bias.dtype == np.float32


@pytest.mark.parametrize("scaled", [scale_outputs, scale_inputs])
def test_absent_weights_stay_absent(scaled: Callable[[Rewriter, gs.Node, Array, Array], None]) -> None:
    net = NetBuilder((1, 4))
    graph = from_model(net.model(net.op("Gemm", "x", net.normal(4, 4), transB=1)))
    (node,) = graph.nodes
    node.inputs[1].values = np.broadcast_to(np.float32(1), (4, 4))
    scaled(Rewriter(graph, "test"), node, np.full(4, 2.0), np.ones(4))
    assert not any(node.inputs[1].values.strides)
    assert node.inputs[2].shape == (4,)


def test_shared_weights_are_not_changed_under_another_node() -> None:
    net = NetBuilder((1, 3, 4, 4))
    weights = net.normal(3, 3, 1, 1)
    first = net.op("Mul", net.op("Conv", "x", weights), net.const(2.0))
    second = net.op("Conv", net.op("Relu", first), weights)
    model = net.model(net.op("Flatten", second))
    graph = check_passes(model, "canonicalize")
    assert [n.op for n in graph.nodes] == ["Conv", "Relu", "Conv", "Flatten"]


def test_a_constant_that_others_read_is_copied() -> None:
    net = NetBuilder((1, 4))
    weights = net.normal(4, 4)
    graph = from_model(net.model(net.op("Gemm", net.op("Gemm", "x", weights), weights)))
    first, second = graph.nodes
    old = np.array(second.inputs[1].values)
    rewriter = Rewriter(graph, "test")
    set_constant(rewriter, first, 1, np.zeros((4, 4), np.float32))
    assert first.inputs[1].name == "const_0_2"
    np.testing.assert_array_equal(second.inputs[1].values, old)
    set_constant(rewriter, second, 1, np.ones((4, 4), np.float32))
    assert second.inputs[1].name == "const_0", "now it is the only reader"


def test_a_bias_that_was_not_there_is_added_in_its_place() -> None:
    net = NetBuilder((1, 4))
    graph = from_model(net.model(net.op("Relu", net.op("Gemm", "x", net.normal(4, 4)))))
    set_constant(Rewriter(graph, "test"), graph.nodes[0], 2, np.ones(4, np.float32))
    assert [t.name for t in graph.nodes[0].inputs] == ["x", "const_0", "n0_Gemm_bias"]


def test_inputs_before_it_are_left_out() -> None:
    node = gs.Node(
        "Clip", "clip", {}, [gs.Variable("x", np.float32, [1])], [gs.Variable("y", np.float32, [1])]
    )
    graph = gs.Graph([node], [node.inputs[0]], [node.outputs[0]])
    set_constant(Rewriter(graph, "test"), node, 2, np.array(6, np.float32))
    assert [t.is_empty() for t in node.inputs] == [False, True, False]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("plain", None),
        ("beta of one", None),
        ("weights", "the weights of Gemm 'fc' are computed, not constant"),
        ("bias", "the bias of Gemm 'fc' are computed, not constant"),
        ("alpha", "Gemm 'fc' has transA, alpha or beta that canonicalize could not fold"),
        ("beta", "Gemm 'fc' has transA, alpha or beta that canonicalize could not fold"),
        ("transA", "Gemm 'fc' has transA, alpha or beta that canonicalize could not fold"),
    ],
)
def test_why_weights_cannot_be_rewritten(case: str, reason: str | None) -> None:
    attrs = {
        "beta of one": {"beta": 1.0},
        "alpha": {"alpha": 2.0},
        "beta": {"beta": 0.0},
        "transA": {"transA": 1},
    }
    others = [gs.Variable(n) if n == case else gs.Constant(n, np.ones(4)) for n in ("weights", "bias")]
    node = gs.Node("Gemm", "fc", attrs.get(case, {}), [gs.Variable("x"), *others])
    assert why_not_constant(node) == reason


def test_a_linear_operator_without_bias_can_be_rewritten() -> None:
    assert (
        why_not_constant(gs.Node("Conv", "conv", {}, [gs.Variable("x"), gs.Constant("w", np.ones(4))]))
        is None
    )


@pytest.mark.parametrize(
    ("values", "like", "expected"),
    [
        (2.0, (1, 3, 4, 4), [2, 2, 2]),
        ([[[1.0]], [[2.0]], [[3.0]]], (1, 3, 4, 4), [1, 2, 3]),
        ([[[[1.0]], [[2.0]], [[3.0]]]], (1, 3, 4, 4), [1, 2, 3]),
        ([1.0, 2.0, 3.0], (1, 3), [1, 2, 3]),
        ([[1.0, 2.0, 3.0]], (1, 3), [1, 2, 3]),
        ([5.0], (1, 3), [5, 5, 5]),
        ([1.0, 2.0, 3.0], (1, 3, 3, 3), None),
        ([[1.0], [2.0], [3.0]], (1, 3), None),
        ([[[1.0]], [[2.0]]], (1, 3, 4, 4), None),
        (np.ones((1, 3, 1)), (1, 3), None),
    ],
    ids=str,
)
def test_one_number_per_channel(values: object, like: tuple[int, ...], expected: list[float] | None) -> None:
    tensor = gs.Constant("c", np.asarray(values, np.float32))
    found = channel_values(tensor, gs.Variable("like", np.float32, list(like)))
    assert (None if found is None else found.tolist()) == expected
    assert found is None or found.dtype == np.float64


def test_a_computed_tensor_is_no_number_per_channel() -> None:
    data = gs.Variable("x", np.float32, [1, 3])
    assert channel_values(data, data) is None
