"""Transposes between NHWC and NCHW: what they move past, and what holds them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from passes.canonical.canonicalize import Canonicalize
from passes.canonical.transposes import inverse, permuted, to_first, to_last
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.equivalence import check_passes
from tests.passes.net_builder import NetBuilder


def ops(graph: gs.Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def reasons(graph: gs.Graph) -> dict[str, str]:
    return {d.subject: d.reason for d in state_of(graph).declined}


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_channels_go_to_the_end_and_back(rank: int) -> None:
    values = np.zeros(tuple(range(2, 2 + rank)))
    last = np.moveaxis(values, 1, -1).shape
    assert permuted(values.shape, to_last(rank)) == last
    assert permuted(last, to_first(rank)) == values.shape
    assert inverse(to_last(rank)) == to_first(rank)


def test_the_inverse_undoes_every_permutation() -> None:
    for perm in permutations(range(4)):
        assert permuted(permuted((2, 3, 5, 7), perm), inverse(perm)) == (2, 3, 5, 7)


def two_transposes(first: list[int], second: list[int]) -> onnx.ModelProto:
    """Return a Conv, two Transposes that nothing is between, and Tanh."""
    net = NetBuilder((1, 2, 3, 4))
    turned = net.op("Transpose", net.op("Transpose", net.conv("x", 2, 2), perm=first), perm=second)
    return net.model(net.op("Tanh", turned))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ([0, 2, 3, 1], [0, 3, 1, 2], None),
        ([0, 2, 1, 3], [0, 2, 1, 3], None),
        ([0, 2, 1, 3], [0, 1, 3, 2], [0, 2, 3, 1]),
        ([0, 3, 1, 2], [0, 3, 2, 1], [0, 2, 1, 3]),
    ],
)
def test_two_in_a_row_are_one_or_none(first: list[int], second: list[int], both: list[int] | None) -> None:
    graph = check_passes(two_transposes(first, second), "canonicalize")
    assert [n.attrs["perm"] for n in graph.nodes if n.op == "Transpose"] == ([] if both is None else [both])


def test_what_an_exit_reads_between_two_stays() -> None:
    graph = from_model(two_transposes([0, 2, 3, 1], [0, 3, 1, 2]))
    state_of(graph).exits = [Exit("exit_0", graph.nodes[1].outputs[0].name, "somewhere")]
    Canonicalize()(graph)
    assert ops(graph).count("Transpose") == 2


def quantized(net: NetBuilder, x: str, scale: str, zero: str) -> str:
    """Add QuantizeLinear and DequantizeLinear of a channels-last map."""
    return net.op("DequantizeLinear", net.op("QuantizeLinear", x, scale, zero, axis=3), scale, zero, axis=3)


def elementwise(net: NetBuilder, last: str, case: str) -> str:
    """Add the operators of a case to the channels-last map ``last`` [1, 4, 4, 3]."""
    return {
        "unary": lambda: net.op("Exp", net.op("Neg", net.op("Abs", last))),
        "bounds": lambda: net.op("Clip", last, "", net.const(0.5)),
        "one grid": lambda: quantized(net, last, net.const(0.125), net.const(128, np.uint8)),
        "number": lambda: net.op("Mul", last, net.const(2.0)),
        "channels": lambda: net.op("Mul", net.normal(3), last),
        "columns": lambda: net.op("Add", last, net.normal(4, 1)),
        "map": lambda: net.op("Sub", last, net.normal(1, 4, 4, 3)),
        "slopes": lambda: net.op("PRelu", last, net.normal(3)),
        "two maps": lambda: net.op("Max", net.op("Tanh", last), last, net.op("Sigmoid", last)),
        "row": lambda: net.op("Mul", last, net.op("ReduceMax", last, net.const([1, 2], np.int64))),
    }[case]()  # fmt: skip


@pytest.mark.parametrize(
    "case",
    ["unary", "bounds", "one grid", "number", "channels", "columns", "map", "slopes", "two maps", "row"],
)
def test_it_sinks_past_elementwise_operators(case: str) -> None:
    net = NetBuilder((1, 2, 4, 4))
    last = net.to_last(net.conv("x", 2, 3))
    model = net.model(net.conv(net.to_first(elementwise(net, last, case)), 3, 2))
    assert "Transpose" not in ops(check_passes(model, "canonicalize"))


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 4, 4, 3)], ids=["one pixel", "a map"])
def test_it_sinks_past_a_product_with_a_map_of_single_elements_alone(shape: tuple[int, ...]) -> None:
    net = NetBuilder((1, 2, 4, 4))
    last = net.to_last(net.conv("x", 2, 3))
    other = net.op(
        "Reshape",
        net.op("Gemm", net.op("Flatten", "x"), net.normal(32, int(np.prod(shape)))),
        net.const([0, *shape[1:]], np.int64),
    )
    model = net.model(net.conv(net.to_first(net.op("Mul", last, other)), 3, 2))
    graph = check_passes(model, "canonicalize")
    assert ops(graph).count("Transpose") == (0 if shape[1] == 1 else 2)


def test_a_grid_per_channel_holds_it() -> None:
    net = NetBuilder((1, 2, 4, 4))
    scale, zero = net.const([0.125, 0.25, 0.5]), net.const([128, 127, 0], np.uint8)
    last = quantized(net, net.to_last(net.conv("x", 2, 3)), scale, zero)
    graph = check_passes(net.model(net.conv(net.to_first(last), 3, 2)), "canonicalize")
    assert ops(graph) == ["Conv", "Transpose", "QuantizeLinear", "DequantizeLinear", "Transpose", "Conv"]


def test_an_operand_that_was_turned_otherwise_holds_it() -> None:
    net = NetBuilder((1, 2, 4, 4))
    other = net.op("Transpose", net.conv("x", 2, 3), perm=[0, 3, 2, 1])
    model = net.model(net.conv(net.to_first(net.op("Mul", net.to_last(net.conv("x", 2, 3)), other)), 3, 2))
    assert ops(check_passes(model, "canonicalize")).count("Transpose") == 3


def test_a_product_that_adds_an_axis_holds_it() -> None:
    net = NetBuilder((1, 2, 4, 4))
    wider = net.op("Mul", net.to_last(net.conv("x", 2, 3)), net.const(np.full((1, 1, 1, 1, 1), 2.0)))
    graph = check_passes(net.model(wider), "canonicalize", any_batch=False)
    assert ops(graph) == ["Conv", "Transpose", "Mul"]


@pytest.mark.parametrize(("axis", "first"), [(3, 1), (-1, 1), (1, 2), (2, 3), (-2, 3)])
def test_the_axis_of_concat_and_split_moves(axis: int, first: int) -> None:
    net = NetBuilder((1, 2, 4, 4))
    last = net.to_last(net.conv("x", 2, 4))
    joined = net.op("Concat", last, net.op("Tanh", last), axis=axis)
    half = net.op("Split", joined, net.const([4, 4], np.int64), axis=axis)
    net.nodes[-1].output.append("rest")
    graph = check_passes(net.model(net.to_first(net.op("Sub", half, "rest"))), "canonicalize")
    assert ops(graph) == ["Conv", "Tanh", "Concat", "Split", "Sub"]
    assert [n.attrs["axis"] for n in graph.nodes if "axis" in n.attrs] == [first, first]


def test_a_concat_with_another_layout_stays() -> None:
    net = NetBuilder((1, 4, 4, 4))
    joined = net.op("Concat", net.to_last(net.conv("x", 4, 4)), "x", axis=3)
    graph = check_passes(net.model(net.to_first(joined)), "canonicalize")
    assert ops(graph) == ["Conv", "Transpose", "Concat", "Transpose"]
    assert (
        reasons(graph)["n1_Transpose"]
        == "it cannot move past Concat 'n2_Concat', which depends on the order of axes"
    )


def test_the_sides_of_a_pad_move() -> None:
    net = NetBuilder((1, 2, 4, 4))
    padded = net.op("Pad", net.to_last(net.conv("x", 2, 3)), net.const([0, 1, 2, 3, 0, 4, 5, 6], np.int64))
    graph = check_passes(net.model(net.to_first(padded)), "canonicalize")
    assert ops(graph) == ["Conv", "Pad"]
    assert graph.nodes[1].inputs[1].values.tolist() == [0, 3, 1, 2, 0, 6, 4, 5]


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceProd", "ReduceL2"])
@pytest.mark.parametrize("axes", [[1], [-1], [1, 3], [2, -1], [3, 2, 1]], ids=str)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_axes_of_a_reduction_move(op: str, axes: list[int], keepdims: int) -> None:
    net = NetBuilder((1, 2, 4, 5))
    reduced = net.op(op, net.to_last(net.conv("x", 2, 3)), net.const(axes, np.int64), keepdims=keepdims)
    graph = check_passes(net.model(net.op("Tanh", reduced)), "canonicalize")
    below = [n for n in graph.nodes[: ops(graph).index(op)] if n.op == "Transpose"]
    assert below == []


def test_a_reduction_of_all_that_is_said_nowhere_stays() -> None:
    net = NetBuilder((1, 2, 4, 4))
    model = net.model(net.op("ReduceL1", net.to_last(net.conv("x", 2, 3))))
    assert ops(check_passes(model, "canonicalize", any_batch=False)) == ["Conv", "Transpose", "ReduceL1"]


def test_a_reduction_of_no_axes_stays() -> None:
    net = NetBuilder((1, 2, 4, 4))
    total = net.op("ReduceSum", net.to_last(net.conv("x", 2, 3)), net.const([], np.int64), keepdims=0)
    model = net.model(net.op("Reshape", total, net.const([1, 1], np.int64)))
    graph = check_passes(model, "canonicalize", any_batch=False)
    assert ops(graph) == ["Conv", "Transpose", "ReduceSum", "Reshape"]


def test_other_permutations_do_not_sink() -> None:
    net = NetBuilder((1, 2, 4, 4))
    turned = net.op("Transpose", net.conv("x", 2, 3), perm=[0, 1, 3, 2])
    graph = check_passes(net.model(net.op("Tanh", turned)), "canonicalize")
    assert ops(graph) == ["Conv", "Transpose", "Tanh"]


def test_what_an_exit_reads_does_not_sink() -> None:
    net = NetBuilder((1, 2, 4, 4))
    last = net.to_last(net.conv("x", 2, 3))
    graph = from_model(net.model(net.to_first(net.op("Relu", last))))
    state_of(graph).exits = [Exit("exit_0", last, "somewhere")]
    Canonicalize()(graph)
    assert last in {t.name for n in graph.nodes if n.op == "Transpose" for t in n.outputs}


def from_input(case: str) -> onnx.ModelProto:
    """Return a channels-last input with the operators of a case on it, and a Conv."""
    net = NetBuilder((1, 4, 5, 3))
    cases: dict[str, Callable[[], str]] = {
        "alone": lambda: "x",
        "scaled": lambda: net.op("Div", net.op("Sub", "x", net.normal(3)), net.const(2.0)),
        "rows": lambda: net.op("Mul", net.normal(5, 1), "x"),
        "padded": lambda: net.op("Pad", net.op("Relu", "x"), net.const([0, 1, 2, 0, 0, 0, 1, 0], np.int64)),
        "by one": lambda: net.op("Pad", "x", net.const([0, 0, 1, 0, 0, 0, 0, 0], np.int64), net.const(1.0)),
        "reversed": lambda: net.op("Sub", net.op("Tanh", "x"), "x"),
    }
    return net.model(net.conv(net.to_first(cases[case]()), 3, 2))


@pytest.mark.parametrize("case", ["alone", "scaled", "rows", "padded", "by one"])
def test_it_rises_to_the_input(case: str) -> None:
    graph = check_passes(from_input(case), "canonicalize")
    assert [n.inputs[0].name for n in graph.nodes if n.op == "Transpose"] == ["x"]
    assert reasons(graph) == (
        reasons(graph) | {graph.nodes[0].name: "it reads the model input, whose layout belongs to the user"}
    )


def test_it_does_not_rise_to_an_input_that_is_read_twice() -> None:
    graph = check_passes(from_input("reversed"), "canonicalize")
    assert ops(graph) == ["Tanh", "Sub", "Transpose", "Conv"]


def test_it_rises_all_the_way_or_not_at_all() -> None:
    net = NetBuilder((1, 4, 4, 3))
    positive = net.op("Relu", "x")
    first = net.to_first(net.op("Neg", positive))
    graph = check_passes(net.model(first, net.op("Tanh", positive)), "canonicalize")
    assert ops(graph) == ["Relu", "Neg", "Transpose", "Tanh"]


def test_what_others_read_in_front_of_it_does_not_rise() -> None:
    net = NetBuilder((1, 4, 4, 3))
    positive = net.op("Relu", "x")
    graph = check_passes(net.model(net.to_first(positive), net.op("Tanh", positive)), "canonicalize")
    assert ops(graph) == ["Relu", "Transpose", "Tanh"]


def test_channels_last_block_that_cannot_move_is_declined() -> None:
    net = NetBuilder((1, 3, 4, 4))
    last = net.to_last(net.conv("x", 3, 4))
    mixed = net.op("MatMul", net.op("Tanh", last), net.normal(4, 4))
    flat = net.op("Flatten", net.op("GlobalAveragePool", net.to_first(mixed)))
    graph = check_passes(net.model(net.op("Gemm", flat, net.normal(2, 4), transB=1)), "canonicalize")
    reasons = {d.subject: d.reason for d in state_of(graph).declined}
    assert any("cannot move past MatMul" in reason for reason in reasons.values())


def test_what_is_left_at_the_end_says_so() -> None:
    net = NetBuilder((1, 2, 4, 4))
    graph = check_passes(net.model(net.to_last(net.conv("x", 2, 3))), "canonicalize")
    assert reasons(graph) == {
        "n1_Transpose": "it cannot move past the end of the network, which depends on the order of axes"
    }
