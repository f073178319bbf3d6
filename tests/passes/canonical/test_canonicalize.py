"""Canonicalize on whole networks, and what no golden file shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.canonical.fold_batchnorm import FoldBatchnorm
from passes.model.graph import from_model, load, to_model
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from tests.passes.equivalence import batch_of, check_passes, printed, run_model
from tests.passes.net_builder import NetBuilder
from tests.shared_files import shared


@pytest.mark.parametrize("name", ["resnet8_cifar10", "mobilenetv1_025_vww"])
def test_tflite_classifiers(name: str) -> None:
    graph = check_passes(onnx.load(shared("models", f"{name}.onnx")), "canonicalize")
    assert state_of(graph).softmax
    assert set(Counter(n.op for n in graph.nodes)) <= {
        "Conv",
        "Relu",
        "Add",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    }
    assert [o.name for o in graph.outputs] == ["model/dense/MatMul;model/dense/BiasAdd"]
    assert not state_of(graph).declined


def test_network_without_weights() -> None:
    graph = load(shared("reference", "eenn", "mobilenetv2_exits_3_5_8.onnx"))
    assert Canonicalize()(graph)
    assert FoldBatchnorm()(graph)
    assert Counter(n.op for n in graph.nodes) == {
        "Conv": 36, "Clip": 24, "Add": 5, "MaxPool": 4, "Flatten": 4, "Gemm": 4
    }  # fmt: skip
    assert [o.name for o in graph.outputs] == [f"output_{i}" for i in range(4)]
    weights = max(
        (t for n in graph.nodes for t in n.inputs[1:2] if n.op == "Conv"), key=lambda t: np.prod(t.shape)
    )
    assert not any(weights.values.strides), "absent weights must not take memory"


def nhwc_residual_net() -> onnx.ModelProto:
    """A classifier as tf2onnx writes it: NHWC input, Transposes around each Conv, a channel gate."""
    net = NetBuilder((1, 8, 8, 3))
    scaled = net.op("Mul", net.op("Sub", "x", net.normal(3)), net.const(0.5))
    padded = net.op("Pad", scaled, net.const([0, 0, 0, 0, 0, 1, 1, 0], np.int64))
    stem = net.op("Relu", net.to_last(net.conv(net.to_first(padded), 3, 8, strides=[2, 2], pads=[0] * 4)))
    block = net.batchnorm(net.conv(net.to_first(stem), 8, 8), 8)
    mean = net.op("ReduceMean", net.to_last(block), net.const([1, 2], np.int64), keepdims=1)
    gate = net.op("Sigmoid", net.to_last(net.conv(net.to_first(mean), 8, 8, kernel=1)))
    gated = net.op("Mul", net.to_last(block), gate)
    joined = net.op("Relu", net.op("Add", gated, stem))
    flat = net.op("Reshape", joined, net.const([-1, 4 * 4 * 8], np.int64))
    out = net.op("Add", net.op("MatMul", flat, net.normal(128, 5, scale=0.1)), net.normal(5))
    return net.model(net.op("Softmax", out, axis=-1))


def test_tensorflow_network_keeps_one_transpose() -> None:
    graph = check_passes(nhwc_residual_net(), "canonicalize,fold-batchnorm")
    transposes = [n for n in graph.nodes if n.op == "Transpose"]
    assert [n.inputs[0].name for n in transposes] == ["x"]
    assert not [n for n in graph.nodes if n.op in ("Pad", "Reshape", "ReduceMean")]


def test_channels_last_block_that_cannot_move_is_declined() -> None:
    net = NetBuilder((1, 3, 4, 4))
    last = net.to_last(net.conv("x", 3, 4))
    mixed = net.op("MatMul", net.op("Tanh", last), net.normal(4, 4))
    flat = net.op("Flatten", net.op("GlobalAveragePool", net.to_first(mixed)))
    graph = check_passes(net.model(net.op("Gemm", flat, net.normal(2, 4), transB=1)), "canonicalize")
    reasons = {d.subject: d.reason for d in state_of(graph).declined}
    assert any("cannot move past MatMul" in reason for reason in reasons.values())


def test_softmax_in_front_of_flatten_moves_behind_it() -> None:
    net = NetBuilder((1, 3, 4, 4))
    pooled = net.op("GlobalAveragePool", net.conv("x", 3, 5))
    graph = check_passes(net.model(net.op("Flatten", net.op("Softmax", pooled, axis=1))), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Conv", "GlobalAveragePool", "Flatten"]
    assert state_of(graph).softmax


def test_exits_follow_their_tensors() -> None:
    net = NetBuilder((1, 3, 4, 4))
    mount = net.op("Identity", net.op("Relu", net.conv("x", 3, 4)))
    heads = [net.op("Gemm", net.op("Flatten", mount), net.normal(2, 64), transB=1)]
    deep = net.op("Flatten", net.op("Relu", net.conv(mount, 4, 4)))
    heads.append(net.op("Gemm", deep, net.normal(2, 64), transB=1))
    outputs = [net.op("Softmax", head, axis=-1) for head in heads]
    graph = from_model(net.model(*outputs))
    state_of(graph).exits = [Exit("exit_0", mount, outputs[0]), Exit("final", deep, outputs[1])]
    Canonicalize()(graph)
    tensors = {t.name for n in graph.nodes for t in n.outputs}
    assert [e.output for e in state_of(graph).exits] == [o.name for o in graph.outputs] == heads
    assert all(e.mount in tensors for e in state_of(graph).exits)


def test_shared_weights_are_not_changed_under_another_node() -> None:
    net = NetBuilder((1, 3, 4, 4))
    weights = net.normal(3, 3, 1, 1)
    first = net.op("Mul", net.op("Conv", "x", weights), net.const(2.0))
    second = net.op("Conv", net.op("Relu", first), weights)
    model = net.model(net.op("Flatten", second))
    graph = check_passes(model, "canonicalize")
    assert [n.op for n in graph.nodes] == ["Conv", "Relu", "Conv", "Flatten"]


@pytest.mark.parametrize("groups", [1, 2])
def test_batchnorm_folds_into_conv_transpose(groups: int) -> None:
    net = NetBuilder((1, 4, 4, 4))
    up = net.op("ConvTranspose", "x", net.normal(4, 6 // groups, 2, 2), group=groups, strides=[2, 2])
    graph = check_passes(net.model(net.batchnorm(up, 6)), "canonicalize,fold-batchnorm")
    assert [n.op for n in graph.nodes] == ["ConvTranspose"]


@pytest.mark.parametrize("groups", [1, 2])
def test_batchnorm_folds_forward_into_groups(groups: int) -> None:
    net = NetBuilder((1, 4, 4, 4))
    normal = net.batchnorm(net.op("Relu", "x"), 4)
    conv = net.conv(normal, 4, 6, pads=[0] * 4, group=groups)
    graph = check_passes(net.model(conv), "fold-batchnorm")
    assert [n.op for n in graph.nodes] == ["Relu", "Conv"]


def test_a_copy_is_not_changed_by_passes_on_the_original() -> None:
    net = NetBuilder((1, 3, 4, 4))
    graph = from_model(net.model(net.batchnorm(net.conv("x", 3, 3), 3)))
    copy = copy_graph(graph)
    before = printed(copy)
    assert FoldBatchnorm()(graph)
    assert printed(copy) == before


INF, MOST = float("inf"), float(np.finfo(np.float32).max)
CLIPS: list[tuple[float | None, float | None]] = [
    (None, None), (-0.5, None), (None, 0.5), (-0.5, 0.5), (0.0, None), (0.5, -0.5), (1.0, 2.0), (-MOST, 0.5),
    (-0.5, MOST), (-INF, 0.5), (-0.5, INF), (INF, None), (None, -INF),
]  # fmt: skip


@pytest.mark.parametrize("second", CLIPS, ids=str)
@pytest.mark.parametrize("first", CLIPS, ids=str)
def test_clips_in_a_row(
    first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = "x"
    for bounds in (first, second):
        x = net.op("Clip", x, *("" if bound is None else net.const(bound) for bound in bounds))
    model = net.model(net.op("Sigmoid", x))
    graph = from_model(model)
    parse_pipeline("canonicalize")(graph)
    for image in batch_of(model, 4):
        expected, found = run_model(model, image[None]), run_model(to_model(graph), image[None])
        np.testing.assert_array_equal(found[0], expected[0])
    odd = INF in (first[0], second[0]) or -INF in (first[1], second[1])
    assert odd or sum(n.op in ("Clip", "Relu") for n in graph.nodes) <= 1


@pytest.mark.parametrize("bound", [-INF, -0.5, 0.0, 0.5, INF])
@pytest.mark.parametrize("op", ["Min", "Max"])
def test_min_and_max_with_a_number(op: str, bound: float) -> None:
    net = NetBuilder((1, 2, 4, 4))
    model = net.model(net.op("Sigmoid", net.op(op, "x", net.const(bound))))
    graph = from_model(model)
    parse_pipeline("canonicalize")(graph)
    for image in batch_of(model, 4):
        expected, found = run_model(model, image[None]), run_model(to_model(graph), image[None])
        np.testing.assert_array_equal(found[0], expected[0])
