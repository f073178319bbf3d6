"""Fuse-layers: which nodes are one layer, by the options of the target, and how layers are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.exits.insert_exits import InsertExits
from passes.fuse_layers import FuseLayers
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.passes.equivalence import batch_of, check_text_form
from tests.passes.grids import add_grids
from tests.passes.net_builder import NetBuilder
from tests.passes.small_nets import chain


def fused(net: NetBuilder, *outputs: str, **options: Any) -> gs.Graph:
    graph = from_model(net.model(*outputs))
    FuseLayers(**options)(graph)
    return graph


def layers(graph: gs.Graph) -> list[str]:
    """Return the layer of each node, in the order of the graph."""
    return [state_of(graph).layers[n.name] for n in graph.nodes]


def reasons(graph: gs.Graph) -> dict[str, str]:
    return {d.subject: d.reason for d in state_of(graph).declined}


def small() -> NetBuilder:
    return NetBuilder((1, 2, 4, 4))


@pytest.mark.parametrize("step", [FuseLayers(), FuseLayers(activation=False, add=True, pool=True, before=3)])
def test_text_form(step: FuseLayers) -> None:
    check_text_form(step)


def test_layers_are_counted_by_their_main_operator() -> None:
    graph = from_model(chain(2))
    assert FuseLayers()(graph)
    assert layers(graph) == [
        "conv_0",
        "conv_0",
        "conv_1",
        "conv_1",
        "globalaveragepool_0",
        "flatten_0",
        "gemm_0",
    ]
    assert not FuseLayers()(graph), "nothing changes when it runs again"
    assert FuseLayers(activation=False)(graph)


@pytest.mark.parametrize("op", ["Relu", "Clip"])
def test_an_activation_joins_what_it_alone_reads(op: str) -> None:
    net = small()
    total = net.op("Add", net.conv("x", 2, 2), "x")
    graph = fused(net, net.op(op, total))
    assert layers(graph) == ["conv_0", "add_0", "add_0"]


@pytest.mark.parametrize(
    "case", ["read twice", "an output", "a move", "the input", "another activation", "told not to"]
)
def test_other_activations_are_layers(case: str) -> None:
    net = small()
    conv = net.conv("x", 2, 2)
    source = {"a move": net.op("MaxPool", conv, kernel_shape=[2, 2]), "the input": "x"}.get(case, conv)
    made = net.op("Sigmoid" if case == "another activation" else "Relu", source)
    others = {"read twice": [net.op("Neg", conv)], "an output": [conv]}.get(case, [])
    graph = fused(net, made, *others, activation=case != "told not to")
    (node,) = [n for n in graph.nodes if n.outputs[0].name == made]
    assert state_of(graph).layers[node.name] in ("relu_0", "sigmoid_0")
    expected = {
        "read twice": "'n0_Conv_out' is read by other nodes too",
        "an output": "'n0_Conv_out' is read by other nodes too",
        "a move": "MaxPool does no arithmetic an activation could join",
        "told not to": "activations are not fused on this target",
    }
    assert reasons(graph) == ({node.name: expected[case]} if case in expected else {})


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_an_add_joins_the_later_product(add: bool, swapped: bool) -> None:
    net = small()
    first, second = net.conv("x", 2, 2), net.conv("x", 2, 2)
    total = net.op("Add", *((second, first) if swapped else (first, second)))
    graph = fused(net, net.op("Relu", total), add=add)
    last = "conv_1" if add else "add_0"
    assert layers(graph) == ["conv_0", "conv_1", last, last]


def test_an_add_joins_an_integer_product_with_its_bias_cast_and_scale() -> None:
    net = NetBuilder((1, 4))
    other = net.op("Tanh", "x")
    whole = net.op("QuantizeLinear", "x", net.const(0.5), net.const(128, np.uint8))
    product = net.op("MatMulInteger", whole, net.const(np.eye(4), np.int8))
    biased = net.op("Add", product, net.const([1, 2, 3, 4], np.int32))
    scaled = net.op("Mul", net.op("Cast", biased, to=1), net.const(0.25))
    graph = fused(net, net.op("Add", other, scaled), add=True)
    assert layers(graph) == ["tanh_0", "quantize_input", *["gemm_0"] * 5]


@pytest.mark.parametrize("case", ["constant", "later is no product", "read by others", "broadcast"])
def test_other_adds_are_layers(case: str) -> None:
    net = small()
    first, second = net.op("Tanh", "x"), net.conv("x", 2, 2)
    expected = {
        "constant": "it does not join two computed tensors",
        "later is no product": "its later input comes from Exp, not a linear layer",
        "read by others": "'n1_Conv_out' is read by other nodes too",
        "broadcast": "its inputs have different shapes (broadcasting)",
    }[case]
    others = {
        "constant": lambda: (second, net.normal(1, 2, 4, 4)),
        "later is no product": lambda: (second, net.op("Exp", first)),
        "read by others": lambda: (first, second),
        "broadcast": lambda: (first, net.op("Conv", first, net.normal(2, 2, 4, 4))),
    }[case]()  # fmt: skip
    outputs = [net.op("Add", *others)]
    if case == "read by others":
        outputs.append(net.op("Neg", second))
    graph = fused(net, *outputs, add=True)
    (node,) = [n for n in graph.nodes if n.op == "Add"]
    assert state_of(graph).layers[node.name] == "add_0"
    assert reasons(graph)[node.name] == expected


def test_a_pool_joins_the_product_with_all_that_is_between() -> None:
    net = small()
    total = net.op("Relu", net.op("Add", net.conv("x", 2, 2), net.conv("x", 2, 2)))
    pooled = net.op("MaxPool", total, kernel_shape=[2, 2])
    graph = fused(net, net.op("GlobalAveragePool", pooled), add=True, pool=True)
    assert layers(graph) == ["conv_0", "conv_1", "conv_1", "conv_1", "conv_1", "globalaveragepool_0"]
    assert reasons(graph) == {"n5_GlobalAveragePool": "its input does not come from a linear layer"}


@pytest.mark.parametrize("case", ["input", "no product", "read by others"])
def test_other_pools_are_layers(case: str) -> None:
    net = small()
    conv = net.conv("x", 2, 2)
    source = {"input": "x", "no product": net.op("Tanh", conv), "read by others": conv}[case]
    graph = fused(net, net.op("GlobalMaxPool", source), net.op("Neg", conv), pool=True)
    (node,) = [n for n in graph.nodes if n.op == "GlobalMaxPool"]
    assert state_of(graph).layers[node.name] == "globalmaxpool_0"
    read_by_others = "'n0_Conv_out' is read by other nodes too"
    assert reasons(graph)[node.name] == (
        read_by_others if case == "read by others" else "its input does not come from a linear layer"
    )


@pytest.mark.parametrize("form", ["quantize", "quantize,fold-qdq"])
def test_quantization_is_of_the_layer_that_reads_or_writes(form: str) -> None:
    model = chain(2)
    graph = from_model(model)
    add_grids(graph, batch_of(model, 2))
    parse_pipeline(f"{form},fuse-layers")(graph)
    found = state_of(graph).layers
    assert set(found.values()) == {
        "quantize_input", "conv_0", "conv_1", "globalaveragepool_0", "flatten_0", "gemm_0"
    }  # fmt: skip
    for node in graph.nodes:
        layer = found[node.name]
        if node.op == "DequantizeLinear":
            assert layer in {found[reader.name] for reader in node.outputs[0].outputs}
        elif node.op == "QuantizeLinear":
            writers = [found[n.name] for n in node.inputs[0].inputs]
            assert layer in (writers or ["quantize_input"])


def test_layers_of_an_inserted_head_have_the_names_of_its_nodes() -> None:
    graph = from_model(chain(3))
    InsertExits(at=("relu_1",), head="conv")(graph)
    FuseLayers()(graph)
    found = state_of(graph).layers
    assert found["exit_0/relu"] == found["exit_0/conv"] == "exit_0/conv"
    assert found["exit_0/gemm"] == "exit_0/gemm"
    backbone = [layer for layer in dict.fromkeys(layers(graph)) if not layer.startswith("exit_0/")]
    assert backbone == ["conv_0", "conv_1", "conv_2", "globalaveragepool_0", "flatten_0", "gemm_0"]


def read_by_product(net: NetBuilder, op: str, views: bool = False, **attributes: Any) -> gs.Graph:
    pooled = net.op(op, net.op("Relu", net.conv("x", 2, 2)), **attributes)
    if views:
        return fused(net, net.op("Gemm", net.op("Flatten", pooled), net.normal(3, 2), transB=1), before=16)
    return fused(net, net.op("Conv", pooled, net.normal(3, 2, 1, 1)), before=16)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_a_pool_joins_the_product_that_alone_reads_it(op: str) -> None:
    graph = read_by_product(small(), op, kernel_shape=[2, 2], strides=[2, 2])
    assert layers(graph) == ["conv_0", "conv_0", "conv_1", "conv_1"]
    assert reasons(graph) == {}


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool", "MaxPool"])
def test_a_pool_to_one_position_joins_through_views(op: str) -> None:
    window: dict[str, Any] = {"kernel_shape": [4, 4]} if op == "MaxPool" else {}
    assert layers(read_by_product(small(), op, views=True, **window)) == ["conv_0", "conv_0", *["gemm_0"] * 3]


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, 4),
        ({"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}, 4),
        ({"kernel_shape": [2, 2], "dilations": [2, 2]}, 4),
        ({"kernel_shape": [2, 2], "strides": [2, 1]}, 4),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 5),
        ({"kernel_shape": [17, 17]}, 20),
        ({"kernel_shape": [2, 2], "strides": [17, 17]}, 20),
    ],
    ids=str,
)
def test_pools_with_other_windows_are_layers(attributes: dict[str, Any], size: int) -> None:
    graph = read_by_product(NetBuilder((1, 2, size, size)), "MaxPool", **attributes)
    assert layers(graph) == ["conv_0", "conv_0", "maxpool_0", "conv_1"]
    (reason,) = reasons(graph).values()
    assert reason == "its windows are padded, cut off or above 16, or its strides differ"


@pytest.mark.parametrize("case", ["an output", "read twice", "flattened", "no product", "an activation"])
def test_pools_that_no_product_alone_reads_are_layers(case: str) -> None:
    net = small()
    pooled = net.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])
    if case == "flattened":
        outputs = [net.op("Gemm", net.op("Flatten", pooled), net.normal(3, 8), transB=1)]
    elif case == "no product":
        outputs = [net.op("Neg", pooled)]
    else:
        source = net.op("Relu", pooled) if case == "an activation" else pooled
        outputs = [net.op("Conv", source, net.normal(3, 2, 1, 1))]
    outputs += {"an output": [pooled], "read twice": [net.op("Neg", pooled)]}.get(case, [])
    graph = fused(net, *outputs, before=16)
    assert layers(graph)[0] == "averagepool_0" and layers(graph)[-1] != "averagepool_0"
    expected = "it ends in an activation" if case == "an activation" else "no linear layer alone reads it"
    assert list(reasons(graph).values()) == [expected]


@pytest.mark.parametrize("form", ["", "quantize,", "quantize,fold-qdq,"])
def test_pools_in_front_are_the_same_in_every_form(form: str) -> None:
    model = chain(2)
    graph = from_model(model)
    if form:
        add_grids(graph, batch_of(model, 2))
    parse_pipeline(f"{form}fuse-layers{{before=16}}")(graph)
    found = dict.fromkeys(state_of(graph).layers.values())
    assert [name for name in found if name != "quantize_input"] == ["conv_0", "conv_1", "gemm_0"]
