"""The form in which a graph is trained, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import (
    balance,
    give_back,
    mask_classifiers,
    mounts_of,
    normalized,
    part,
    stop_into_logits,
)
from passes.errors import InputError
from passes.exits.insert_exits import InsertExits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from tests.eecompile.training.small import constants, network
from tests.passes.equivalence import batch_of, run_model
from tests.passes.net_builder import NetBuilder


def products(mounts: int) -> gs.Graph:
    """Return the network y = w_1 w_0 x …, a head on each product but the last; of two logits one is 0."""
    net = NetBuilder((1, 1, 1, 1))
    x = "x"
    inner = []
    for number in range(mounts + 1):
        x = net.op("Conv", x, net.const([[[[2.0 + number]]]]))
        inner.append(x)
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", x), net.const([[1.0], [0.0]]), transB=1)))
    state = state_of(graph)
    InsertExits(tuple(inner[:-1]), "linear")(graph)
    for item in state.exits[:-1]:
        for node in graph.nodes:
            if node.name.startswith(f"{item.name}/") and node.op == "Gemm":
                node.inputs[1].values = np.array([[1.0], [0.0]], np.float32)
    return graph


def first_gradient(graph: gs.Graph, weights: list[float]) -> float:
    """Return the gradient of the first weight for x = 1 and a weighted sum of all exits."""
    module = TorchGraph(graph)
    outputs = module(torch.ones(1, 1, 1, 1))
    total: Any = sum(w * y.sum() for w, y in zip(weights, outputs, strict=True))
    total.backward()
    name = next(n.inputs[1].name for n in graph.nodes if n.op == "Conv")
    found = module.value(name).grad
    return 0.0 if found is None else float(found)


def test_balanced_gradients_are_those_worked_out_by_hand() -> None:
    """Exits give w0, w1 w0 and w2 w1 w0 with w = 2, 3, 4: to w0 their gradients are 1, 3 and 12."""
    graph = products(2)
    assert first_gradient(graph, [1, 1, 1]) == pytest.approx(1 + 3 + 12)
    balance(graph)
    # (1 + 2 * (3 + 1 * 12) / 2) / 3: each of three exits counts a third
    for weights, expected in ([1, 0, 0], 1 / 3), ([0, 1, 0], 3 / 3), ([0, 0, 1], 12 / 3):
        assert first_gradient(graph, weights) == pytest.approx(expected)  # type: ignore[arg-type]


def test_rivals_on_a_mount_count_as_one_in_the_balance() -> None:
    graph = products(1)
    state = state_of(graph)
    (only, final) = state.exits
    rival = gs.Variable("exit_1", np.float32, [1, 2])
    flat = gs.Variable("exit_1/flat", np.float32, [1, 1])
    graph.nodes += [
        gs.Node("Flatten", "exit_1/flatten", {}, [graph.tensors()[only.mount]], [flat]),
        gs.Node(
            "Gemm",
            "exit_1/gemm",
            {"transB": 1},
            [flat, gs.Constant("v", np.eye(2, 1, dtype=np.float32))],
            [rival],
        ),
    ]
    graph.outputs.insert(1, rival)
    state.exits = [only, type(only)("exit_1", only.mount, "exit_1"), final]
    assert mounts_of(state.exits) == (only.mount,)
    balance(graph)
    assert first_gradient(graph, [0.5, 0.5, 1]) == pytest.approx((1 + 3) / 2)


def test_no_gradient_flows_into_logits_that_another_exit_reads() -> None:
    graph = products(1)
    tensors = graph.tensors()
    sums = gs.Variable("sums", np.float32, [1, 2])
    last = tensors[state_of(graph).exits[-1].output]
    last.inputs[0].outputs = [sums]
    graph.nodes.append(gs.Node("Add", "boost", {}, [sums, tensors["exit_0"]], [last]))
    assert first_gradient(graph, [0, 1]) == pytest.approx(3 + 1)
    stop_into_logits(graph)
    assert first_gradient(graph, [0, 1]) == pytest.approx(3)
    assert first_gradient(graph, [1, 0]) == pytest.approx(1), "its own loss still reaches it"


def test_masks_multiply_what_classifiers_read_and_nothing_else() -> None:
    graph = network("conv")
    model = to_model(copy_graph(graph))
    x = batch_of(model, 1)
    plain = run_model(model, x)
    shapes = mask_classifiers(graph)
    closing = [t.inputs[0] for t in graph.outputs]
    assert len(shapes) == 3 and all(n.op == "Gemm" for n in closing)
    module = TorchGraph(graph)
    ones = [torch.ones(1, *shape) for shape in shapes]
    for found, expected in zip(module(torch.from_numpy(x), *ones), plain, strict=True):
        np.testing.assert_allclose(found.detach(), expected, rtol=1e-4, atol=1e-5)
    for found, node in zip(module(torch.from_numpy(x), *(0 * one for one in ones)), closing, strict=True):
        assert node.inputs[2].values.tolist() == found[0].tolist(), "the bias is left"


def test_what_is_given_back_computes_what_was_trained() -> None:
    graph = network("conv")
    form = normalized(graph, "all", 0.9)
    rng = np.random.default_rng(0)
    for node in form.nodes:
        if node.op == "BatchNormalization":
            for tensor in node.inputs[1:]:
                tensor.values = rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
    model = to_model(copy_graph(form))
    x = batch_of(model, 1)
    expected, names = run_model(model, x), list(constants(graph))
    give_back(form, graph)
    for found, value in zip(run_model(to_model(graph), x), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    assert list(constants(graph)) == names


def test_a_layer_without_bias_gets_one() -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("Relu", net.conv("x", 2, 4, bias=False))
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", x), net.normal(3, 64), transB=1)))
    form = normalized(graph, "backbone", 0.9)
    norm = next(n for n in form.nodes if n.op == "BatchNormalization")
    norm.inputs[2].values = np.arange(4, dtype=np.float32)
    give_back(form, graph)
    conv = graph.nodes[0]
    assert conv.inputs[2].values.tolist() == [0, 1, 2, 3] and conv.inputs[2].name == f"{conv.name}.bias"


def test_values_that_are_not_finite_are_not_given_back() -> None:
    graph = network()
    before = constants(graph)
    form = normalized(graph, "nowhere", 0.9)
    last = next(n for n in reversed(form.nodes) if n.op == "Gemm")
    last.inputs[1].values = np.full(last.inputs[1].shape, np.nan, np.float32)
    form.nodes[0].inputs[1].values = form.nodes[0].inputs[1].values + 1
    with pytest.raises(InputError, match=f"diverged: the weights of Gemm '{last.name}'"):
        give_back(form, graph)
    assert all(np.array_equal(before[name], value) for name, value in constants(graph).items())


def test_a_part_is_what_lies_between() -> None:
    graph = network("conv")
    item = state_of(graph).exits[1]
    made = part(graph, [item.mount], [item.output])
    assert [t.name for t in made.inputs] == [item.mount] and [t.name for t in made.outputs] == ["exit_1"]
    assert {n.name.split("/")[0] for n in made.nodes} == {"exit_1"}
    assert len(graph.nodes) > len(made.nodes) and state_of(graph).exits, "the graph is as it was"
