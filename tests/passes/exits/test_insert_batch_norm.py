"""Insert-batch-norm: the form in which a network is trained computes what the network does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from passes.errors import InputError
from passes.exits.insert_batch_norm import InsertBatchNorm, closing_layers
from passes.exits.insert_exits import InsertExits
from passes.model.graph import from_model
from passes.registry import parse_pass, parse_pipeline
from passes.state import copy_graph, state_of
from tests.passes.equivalence import check_passes, check_text_form
from tests.passes.net_builder import NetBuilder
from tests.passes.random_graphs import networks
from tests.passes.small_nets import chain
from tests.passes.test_properties import quick


@settings(quick, max_examples=40)
@given(networks())
def test_the_network_stays_the_same(model: onnx.ModelProto) -> None:
    check_passes(model, "insert-batch-norm{where=all}", any_batch=False)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("heads", ["exit_0/conv", "exit_1/conv"]),
        ("backbone", ["n0_Conv", "n2_Conv", "n4_Conv"]),
        ("all", ["n0_Conv", "n2_Conv", "n4_Conv", "exit_0/conv", "exit_1/conv"]),
    ],
)
def test_layers_are_those_of_the_place_but_classifiers(where: str, expected: list[str]) -> None:
    graph = from_model(chain())
    InsertExits(("2",), "conv")(graph)
    plain = copy_graph(graph)
    assert InsertBatchNorm(where, 0.75)(graph)
    norms = [n for n in graph.nodes if n.op == "BatchNormalization"]
    assert sorted(n.inputs[0].inputs[0].name for n in norms) == sorted(expected)
    assert all(n.attrs["momentum"] == 0.75 for n in norms)
    assert all(len(n.inputs[0].inputs[0].inputs) == 2 for n in norms), "the bias is the shift"
    parse_pipeline("fold-batchnorm")(graph)
    assert [(n.op, n.name) for n in graph.nodes] == [(n.op, n.name) for n in plain.nodes]
    assert [[t.name for t in n.outputs] for n in graph.nodes] == [
        [t.name for t in n.outputs] for n in plain.nodes
    ]
    assert state_of(graph).exits == state_of(plain).exits


def test_the_bias_is_the_shift() -> None:
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("Relu", net.conv("x", 2, 3))
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", x), net.normal(2, 48), transB=1)))
    bias = np.array(graph.nodes[0].inputs[2].values)
    InsertBatchNorm("all")(graph)
    _, scale, shift, mean, variance = graph.nodes[1].inputs
    assert np.array_equal(shift.values, bias)
    assert (scale.values == 1).all() and not mean.values.any()
    assert variance.values == pytest.approx(1 - 1e-5)


def test_rows_of_tokens_are_no_images() -> None:
    net = NetBuilder((1, 20))
    rows = net.op("Reshape", "x", net.const([5, 4], np.int64))
    x = net.op("Relu", net.op("Gemm", rows, net.normal(4, 6)))
    graph = from_model(net.model(net.op("Gemm", x, net.normal(6, 3))))
    assert not InsertBatchNorm("all")(graph)
    assert [d.reason for d in state_of(graph).declined] == ["the images do not lie along its first axis"]


def test_sums_that_are_added_up_to_logits_are_classifiers_all() -> None:
    net = NetBuilder((1, 4))
    hidden = net.op("Relu", net.op("Gemm", "x", net.normal(4, 6)))
    first, second = (net.op("Gemm", hidden, net.normal(6, 3)) for _ in range(2))
    graph = from_model(net.model(net.op("Add", first, second)))
    assert closing_layers(graph.outputs) == {"n2_Gemm", "n3_Gemm"}


def test_the_text_form_parses_back_and_an_unknown_place_is_refused() -> None:
    check_text_form(InsertBatchNorm("all", 0.5, 0.1))
    with pytest.raises(InputError, match="`where` cannot be 'tail'"):
        parse_pass("insert-batch-norm{where=tail}")(from_model(chain()))
