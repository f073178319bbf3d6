"""Canonicalize on whole networks, and what no golden file shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.canonical.fold_batchnorm import FoldBatchnorm
from passes.model.graph import from_model, load
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
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
