"""The end of a network: which Softmax is set apart, and what becomes of the exits behind it."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
from tests.passes.net_builder import NetBuilder


def test_softmax_in_front_of_flatten_moves_behind_it() -> None:
    net = NetBuilder((1, 3, 4, 4))
    pooled = net.op("GlobalAveragePool", net.conv("x", 3, 5))
    graph = check_passes(net.model(net.op("Flatten", net.op("Softmax", pooled, axis=1))), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Conv", "GlobalAveragePool", "Flatten"]
    assert state_of(graph).softmax


def canonical(model: onnx.ModelProto) -> gs.Graph:
    graph = from_model(model)
    Canonicalize()(graph)
    return graph


def reasons(graph: gs.Graph) -> list[str]:
    return [d.reason for d in state_of(graph).declined]


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [1, -1])
def test_the_logits_become_the_output(op: str, axis: int) -> None:
    net = NetBuilder((1, 4))
    logits = net.op("Gemm", "x", net.normal(3, 4), transB=1)
    graph = check_passes(net.model(net.op(op, logits, axis=axis)), "canonicalize")
    assert [t.name for t in graph.outputs] == [logits]
    assert state_of(graph).softmax


def test_without_a_softmax_none_is_recorded() -> None:
    net = NetBuilder((1, 4))
    assert not state_of(canonical(net.model(net.op("Gemm", "x", net.normal(3, 4), transB=1)))).softmax


def test_an_exit_follows_its_logits() -> None:
    net = NetBuilder((1, 4))
    logits = net.op("Gemm", "x", net.normal(3, 4), transB=1)
    model = net.model(net.op("Softmax", logits))
    graph = from_model(model)
    state_of(graph).exits = [Exit("final", "x", graph.outputs[0].name, 0.5)]
    Canonicalize()(graph)
    assert state_of(graph).exits == [Exit("final", "x", logits, 0.5)]


def test_logits_and_their_softmax_are_one_output() -> None:
    net = NetBuilder((1, 4))
    logits = net.op("Gemm", "x", net.normal(3, 4), transB=1)
    graph = canonical(net.model(net.op("Softmax", logits), logits, net.op("LogSoftmax", logits)))
    assert [t.name for t in graph.outputs] == [logits]


@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 3, 4), -1), ((1, 3, 1, 1), 1), ((1, 3), 0)], ids=["map", "ones", "batch"]
)
def test_a_softmax_over_something_else_stays(shape: tuple[int, ...], axis: int) -> None:
    net = NetBuilder(shape)
    model = net.model(net.op("Softmax", net.op("Relu", "x"), axis=axis))
    graph = check_passes(model, "canonicalize", any_batch=axis != 0)
    assert [n.op for n in graph.nodes] == ["Relu", "Softmax"]
    assert reasons(graph) == [
        f"its input {list(shape)} is not [batch, classes]: not the logits of a classifier"
    ]
    assert not state_of(graph).softmax


def test_a_softmax_that_the_network_reads_on_stays() -> None:
    net = NetBuilder((1, 4))
    gate = net.op("Softmax", net.op("Relu", "x"))
    graph = canonical(net.model(gate, net.op("Mul", gate, "x")))
    assert graph.outputs[0].name == gate
    assert reasons(graph) == ["the network goes on behind it"]


def test_a_softmax_of_the_input_stays() -> None:
    net = NetBuilder((1, 4))
    graph = canonical(net.model(net.op("Softmax", "x")))
    assert [n.op for n in graph.nodes] == ["Softmax"]
    assert reasons(graph) == ["the network goes on behind it"]


def test_a_softmax_inside_is_none_of_its_business() -> None:
    net = NetBuilder((1, 4))
    graph = check_passes(net.model(net.op("Relu", net.op("Softmax", net.op("Relu", "x")))), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Relu", "Softmax", "Relu"]
    assert not state_of(graph).softmax
    assert reasons(graph) == []


@pytest.mark.parametrize(
    ("shape", "axis", "moves"),
    [((1, 5, 1, 1), 1, True), ((1, 1, 5, 1), -2, True), ((1, 5, 1, 1), 2, False), ((1, 5, 2, 1), 1, False)],
    ids=str,
)
def test_only_a_softmax_over_all_that_is_left_moves_behind_the_flatten(
    shape: tuple[int, ...], axis: int, moves: bool
) -> None:
    net = NetBuilder(shape)
    probabilities = net.op("Softmax", net.op("Tanh", "x"), axis=axis)
    graph = check_passes(net.model(net.op("Flatten", probabilities)), "canonicalize")
    assert [n.op for n in graph.nodes] == ["Tanh", *(() if moves else ("Softmax",)), "Flatten"]
    assert state_of(graph).softmax is moves


def test_a_softmax_that_others_read_does_not_move() -> None:
    net = NetBuilder((1, 5, 1, 1))
    probabilities = net.op("Softmax", net.op("Tanh", "x"), axis=1)
    graph = canonical(net.model(net.op("Flatten", probabilities), net.op("Relu", probabilities)))
    assert [n.op for n in graph.nodes] == ["Tanh", "Softmax", "Flatten", "Relu"]
