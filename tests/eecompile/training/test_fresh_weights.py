"""Weights to start from."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.training.fresh_weights import (
    draw_heads,
    draw_network,
    fan_in,
    first_layers,
    relative_rates,
    reset_norms,
)
from eecompile.training.training_form import normalized
from passes.model.graph import from_model
from passes.state import state_of
from tests.eecompile.training.small import constants, early, network, same
from tests.passes.net_builder import NetBuilder


def node(op: str, **attrs: int) -> gs.Node:
    return gs.Node(op, "n", attrs)


@pytest.mark.parametrize(
    ("made", "shape", "expected"),
    [
        (node("Conv"), (8, 4, 3, 3), 36),
        (node("Conv", group=4), (4, 1, 3, 3), 9),
        (node("ConvTranspose"), (4, 8, 2, 2), 16),
        (node("ConvTranspose", group=2), (4, 8, 2, 2), 8),
        (node("Gemm", transB=1), (10, 64), 64),
        (node("Gemm"), (64, 10), 64),
        (node("MatMul"), (64, 10), 64),
        (node("MatMul"), (2, 64, 10), 64),
    ],
)
def test_each_sum_is_of_so_many_products(made: gs.Node, shape: tuple[int, ...], expected: int) -> None:
    assert fan_in(made, shape) == expected


def test_heads_are_drawn_for_what_they_read() -> None:
    form = normalized(network("conv"), "heads", 0.9)
    before = constants(form)
    heads = {n.name for n in form.nodes if n.name.startswith("exit_0/")}
    first = first_layers(form, heads)
    assert first == {"exit_0/conv": next(n for n in form.nodes if n.name == "exit_0/conv").inputs[0].name}
    scales = draw_heads(form, heads, {"exit_0/conv": 0.01}, 0)
    assert scales == {"exit_0/conv.weight": 0.01}
    after = constants(form)
    assert all(np.array_equal(after[k], before[k]) for k in after if not k.startswith("exit_0/"))
    weight = after["exit_0/conv.weight"]
    reach = 0.01 / math.sqrt(weight[0].size)
    assert 0.9 * reach < np.abs(weight).max() <= reach
    assert np.abs(after["exit_0/gemm.weight"]).max() > 0.9 / math.sqrt(512), "what it reads is normalized"
    other = normalized(network("conv"), "heads", 0.9)
    draw_heads(other, heads, {"exit_0/conv": 0.01}, 1)
    assert not same(form, other), "by the seed"


def prepared_input() -> gs.Graph:
    """Return a network that takes a mean from its image first, and has a shift behind a layer."""
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("Sub", "x", net.const(np.full((1, 2, 1, 1), 0.5)))
    x = net.op("Conv", x, net.normal(256, 2, 3, 3), net.normal(256), pads=[1] * 4)
    x = net.op("Mul", net.op("Relu", x), net.normal(1, 256, 1, 1))
    x = net.op("Flatten", net.op("GlobalAveragePool", net.op("Add", x, net.normal(1, 256, 1, 1))))
    return from_model(net.model(net.op("Gemm", x, net.normal(3, 256), net.normal(3), transB=1)))


def test_nothing_of_what_a_network_has_learnt_stays() -> None:
    graph = prepared_input()
    draw_network(graph, 0)
    sub, conv, _, mul, add, *_, gemm = graph.nodes
    assert (sub.inputs[1].values == 0.5).all(), "it is no weight"
    assert conv.inputs[1].values.std() == pytest.approx(math.sqrt(2 / 18), rel=0.05)
    assert gemm.inputs[1].values.std() == pytest.approx(math.sqrt(2 / 256), rel=0.1)
    assert not conv.inputs[2].values.any() and not gemm.inputs[2].values.any()
    assert (mul.inputs[1].values == 1).all() and not add.inputs[1].values.any()
    again, other = prepared_input(), prepared_input()
    draw_network(again, 0)
    draw_network(other, 1)
    assert same(graph, again) and not same(graph, other)


def test_normalizations_start_anew() -> None:
    net = NetBuilder((1, 2, 4, 4))
    graph = from_model(net.model(net.batchnorm(net.op("Relu", "x"), 2)))
    reset_norms(graph.nodes)
    assert [t.values.tolist() for t in graph.nodes[-1].inputs[1:]] == [[1, 1], [0, 0], [0, 0], [1, 1]]


def test_absent_weights_are_there_then() -> None:
    graph = network()
    state_of(graph).symbolic = True
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Constant) and tensor.values.dtype.kind == "f":
            tensor.values = np.broadcast_to(np.float32(1), tensor.shape)
    draw_network(graph, 0)
    assert not state_of(graph).symbolic
    assert all(np.std(v) > 0 for k, v in constants(graph).items() if v.ndim > 1)


def test_rates_are_by_the_size_of_weights() -> None:
    graph = network()
    weights = [n.inputs[1] for n in graph.nodes if n.op == "Conv"]
    names = [w.name for w in weights]
    for weight, size in zip(weights, (0.001, 1.0, 3.0), strict=True):
        weight.values = np.full(weight.shape, size, np.float32)
    found = relative_rates(graph, names)
    expected = [
        size * math.sqrt(np.prod(w.shape[1:]) / 2) for w, size in zip(weights, (0.001, 1.0, 3.0), strict=True)
    ]
    assert [found[name] for name in names] == pytest.approx(expected)
    assert set(found) == set(names) and not set(found) & set(early(graph))
