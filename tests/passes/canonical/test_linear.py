"""Linear operators: one form of Gemm, and what goes into weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

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


def reasons(graph: gs.Graph) -> dict[str, str]:
    return {d.subject: d.reason for d in state_of(graph).declined}


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [[1.0, 2.0], [[1.0, 2.0]], [1.0], 1.0, [[1.0]]], ids=str)
def test_every_gemm_has_one_form(transposed: int, bias: Any) -> None:
    net = NetBuilder((1, 3))
    matrix = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    weights = net.const(matrix if transposed else matrix.T)
    model = net.model(net.op("Gemm", "x", weights, net.const(bias), alpha=0.5, beta=2.0, transB=transposed))
    (only,) = check_passes(model, "canonicalize").nodes
    assert dict(only.attrs) == {"alpha": 1.0, "beta": 1.0, "transB": 1}
    assert only.inputs[1].values.tolist() == (matrix / 2).tolist()
    second = 2.0 if np.size(bias) == 1 else 4.0
    assert only.inputs[2].values.tolist() == [2.0, second]


def test_matmul_with_a_constant_matrix_is_a_gemm() -> None:
    net = NetBuilder((1, 3))
    (only,) = check_passes(net.model(net.op("MatMul", "x", net.normal(3, 2))), "canonicalize").nodes
    assert (only.op, only.inputs[1].shape) == ("Gemm", (2, 3))


@pytest.mark.parametrize(
    ("shape", "factor", "reason"),
    [
        ((1, 3), "constant first", "its second operand is not a constant matrix, so it is no Gemm"),
        ((1, 3), "computed", "its second operand is not a constant matrix, so it is no Gemm"),
        ((1, 3, 3), "stack", "its second operand is not a constant matrix, so it is no Gemm"),
        ((1, 3, 3), "matrix", "its input has rank 3, a Gemm takes rank 2"),
    ],
)
def test_other_products_stay(shape: tuple[int, ...], factor: str, reason: str) -> None:
    net = NetBuilder(shape)
    if factor == "constant first":
        product = net.op("MatMul", net.normal(2, 1), "x")
    elif factor == "computed":
        product = net.op("MatMul", "x", net.op("Transpose", "x", perm=[1, 0]))
    else:
        product = net.op("MatMul", "x", net.normal(*((1, 3, 2) if factor == "stack" else (3, 2))))
    graph = check_passes(net.model(net.op("Relu", product)), "canonicalize", any_batch=False)
    matmul = next(n for n in graph.nodes if n.op == "MatMul")
    assert reasons(graph)[matmul.name] == reason


@pytest.mark.parametrize("part", ["weights", "bias", "transposed input"])
def test_a_gemm_of_computed_parts_stays(part: str) -> None:
    net = NetBuilder((1, 2))
    made = net.op("Relu", "x")
    if part == "weights":
        out = net.op("Gemm", "x", made, alpha=0.5, transB=1)
    elif part == "bias":
        out = net.op("Gemm", "x", net.normal(2, 2), made, alpha=0.5)
    else:
        out = net.op("Gemm", made, net.normal(1, 3), alpha=0.5, transA=1)
    graph = check_passes(net.model(out), "canonicalize", any_batch=False)
    gemm = graph.nodes[-1]
    assert gemm.attrs["alpha"] == 0.5
    expected = (
        "its bias is computed, not constant"
        if part == "bias"
        else ("its weights are computed, or its input is transposed")
    )
    assert reasons(graph) == {gemm.name: expected}


@pytest.mark.parametrize("constant_first", [True, False])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (2, 1, 1), (1, 2, 1, 1), (1, 1, 1)], ids=str)
def test_affine_operators_go_into_the_conv(op: str, constant_first: bool, shape: tuple[int, ...]) -> None:
    net = NetBuilder((1, 2, 4, 4))
    operands = [net.conv("x", 2, 2), net.const(net.rng.uniform(0.5, 2.0, shape))]
    model = net.model(net.op("Tanh", net.op(op, *(operands[::-1] if constant_first else operands))))
    graph = from_model(model)
    Canonicalize()(graph)
    if op == "Div" and constant_first:  # the reciprocal of what the Conv computes is not linear
        assert ops(graph) == ["Conv", "Div", "Tanh"]
    else:
        assert ops(check_passes(model, "canonicalize")) == ["Conv", "Tanh"]


@pytest.mark.parametrize("least", [0.0, 1e-42])
@pytest.mark.parametrize("linear", ["Conv", "Gemm"])
def test_a_division_by_nothing_stays_and_says_why(linear: str, least: float) -> None:
    net = NetBuilder((1, 2, 1, 1))
    divisor = net.const([[[[2.0]], [[least]]]] if linear == "Conv" else [[2.0, least]])
    data = (
        net.conv("x", 2, 2, 1)
        if linear == "Conv"
        else net.op("Gemm", net.op("Flatten", "x"), net.normal(2, 2))
    )
    graph = from_model(net.model(net.op("Div", data, divisor)))
    Canonicalize()(graph)
    assert ops(graph)[-2:] == [linear, "Div"]
    assert all(
        np.isfinite(t.values).all() for n in graph.nodes for t in n.inputs[1:] if isinstance(t, gs.Constant)
    )
    (reason,) = [text for text in reasons(graph).values() if text.startswith("it divides")]
    assert reason == "it divides by 0, or by a number so small that its inverse is infinite"


@pytest.mark.parametrize("values", [np.ones((4,)), np.ones((4, 4)), np.ones((1, 2, 1, 4))], ids=np.shape)
def test_a_constant_that_is_not_one_number_per_channel_stays(values: Array) -> None:
    net = NetBuilder((1, 2, 4, 4))
    model = net.model(net.op("Mul", net.conv("x", 2, 2), net.const(values)))
    assert ops(check_passes(model, "canonicalize")) == ["Conv", "Mul"]


def test_what_others_read_too_keeps_its_weights() -> None:
    net = NetBuilder((1, 2, 4, 4))
    conv = net.conv("x", 2, 2)
    graph = check_passes(net.model(net.op("Max", net.op("Mul", conv, net.const(2.0)), conv)), "canonicalize")
    assert ops(graph) == ["Conv", "Mul", "Max"]
    assert reasons(graph) == {"n1_Mul": "more than one node reads the output of Conv 'n0_Conv'"}


def test_what_an_exit_reads_keeps_its_weights() -> None:
    net = NetBuilder((1, 2, 4, 4))
    conv = net.conv("x", 2, 2)
    graph = from_model(net.model(net.op("Mul", conv, net.const(2.0))))
    state_of(graph).exits = [Exit("exit_0", conv, "somewhere")]
    Canonicalize()(graph)
    assert ops(graph) == ["Conv", "Mul"]


def transposed_net(perm: list[int], heads: int = 1) -> onnx.ModelProto:
    """Return Conv to [1, 3, 2, 4], a Transpose, Flatten, and Gemms that read it."""
    net = NetBuilder((1, 2, 2, 4))
    turned = net.op("Transpose", net.conv("x", 2, 3), perm=perm)
    flat = net.op("Flatten", turned)
    return net.model(*(net.op("Gemm", flat, net.normal(5, 24), transB=1) for _ in range(heads)))


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 3, 2, 1], [0, 1, 3, 2]], ids=str)
def test_a_transpose_in_front_of_flatten_permutes_the_weights(perm: list[int]) -> None:
    graph = check_passes(transposed_net(perm), "canonicalize")
    assert ops(graph) == ["Conv", "Flatten", "Gemm"]
    assert state_of(graph).origins[graph.nodes[1].name] == ("n2_Flatten", "n1_Transpose")


def test_each_gemm_gets_weights_of_its_own_order() -> None:
    assert ops(check_passes(transposed_net([0, 2, 3, 1], heads=2), "canonicalize")).count("Transpose") == 0


@pytest.mark.parametrize("node", [1, 2], ids=["in front of the Flatten", "behind it"])
def test_what_an_exit_reads_keeps_its_order(node: int) -> None:
    graph = from_model(transposed_net([0, 2, 3, 1]))
    state_of(graph).exits = [Exit("exit_0", graph.nodes[node].outputs[0].name, "somewhere")]
    Canonicalize()(graph)
    assert ops(graph) == ["Conv", "Transpose", "Flatten", "Gemm"]


def test_a_transpose_of_the_input_stays() -> None:
    net = NetBuilder((1, 2, 2, 4))
    flat = net.op("Flatten", net.to_last("x"))
    graph = check_passes(net.model(net.op("Gemm", flat, net.normal(5, 16), transB=1)), "canonicalize")
    assert ops(graph) == ["Transpose", "Flatten", "Gemm"]


def test_the_order_in_front_of_a_computed_matrix_stays() -> None:
    net = NetBuilder((1, 2, 2, 2))
    flat = net.op("Flatten", net.to_last(net.conv("x", 2, 2)))
    graph = canonical(net.model(net.op("Gemm", flat, net.op("Tanh", flat), transB=1)))
    assert "the weights of Gemm 'n4_Gemm' behind it cannot be permuted" in [
        d.reason for d in state_of(graph).declined if d.subject == "n1_Transpose"
    ]
    assert "Transpose" in ops(graph)


@pytest.mark.parametrize(("axis", "features"), [(2, 12), (3, 3), (-1, 3)])
def test_a_flatten_that_moves_the_batch_axis_keeps_its_transpose(axis: int, features: int) -> None:
    """A Gemm on every pixel of a channels-last map: its weights know nothing of the pixels."""
    net = NetBuilder((1, 2, 2, 4))
    rows = net.op("Flatten", net.to_last(net.conv("x", 2, 3)), axis=axis)
    model = net.model(net.op("Gemm", rows, net.normal(5, features), transB=1))
    graph = check_passes(model, "canonicalize", any_batch=False)
    assert ops(graph) == ["Conv", "Transpose", "Flatten", "Gemm"]
    assert "moves the batch axis" in reasons(graph)["n2_Flatten"]


def test_a_transpose_without_a_permutation_reverses_all_axes() -> None:
    net = NetBuilder((1, 2, 2, 4))
    flat = net.op("Flatten", net.op("Transpose", net.conv("x", 2, 3)))
    model = net.model(net.op("Gemm", flat, net.normal(5, 6), transB=1))
    graph = check_passes(model, "canonicalize", any_batch=False)
    assert ops(graph) == ["Conv", "Transpose", "Flatten", "Gemm"]
