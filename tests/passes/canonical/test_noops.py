"""What needs no operator: values that are known, and nodes that change nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto, helper

from passes.canonical import noops
from passes.canonical.canonicalize import Canonicalize
from passes.model.graph import from_model
from passes.rewrite.rewriter import Array
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
from tests.passes.net_builder import NetBuilder


def canonical(model: onnx.ModelProto) -> gs.Graph:
    graph = from_model(model)
    Canonicalize()(graph)
    return graph


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def read_by_a_sum(net: NetBuilder, values: str) -> Array:
    """Return what is added to the input once ``values`` are known."""
    graph = canonical(net.model(net.op("Add", "x", values)))
    assert ops(graph) == ["Add"]
    return np.asarray(graph.nodes[0].inputs[1].values)


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"start": 1}, [2, 3, 4]),
        ({"start": -2}, [3, 4]),
        ({"end": -1}, [1, 2, 3]),
        ({"start": 1, "end": 3}, [2, 3]),
        ({"start": 2, "end": 9}, [3, 4]),
    ],
    ids=str,
)
def test_the_shape_of_a_static_tensor_is_known(attrs: dict[str, int], expected: list[int]) -> None:
    net = NetBuilder((1, 2, 3, 4))
    shape = net.op("Shape", net.op("Relu", "x"), **attrs)
    total = net.op("ReduceSum", net.op("Cast", shape, to=TensorProto.FLOAT), keepdims=0)
    assert read_by_a_sum(net, total) == sum(expected)


def test_the_size_of_a_static_tensor_is_known() -> None:
    net = NetBuilder((1, 2, 3, 4))
    assert read_by_a_sum(net, net.op("Cast", net.op("Size", "x"), to=TensorProto.FLOAT)) == 24


def test_a_chain_of_constants_is_computed() -> None:
    net = NetBuilder((1, 3))
    parts = net.op("Split", net.const([1.0, 2.0, 3.0, 4.0]), num_outputs=2, axis=0)
    net.nodes[-1].output.append("high")
    doubled = net.op("Mul", net.op("Sub", "high", parts), net.const(1.5))
    assert read_by_a_sum(net, net.op("ReduceMax", doubled, keepdims=0)) == 3.0


def test_absent_inputs_do_not_hinder() -> None:
    net = NetBuilder((1, 3))
    assert read_by_a_sum(net, net.op("Clip", net.const([1.0, 5.0, 9.0]), "", net.const(6.0))).tolist() == [
        1,
        5,
        6,
    ]


def test_absent_weights_give_absent_weights() -> None:
    """Nothing is computed of them: the result has the shape alone, and takes no memory."""
    text = """
    <ir_version: 10, opset_import: ["": 21]>
    main (float[N,8] x) => (float[N,4] y)
    <float[4,8] w> {
      turned = Transpose <perm = [1, 0]> (w)
      y = MatMul (x, turned)
    }
    """
    graph = canonical(onnx.parser.parse_model(text))
    (gemm,) = graph.nodes
    weights = gemm.inputs[1].values
    assert weights.shape == (4, 8)
    assert not any(weights.strides)


def test_quantized_weights_say_their_precision() -> None:
    net = NetBuilder((1, 3))
    weights = net.op("DequantizeLinear", net.const([[1], [2], [3]], np.int8), net.const(0.5))
    assert ops(canonical(net.model(net.op("MatMul", "x", weights)))) == ["DequantizeLinear", "Gemm"]


def test_random_numbers_are_not_drawn_once_for_all() -> None:
    net = NetBuilder((1, 3))
    noise = net.op("RandomNormal", shape=[1, 3], seed=1.0)
    assert ops(canonical(net.model(net.op("Add", "x", noise)))) == ["RandomNormal", "Add"]


def test_an_output_that_is_known_keeps_its_node() -> None:
    net = NetBuilder((1, 3))
    known = net.op("Neg", net.const([1.0, 2.0]))
    assert ops(canonical(net.model(net.op("Relu", "x"), known))) == ["Neg", "Relu"]


@pytest.mark.parametrize(("limit", "left"), [(5, ["ConstantOfShape", "Add"]), (6, ["Add"])])
def test_what_would_take_too_much_memory_is_left(
    monkeypatch: pytest.MonkeyPatch, limit: int, left: list[str]
) -> None:
    monkeypatch.setattr(noops, "_MAX_ELEMENTS", limit)
    net = NetBuilder((1, 2, 3))
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    graph = canonical(
        net.model(net.op("Add", "x", net.op("ConstantOfShape", net.const([1, 2, 3], np.int64), value=zero)))
    )
    assert ops(graph) == left
    reasons = [d.reason for d in state_of(graph).declined]
    assert reasons == ([f"its constant result is larger than {limit} elements"] if len(left) > 1 else [])


def int_const(net: NetBuilder, *values: int) -> str:
    return net.const(values, np.int64)


def one_node(net: NetBuilder, x: str, case: str) -> str:
    """Add the node of a case of the tests below to ``net``."""
    attrs = {"kernel_shape": [1, 1]}
    whole, full = TensorProto.INT32, TensorProto.FLOAT
    return {
        "Identity": lambda: net.op("Identity", x),
        "Dropout": lambda: net.op("Dropout", x),
        "Dropout that is off": lambda: net.op("Dropout", x, net.const(0.5), net.const(False, np.bool_)),
        "Cast to float": lambda: net.op("Cast", x, to=full),
        "Cast to integers": lambda: net.op("Cast", net.op("Cast", x, to=whole), to=full),
        "Reshape to itself": lambda: net.op("Reshape", x, int_const(net, 0, 2, -1, 4)),
        "Expand to itself": lambda: net.op("Expand", x, int_const(net, 2, 1, 1)),
        "Expand": lambda: net.op("Expand", net.op("GlobalMaxPool", x), int_const(net, 1, 1, 3, 4)),
        "Tile once": lambda: net.op("Tile", x, int_const(net, 1, 1, 1, 1)),
        "Tile twice": lambda: net.op("Tile", x, int_const(net, 1, 1, 2, 1)),
        "Transpose to itself": lambda: net.op("Transpose", x, perm=[0, 1, 2, 3]),
        "Pad by nothing": lambda: net.op("Pad", x, int_const(net, *[0] * 8)),
        "Pad": lambda: net.op("Pad", x, int_const(net, 0, 0, 0, 0, 0, 0, 0, 1)),
        "Slice of all": lambda: net.op("Slice", x, *(int_const(net, v) for v in (0, 99, 2))),
        "Slice of all in steps": lambda: net.op("Slice", x, *(int_const(net, v) for v in (0, 99, 2, 1))),
        "Slice of some": lambda: net.op("Slice", x, *(int_const(net, v) for v in (1, 99, 2))),
        "Slice from behind": lambda: net.op("Slice", x, *(int_const(net, v) for v in (-1, -99, 2, -1))),
        "Clip without bounds": lambda: net.op("Clip", x),
        "Clip from one on": lambda: net.op("Clip", x, net.const(1.0)),
        "AveragePool of one": lambda: net.op("AveragePool", x, **attrs),
        "MaxPool of one": lambda: net.op("MaxPool", x, **attrs),
        "MaxPool of one in steps": lambda: net.op("MaxPool", x, strides=[2, 2], **attrs),
        "MaxPool of the same size": lambda: net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4),
        "GlobalMaxPool": lambda: net.op("GlobalMaxPool", x),
        "Concat of one": lambda: net.op("Concat", x, axis=1),
        "Concat of two": lambda: net.op("Concat", x, x, axis=1),
        "Sum of one": lambda: net.op("Sum", x),
        "Mean of one": lambda: net.op("Mean", x),
        "Max of one": lambda: net.op("Max", x),
        "Max of two": lambda: net.op("Max", x, net.op("Tanh", x)),
    }[case]()  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        "Identity", "Dropout", "Dropout that is off", "Cast to float", "Reshape to itself",
        "Expand to itself", "Tile once", "Transpose to itself", "Pad by nothing", "Slice of all",
        "Slice of all in steps", "Clip without bounds", "AveragePool of one", "MaxPool of one",
        "Concat of one", "Sum of one", "Mean of one", "Max of one",
    ],
)  # fmt: skip
def test_what_changes_nothing_goes(case: str) -> None:
    net = NetBuilder((1, 2, 3, 4))
    model = net.model(net.op("Sigmoid", one_node(net, net.op("Relu", "x"), case)))
    assert ops(check_passes(model, "canonicalize")) == ["Relu", "Sigmoid"]


@pytest.mark.parametrize(
    "case",
    [
        "Cast to integers", "Expand", "Tile twice", "Pad", "Slice of some", "Slice from behind",
        "MaxPool of one in steps", "MaxPool of the same size", "GlobalMaxPool", "Concat of two", "Max of two",
        "Clip from one on",
    ],
)  # fmt: skip
def test_what_looks_like_it_stays(case: str) -> None:
    net = NetBuilder((1, 2, 3, 4))
    model = net.model(net.op("Sigmoid", one_node(net, net.op("Relu", "x"), case)))
    assert case.split(maxsplit=1)[0] in ops(check_passes(model, "canonicalize"))


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
def test_a_global_pool_of_a_single_pixel_goes(op: str) -> None:
    net = NetBuilder((1, 2, 1, 1))
    assert ops(check_passes(net.model(net.op("Tanh", net.op(op, "x"))), "canonicalize")) == ["Tanh"]


def test_a_noop_at_the_output_leaves_its_name() -> None:
    net = NetBuilder((1, 2, 3, 4))
    last = net.op("Identity", net.op("Relu", "x"))
    graph = check_passes(net.model(last), "canonicalize")
    assert (ops(graph), graph.outputs[0].name) == (["Relu"], last)


def test_a_noop_between_input_and_output_stays() -> None:
    net = NetBuilder((1, 2, 3, 4))
    assert ops(check_passes(net.model(net.op("Identity", "x")), "canonicalize")) == ["Identity"]


def test_what_is_picked_beside_the_maximum_keeps_the_pool() -> None:
    net = NetBuilder((1, 2, 3, 4))
    pooled = net.op("MaxPool", "x", kernel_shape=[1, 1])
    net.nodes[-1].output.append("where")
    graph = canonical(net.model(net.op("Relu", pooled), net.op("Cast", "where", to=TensorProto.FLOAT)))
    assert "MaxPool" in ops(graph)


def test_an_exit_reads_on_where_a_noop_was() -> None:
    net = NetBuilder((1, 2, 3, 4))
    copied = net.op("Identity", net.op("Relu", "x"))
    graph = from_model(net.model(net.op("Tanh", copied)))
    state_of(graph).exits = [Exit("exit_0", copied, "somewhere")]
    Canonicalize()(graph)
    assert [e.mount for e in state_of(graph).exits] == ["n0_Relu_out"]
