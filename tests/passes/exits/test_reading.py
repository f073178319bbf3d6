"""Exits on vectors, tokens and what recurrent layers write: how each is read, and that the graph says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.exits.chain import head_nodes
from passes.exits.insert_exits import InsertExits
from passes.exits.mount_rules import DataFlow
from passes.exits.mounts import find_mounts
from passes.exits.reading import Reading, reading_of
from passes.model.graph import from_model, infer_shapes
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes import token_nets as nets
from tests.passes.equivalence import run_model
from tests.passes.exits.test_added_head import head_layers
from tests.passes.net_builder import NetBuilder


def canonical(model: onnx.ModelProto) -> gs.Graph:
    graph = from_model(model)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    return graph


def readings(graph: gs.Graph) -> dict[str, Reading | str]:
    network = DataFlow(graph)
    return {network.name(t): reading_of(t, network.final) for t in network.tensors}


def mean(*axes: int) -> str:
    return f"ReduceMean{list(axes)}"


def words(found: Reading | str) -> tuple[list[str], tuple[int, ...]] | str:
    if isinstance(found, str):
        return found
    return [
        f"{k.op}{list(k.axes)}" if k.op == "ReduceMean" else f"{k.op}{k.axes}{k.token}" for k in found.layers
    ], found.shape


FIRST = ["Gather(1,)0"]
CASES: dict[str, tuple[Callable[[], onnx.ModelProto], str, object]] = {
    "vector": (lambda: nets.mlp((8, 6, 5)), "relu_0", ([], (6,))),
    "feature map": (nets.vit, "conv_0", ([], (16, 4, 4))),
    "class token in front": (nets.vit, "add_5", (FIRST, (16,))),
    "tokens whose mean is classified": (lambda: nets.vit(token=False), "add_5", ([mean(1)], (16,))),
    "turned tokens are a map": (nets.mixer, "add_2", ([], (12, 16))),
    "tokens beside mixed ones": (nets.mixer, "add_4", ([mean(1)], (12,))),
    "channels last": (nets.channels_last, "add_1", ([mean(1, 2)], (8,))),
    "steps in front, last output": (lambda: nets.recurrent("LSTM"), "reshape_0", (["Gather(0,)-1"], (8,))),
    "steps in front, state": (
        lambda: nets.recurrent("GRU", reads="state"), "reshape_1", (["Gather(0,)-1"], (8,)),
    ),
    "steps in front, last of all states": (
        lambda: nets.recurrent("GRU", reads="states"), "reshape_1", (["Gather(0,)-1"], (8,)),
    ),
    "steps in front, mean": (lambda: nets.recurrent("RNN", reads="mean"), "reshape_0", ([mean(0)], (8,))),
    "directions are no batch": (
        lambda: nets.recurrent("LSTM"), "lstm_0",
        "its first axis, of 6, is not the batch: an exit reads one image's features",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_how_a_tensor_is_read(case: str) -> None:
    build, name, expected = CASES[case]
    assert words(readings(canonical(build()))[name]) == expected


NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto], list[str]]] = {
    "ten layers": (lambda: nets.mlp((8,) * 11), [f"relu_{i}" for i in range(9)]),
    "autoencoder": (lambda: nets.mlp((64, 16, 8, 4, 8, 16, 64)), [f"relu_{i}" for i in range(5)]),
    "class token": (nets.vit, ["conv_0", "add_0", "add_5", "add_8", "add_13", "add_16", "add_21"]),
    "mixer": (nets.mixer, ["conv_0", "add_2", "add_4", "add_7", "add_9", "add_12"]),
    "windows": (nets.channels_last, ["conv_0", "add_1", "add_3"]),
    **{op: (lambda op=op: nets.recurrent(op), ["reshape_0", "reshape_1"]) for op in ("LSTM", "GRU", "RNN")},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_without_maps_have_mounts(name: str) -> None:
    build, expected = NETWORKS[name]
    assert [mount.name for mount in find_mounts(canonical(build())) if mount.ok] == expected


@pytest.mark.parametrize("head", ["linear", "conv"])
@pytest.mark.parametrize("name", NETWORKS)
def test_heads_compute_what_their_reading_says(name: str, head: str) -> None:
    build, mounts = NETWORKS[name]
    model = build()
    graph = canonical(model)
    InsertExits((mounts[-1],), head)(graph)
    item = state_of(graph).exits[0]
    nodes = head_nodes(graph, item)
    layers = head_layers(graph, item)
    assert [node.op for node in nodes if node.op != "Relu"] == [layer.op for layer in layers]
    written = {t.name: list(t.shape) for t in graph.tensors().values()}
    infer_shapes(graph)
    assert {t.name: list(t.shape) for t in graph.tensors().values()} == written
    graph.outputs.append(graph.tensors()[item.mount])
    shape = tuple(graph.inputs[0].shape)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    logits, final, mount = run_model(to_model(graph), x)
    value = mount
    for node, layer in zip([n for n in nodes if n.op != "Relu"], layers, strict=True):
        if layer.op == "ReduceMean":
            value = value.mean(axis=layer.axes)
        elif layer.op == "Gather":
            value = np.take(value, layer.token, axis=layer.axes[0])
        else:
            assert layer.op == "Gemm"
            value = value @ node.inputs[1].values.T + node.inputs[2].values
            value = np.maximum(value, 0) if layer.hidden else value
    np.testing.assert_allclose(logits, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(final, run_model(model, x)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("index", [1, -2])
def test_a_token_in_the_middle_is_no_class_token(index: int) -> None:
    net = NetBuilder((1, 4, 6))
    x = nets.fully_connected(net, nets.normalized(net, nets.fully_connected(net, "x", 6, 6), 6), 6, 6)
    picked = net.op("Gather", x, net.const(index, np.int64), axis=1)
    graph = canonical(nets.classified(net, picked, 6))
    assert words(readings(graph)["layernormalization_0"]) == ([mean(1)], (6,))


@pytest.mark.parametrize(("start", "end", "token"), [(0, 1, 0), (3, 4, -1), (-1, 2**31, -1)])
def test_a_slice_of_one_token_is_a_class_token(start: int, end: int, token: int) -> None:
    net = NetBuilder((1, 4, 6))
    x = nets.fully_connected(net, nets.normalized(net, nets.fully_connected(net, "x", 6, 6), 6), 6, 6)
    bounds = [net.const([value], np.int64) for value in (start, end, 1)]  # the last is the axis
    picked = net.op("Squeeze", net.op("Slice", x, *bounds), net.const([1], np.int64))
    graph = canonical(nets.classified(net, picked, 6))
    assert words(readings(graph)["layernormalization_0"]) == ([f"Gather(1,){token}"], (6,))


def test_a_tensor_of_rank_five_says_its_rank() -> None:
    net = NetBuilder((1, 2, 4, 4, 4))
    for _ in range(2):
        x = net.op("Relu", net.op("Conv", "x", net.normal(2, 2, 3, 3, 3), pads=[1] * 6))
    graph = canonical(nets.classified(net, net.op("Flatten", net.op("GlobalAveragePool", x)), 2))
    assert str(readings(graph)["relu_0"]).startswith("has rank 5: an exit reads feature maps")
