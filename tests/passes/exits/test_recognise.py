from __future__ import annotations

import numpy as np
import pytest

from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import Exit, state_of
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import EARLY, FINAL, chain, two_exits


def test_one_output_is_the_final_exit() -> None:
    graph = from_model(chain())
    assert recognise_exits(graph) == [Exit("final", "n5_Relu_out", graph.outputs[0].name)]


def test_outputs_become_exits_by_depth() -> None:
    graph = from_model(two_exits())
    assert recognise_exits(graph) == [
        Exit("exit_0", "n1_Relu_out", EARLY),
        Exit("final", "n5_Relu_out", FINAL),
    ]
    assert [t.name for t in graph.outputs] == [EARLY, FINAL]
    assert recognise_exits(graph) is state_of(graph).exits


def test_outputs_of_other_class_counts() -> None:
    net = NetBuilder((1, 2, 4, 4))
    flat = net.op("Flatten", net.conv("x", 2, 2))
    outputs = [net.op("Gemm", flat, net.normal(n, 32), transB=1) for n in (2, 3)]
    with pytest.raises(InputError, match=r"one class count.*, found .* \[1, 2\], .* \[1, 3\]"):
        recognise_exits(from_model(net.model(*outputs)))


def embedding_net(classes: int = 3, width: int = 64) -> tuple[NetBuilder, str, str]:
    """Return a network with the names of its embedding [1, width] and of its logits."""
    net = NetBuilder((1, 2, 4, 4))
    flat = net.op("Flatten", net.op("Relu", net.conv("x", 2, 2)))
    embedding = net.op("Gemm", flat, net.normal(width, 32), transB=1)
    return net, embedding, net.op("Gemm", embedding, net.normal(classes, width), transB=1)


def picks(net: NetBuilder, scores: str) -> list[str]:
    """Add ArgMax (cast to float) and TopK of ``scores``; return their outputs."""
    best = net.op("Cast", net.op("ArgMax", scores, axis=1), to=1)
    top = net.op("TopK", scores, net.const([2], np.int64))
    net.nodes[-1].output.append("indices")
    return [best, top]


def test_side_outputs_on_the_way_and_picks_of_the_logits_are_dropped() -> None:
    net, embedding, logits = embedding_net()
    graph = from_model(net.model(embedding, *(made := picks(net, logits)), logits))
    assert [e.output for e in recognise_exits(graph)] == [logits]
    assert [t.name for t in graph.outputs] == [logits]
    assert not any(node.op in ("ArgMax", "TopK", "Cast") for node in graph.nodes)
    reasons = {d.subject: d.reason for d in state_of(graph).declined if d.pass_name == "exits"}
    assert reasons == {
        embedding: f"lies on the way to '{logits}': no exit, the output is dropped",
        **dict.fromkeys(made, f"picks from the logits '{logits}': no exit, the output is dropped"),
    }


def test_a_label_beside_probabilities() -> None:
    net, _, logits = embedding_net()
    probabilities = net.op("Softmax", logits, axis=1)
    graph = from_model(net.model(probabilities, *picks(net, probabilities)))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    assert [e.output for e in recognise_exits(graph)] == [logits]
    assert state_of(graph).softmax, "the Softmax is set apart once ArgMax does not read it"
    assert [t.name for t in graph.outputs] == [logits]


def test_side_outputs_beside_several_exits() -> None:
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Relu", net.conv("x", 2, 4))
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(3, 64), transB=1)
    deep = net.op("Relu", net.conv(stem, 4, 4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", deep))
    final = net.op("Gemm", pooled, net.normal(3, 4), transB=1)
    graph = from_model(net.model(pooled, final, deep, early, *picks(net, early)))
    assert [e.output for e in recognise_exits(graph)] == [early, final]


def ambiguous_outputs(case: str) -> tuple[NetBuilder, list[str]]:
    net, embedding, logits = embedding_net(width=3 if case == "may be an exit" else 64)
    if case == "off the way":
        return net, [logits, net.op("Sigmoid", embedding)]
    if case == "picks from the embedding":
        return net, [logits, *picks(net, embedding)]
    if case == "only picks":
        return net, picks(net, logits)
    return net, [embedding, logits, *picks(net, logits)]


@pytest.mark.parametrize("case", ["may be an exit", "off the way", "picks from the embedding", "only picks"])
def test_side_outputs_with_a_second_reading_stay(case: str) -> None:
    net, outputs = ambiguous_outputs(case)
    graph = from_model(net.model(*outputs))
    with pytest.raises(InputError, match="not a classifier"):
        recognise_exits(graph)
    assert [t.name for t in graph.outputs] == outputs
    assert not state_of(graph).declined


def test_an_exit_that_leaves_at_two_tensors() -> None:
    net = NetBuilder((1, 2, 4, 4))
    one = net.op("Relu", net.conv("x", 2, 2))
    two = net.op("Relu", net.conv(one, 2, 2))
    early = net.op("Gemm", net.op("Flatten", net.op("Add", one, two)), net.normal(2, 32), transB=1)
    three = net.op("Relu", net.conv(net.op("Sigmoid", net.op("Tanh", two)), 2, 2))
    late = net.op("Gemm", net.op("Flatten", net.op("Mul", three, one)), net.normal(2, 32), transB=1)
    with pytest.raises(InputError, match="leaves the network at 2 tensors"):
        recognise_exits(from_model(net.model(late, early)))


def test_metadata_of_another_network() -> None:
    graph = from_model(chain())
    state_of(graph).exits = [Exit("final", "m", "gone")]
    with pytest.raises(InputError, match="exits 'final' at output 'gone'"):
        recognise_exits(graph)
