"""Networks that were quantized elsewhere: what folds exactly, and every reason why something does not."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from passes.integers.fold_qdq import FoldQdq
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import state_of
from tests.passes.equivalence import batch_of, check_text_form, run_model
from tests.passes.net_builder import NetBuilder


class QdqNet(NetBuilder):
    """Writes Q/DQ as other tools do: int8 activations, zero points left out, DQ shared by readers."""

    def grid(self, scale: Any, dtype: Any, zero: Any) -> list[str]:
        scales = [self.const(scale)]
        return scales if zero is None else [*scales, self.const(np.full(np.shape(scale), zero), dtype)]

    def snap(self, x: str, scale: float = 0.125, dtype: Any = np.int8, zero: int | None = 3) -> str:
        """Quantize and dequantize an activation."""
        grid = self.grid(scale, dtype, zero)
        return self.op("DequantizeLinear", self.op("QuantizeLinear", x, *grid), *grid)

    def weight(
        self, *shape: int, scale: Any = 0.25, zero: Any = 0, dtype: Any = np.int8, **attrs: Any
    ) -> str:
        values = self.rng.integers(-60, 60, shape)
        return self.op("DequantizeLinear", self.const(values, dtype), *self.grid(scale, dtype, zero), **attrs)

    def bias(self, count: int, scale: Any = 0.125 * 0.25, **attrs: Any) -> str:
        values = self.const(self.rng.integers(-500, 500, count), np.int32)
        return self.op("DequantizeLinear", values, self.const(scale), **attrs)


def folded(model: onnx.ModelProto) -> list[str]:
    """Fold ``model``, check that it computes the same bits, and return the operators but Q/DQ."""
    graph = from_model(model)
    changed = FoldQdq()(graph)
    assert not FoldQdq()(graph)
    x = batch_of(model, 1)
    for a, b in zip(run_model(model, x), run_model(to_model(graph), x), strict=True):
        np.testing.assert_array_equal(a, b)
    operators = [n.op for n in graph.nodes if n.op not in ("QuantizeLinear", "DequantizeLinear")]
    assert changed == any(op in ("QLinearConv", "MatMulInteger") for op in operators)
    return operators


def reasons(model: onnx.ModelProto) -> list[str]:
    graph = from_model(model)
    FoldQdq()(graph)
    return [d.reason for d in state_of(graph).declined]


@pytest.mark.parametrize("zero", [0, 3])
def test_conv_with_int8_activations(zero: int) -> None:
    net = QdqNet((1, 2, 4, 4))
    conv = net.op("Conv", net.snap("x", zero=zero), net.weight(4, 2, 3, 3), net.bias(4))
    model = net.model(net.snap(net.op("Relu", conv), 4.0, zero=zero))
    assert folded(model) == ["QLinearConv", "Clip"]


def test_zero_points_left_out_are_zero() -> None:
    net = QdqNet((1, 2, 4, 4))
    x = net.snap("x", dtype=np.uint8, zero=None)
    conv = net.op("Conv", x, net.weight(4, 2, 3, 3, zero=None), net.bias(4))
    model = net.model(net.snap(net.op("Relu", conv), 4.0, np.uint8, None))
    assert folded(model) == ["QLinearConv"], "uint8 ends where the Relu does"


def test_conv_per_channel() -> None:
    net = QdqNet((1, 2, 4, 4))
    scales = np.array([0.25, 0.5, 1.0, 2.0])
    weight = net.weight(4, 2, 3, 3, scale=scales, axis=0)
    conv = net.op("Conv", net.snap("x"), weight, net.bias(4, 0.125 * scales, axis=0))
    assert folded(net.model(net.snap(conv, 4.0))) == ["QLinearConv"]


def test_gemm_per_channel_without_bias() -> None:
    net = QdqNet((1, 8))
    weight = net.weight(3, 8, scale=np.array([0.25, 0.5, 1.0]), axis=0)
    made = net.op("Gemm", net.snap("x"), weight, transB=1)
    assert folded(net.model(made)) == ["MatMulInteger", "Cast", "Mul"]


def test_shared_dequantize_and_move() -> None:
    net = QdqNet((1, 2, 4, 4))
    x = net.snap("x")
    pool = net.snap(net.op("MaxPool", x, kernel_shape=[2, 2]))
    left = net.snap(net.op("Conv", pool, net.weight(2, 2, 1, 1)), 4.0)
    right = net.snap(net.op("Conv", pool, net.weight(2, 2, 1, 1)), 4.0)
    joined = net.op("Add", left, right)
    assert folded(net.model(joined)) == ["MaxPool", "QLinearConv", "QLinearConv", "Add"]


def test_bias_with_a_scale_per_channel() -> None:
    net = QdqNet((1, 2, 4, 4))
    bias = net.bias(4, np.full(4, 0.125 * 0.25), axis=0)
    conv = net.op("Conv", net.snap("x"), net.weight(4, 2, 3, 3), bias)
    assert folded(net.model(net.snap(conv, 4.0))) == ["QLinearConv"]


def test_bias_on_another_grid() -> None:
    net = QdqNet((1, 2, 4, 4))
    conv = net.op("Conv", net.snap("x"), net.weight(4, 2, 3, 3), net.bias(4, 0.5))
    model = net.model(net.snap(conv, 4.0))
    assert folded(model) == ["Conv"]
    assert reasons(model) == ["its bias is not int32 on the grid input scale x weight scale"]


def gemm(**changes: Any) -> onnx.ModelProto:
    net = QdqNet((1, 3))
    weight = {k: v for k, v in changes.items() if k in ("scale", "zero", "dtype", "axis")}
    attrs = {"transB": 1} | {k: v for k, v in changes.items() if k not in weight and k != "x"}
    return net.model(
        net.op("Gemm", net.snap("x", **changes.get("x", {})), net.weight(3, 3, **weight), **attrs)
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"transB": 0}, "its weights are not [out, in]"),
        ({"alpha": 0.5}, "it scales its result or its bias (alpha, beta)"),
        (
            {"zero": np.array([5, 5, 4]), "scale": np.array([0.5, 1.0, 2.0]), "axis": 0},
            "its weights are no constants with one zero point",
        ),
        (
            {"scale": np.array([0.5, 1.0, 2.0]), "axis": 1},
            "its scales are neither per tensor nor per output channel",
        ),
        ({"dtype": np.int16}, "its operands are not 8-bit integers"),
        ({"x": {"dtype": np.int16}}, "its operands are not 8-bit integers"),
    ],
)
def test_gemms_that_stay(changes: dict[str, Any], reason: str) -> None:
    model = gemm(**changes)
    assert folded(model) == ["Gemm"]
    assert reasons(model) == [reason]


def test_a_zero_point_of_the_weights_is_kept() -> None:
    assert folded(gemm(zero=5)) == ["MatMulInteger", "Cast", "Mul"]


def test_clip_with_computed_bounds() -> None:
    net = QdqNet((1, 2, 4, 4))
    conv = net.op("Conv", net.snap("x"), net.weight(2, 2, 1, 1))
    top = net.op("ReduceMax", "x", keepdims=0)
    model = net.model(net.snap(net.op("Clip", conv, "", top), 4.0))
    assert folded(model) == ["Conv", "ReduceMax", "Clip"]
    assert "the bounds of its Clip are not constant" in reasons(model)


def test_a_bound_beyond_the_type_stays_inside_it() -> None:
    net = QdqNet((1, 2, 4, 4))
    conv = net.op("Conv", net.snap("x"), net.weight(2, 2, 1, 1))
    model = net.model(net.snap(net.op("Clip", conv, net.const(1000.0)), 0.125))
    assert folded(model) == ["QLinearConv", "Clip"]


BOUNDS: list[tuple[float | None, float | None]] = [
    (None, None), (-6.0, None), (None, 6.0), (-6.0, 6.0), (float(np.finfo(np.float32).min), 6.0),
    (-6.0, float(np.finfo(np.float32).max)), (float("-inf"), float("inf")), (6.0, -6.0), (200.0, 300.0),
]  # fmt: skip
INTEGER_BOUNDS: list[tuple[int | None, int | None]] = [
    (None, None), (-20, None), (None, 20), (-20, 20), (20, -20), (100, 120),
]  # fmt: skip


def clip(net: QdqNet, x: str, bounds: tuple[float | None, float | None], dtype: Any = np.float32) -> str:
    """Clip ``x``; a bound that is ``None`` is left out: by an empty name, or at the end by no name."""
    names = ["" if bound is None else net.const(bound, dtype) for bound in bounds]
    while names and not names[-1]:
        names.pop()
    return net.op("Clip", x, *names)


def clipped_net(
    op: str, bounds: tuple[float | None, float | None], integers: tuple[float | None, float | None] | None
) -> onnx.ModelProto:
    """Return ``op`` on quantized data, a float Clip, Q, perhaps an integer Clip, DQ."""
    net = QdqNet((1, 2, 4, 4))
    x = net.snap("x")
    if op == "Conv":
        made = net.op("Conv", x, net.weight(2, 2, 3, 3), net.bias(2))
    elif op == "Gemm":
        made = net.op("Gemm", net.snap(net.op("Flatten", x)), net.weight(3, 32), net.bias(3), transB=1)
    elif op == "Add":
        made = net.op("Add", x, x)
    else:
        made = net.op("GlobalAveragePool", x)
    grid = net.grid(0.5, np.int8, 3)
    quantized = net.op("QuantizeLinear", clip(net, made, bounds), *grid)
    if integers is not None:
        quantized = clip(net, quantized, integers, np.int8)
    return net.model(net.op("DequantizeLinear", quantized, *grid))


@pytest.mark.parametrize("integers", [None, *INTEGER_BOUNDS], ids=str)
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("op", ["Conv", "Gemm", "Add", "GlobalAveragePool"])
def test_clips_with_any_bounds(
    op: str, bounds: tuple[float | None, float | None], integers: tuple[float | None, float | None] | None
) -> None:
    model = clipped_net(op, bounds, integers)
    operators = run_and_fold(model)
    if op == "Conv":
        assert operators in (["QLinearConv"], ["QLinearConv", "Clip"]), "all Clips are one"


def run_and_fold(model: onnx.ModelProto) -> list[str]:
    """Fold ``model``, check that it computes the same bits on many inputs, and return its operators."""
    graph = from_model(model)
    FoldQdq()(graph)
    assert not FoldQdq()(graph)
    for x in 8 * batch_of(model, 4):
        for a, b in zip(run_model(model, x[None]), run_model(to_model(graph), x[None]), strict=True):
            np.testing.assert_array_equal(a, b)
    return [n.op for n in graph.nodes if n.op not in ("QuantizeLinear", "DequantizeLinear")]


def test_read_before_and_behind_the_quantizer() -> None:
    net = QdqNet((1, 2, 4, 4))
    conv = net.op("Conv", net.snap("x"), net.weight(2, 2, 1, 1))
    model = net.model(net.snap(conv, 4.0), conv)
    assert folded(model) == ["Conv"]
    assert reasons(model) == ["its result is read as float too"]


def test_text_form() -> None:
    check_text_form(FoldQdq())
    check_text_form(FoldQdq(contrib=True))


KEPT: dict[str, set[str]] = {
    "MaxPool": {"uint16", "int16", "uint4", "int4"},
    "Transpose": set(),
    **{op: {"uint4", "int4"} for op in ("Flatten", "Reshape", "Squeeze")},
}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint4", "int4"])
@pytest.mark.parametrize("op", KEPT)
def test_moves_are_folded_to_the_types_that_have_a_kernel(op: str, dtype: str) -> None:
    """What is folded runs in onnxruntime, with the same answers; what would not run is left, and said."""
    kind = np.dtype(dtype) if "4" not in dtype else np.dtype(getattr(ml_dtypes, dtype))
    net = QdqNet((1, 2, 4, 4))
    x = net.snap("x", dtype=kind)
    if op in ("Reshape", "Squeeze"):
        y = net.op(op, x, net.const([1, 2, 16] if op == "Reshape" else [0], np.int64))
    else:
        attributes = {"MaxPool": {"kernel_shape": [2, 2]}, "Transpose": {"perm": [0, 2, 3, 1]}}
        y = net.op(op, x, **attributes.get(op, {}))
    model = net.model(net.op("Sigmoid", net.snap(y, dtype=kind)))
    graph = from_model(model)
    assert FoldQdq()(graph) == (dtype not in KEPT[op])
    x_values = batch_of(model, 1)
    expected = run_model(model, x_values)[0]
    np.testing.assert_array_equal(run_model(to_model(graph), x_values)[0], expected)
    moved = next(node for node in graph.nodes if node.op == op)
    assert (moved.inputs[0].dtype == np.float32) == (dtype in KEPT[op])
    said = [d.reason for d in state_of(graph).declined if d.subject == moved.name]
    assert said == ([f"onnxruntime has no {op} of {dtype}"] if dtype in KEPT[op] else [])


def test_an_activation_in_16_bits_stays_in_front_of_its_quantize() -> None:
    """There is no Clip of 16-bit integers in onnxruntime."""
    net = QdqNet((1, 2, 4, 4))
    x = net.snap("x", dtype=np.uint16)
    model = net.model(net.snap(net.op("Relu", net.op("Add", x, x)), dtype=np.uint16))
    graph = from_model(model)
    FoldQdq()(graph)
    assert [node.op for node in graph.nodes if node.op in ("Relu", "Clip")] == ["Relu"]
    run_model(to_model(graph), batch_of(model, 1))
