from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import (
    BATCH,
    Array,
    Shape,
    agree,
    by_onnxruntime,
    graph_of,
    images,
    network,
    normal,
    positive,
)
from tests.needs import needs_torch

pytestmark = needs_torch
SHAPES = st.sampled_from([(1, 3), (1, 2, 5), (1, 3, 4, 4)])
# Operators of one tensor without attributes.
PLAIN = (
    "Relu", "HardSwish", "Mish", "Sigmoid", "Softplus", "Softsign", "Tanh", "Erf", "Exp", "Neg", "Abs",
    "Sign", "Floor", "Ceil", "Round", "Sin", "Cos",
)  # fmt: skip
OF_POSITIVE = ("Sqrt", "Reciprocal", "Log")
SLOPES: dict[str, tuple[str, ...]] = {
    "LeakyRelu": ("alpha",), "Elu": ("alpha",), "Celu": ("alpha",), "Selu": ("alpha", "gamma"),
    "HardSigmoid": ("alpha", "beta"), "ThresholdedRelu": ("alpha",), "Shrink": ("bias", "lambd"),
}  # fmt: skip
OF_TWO = ("Add", "Sub", "Mul", "Div")
OF_MANY = ("Max", "Min", "Sum", "Mean")
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
LOGIC = ("And", "Or", "Not")
TESTED = {
    *PLAIN, *OF_POSITIVE, *SLOPES, *OF_TWO, *OF_MANY, *COMPARISONS, *LOGIC,
    "Clip", "PRelu", "Gelu", "Softmax", "LogSoftmax", "Pow", "Mod", "Where",
}  # fmt: skip


@pytest.mark.parametrize("op", PLAIN)
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4, 4)])
def test_plain(op: str, shape: Shape) -> None:
    agree(network(op, [shape]), images(network(op, [shape]), scale=3))


@pytest.mark.parametrize("op", OF_POSITIVE)
def test_of_positive_numbers(op: str) -> None:
    agree(network(op, [(1, 3, 4)]), [positive(BATCH, 3, 4)])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SLOPES)), st.data(), SHAPES)
def test_slopes_and_limits(op: str, data: st.DataObject, shape: Shape) -> None:
    numbers = st.sampled_from([0.125, 0.5, 1.0, 1.75])
    attrs: dict[str, Any] = {name: data.draw(numbers) for name in SLOPES[op] if data.draw(st.booleans())}
    agree(network(op, [shape], **attrs))


@pytest.mark.parametrize("op", ["Elu", "Celu", "Selu", "Softplus", "Mish", "Gelu", "HardSwish"])
def test_gradients_of_large_numbers_are_numbers(op: str) -> None:
    """An exponential of what is not taken must not make the gradient of what is taken NaN."""
    import torch

    from eecompile.training.torch_graph import TorchGraph

    module = TorchGraph(graph_of(network(op, [(1, 4)])))
    x = torch.tensor([[-200.0, -1.0, 1.0, 200.0]], requires_grad=True)
    module(x)[0].sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad[0, -1] > 0.99


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    agree(network("Gelu", [(1, 3, 5)], approximate=approximate))


LIMITS = st.sampled_from([None, -0.75, 0.0, 0.5, 6.0])


@settings(max_examples=20, deadline=None)
@given(LIMITS, LIMITS)
def test_clip_is_exact(low: float | None, high: float | None) -> None:
    limits = [None if value is None else np.array(value, np.float32) for value in (low, high)]
    while limits and limits[-1] is None:
        limits.pop()
    agree(network("Clip", [(1, 3, 4)], limits), exact=True)


@pytest.mark.parametrize("limits", [(-2, 3), (0, 5), (-9, -1)])
def test_clip_of_integers_is_exact(limits: tuple[int, int]) -> None:
    """Low-bit weights are integers that are clipped on their way."""
    values = np.arange(-9, 9, dtype=np.int8).reshape(2, 9)
    low, high = (np.array(limit, np.int8) for limit in limits)
    nodes = [
        onnx.helper.make_node("Clip", ["w", "low", "high"], ["clipped"], "clip"),
        onnx.helper.make_node("DequantizeLinear", ["clipped", "scale"], ["real"], "dq"),
        onnx.helper.make_node("Add", ["x", "real"], ["y"], "add"),
    ]
    made: dict[str, Array] = {"w": values, "low": low, "high": high, "scale": np.array(1, np.float32)}
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "clipped",
        [onnx.helper.make_tensor_value_info("x", kind, [1, 2, 9])],
        [onnx.helper.make_tensor_value_info("y", kind, [1, 2, 9])],
        [onnx.numpy_helper.from_array(value, name) for name, value in made.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    agree(model, exact=True, mapped=False)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 1), (0, 2)])
def test_clip_between_computed_limits(order: tuple[int, ...]) -> None:
    """Limits are scalars, so that a network which computes them has them for each image."""
    net = network("Clip", [(1, 4)], [])
    graph = net.graph
    graph.node[0].input.extend(["low" if 1 in order else "", *(["high"] if 2 in order else [])])
    for name, op in (("low", "ReduceMean"), ("high", "ReduceMax")):
        if name in graph.node[-1].input:
            graph.node.insert(0, onnx.helper.make_node(op, ["x0"], [name], name, keepdims=0))
    agree(onnx.shape_inference.infer_shapes(net), mapped=True)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("shape", "axis"), [((1, 5), -1), ((1, 5), 1), ((1, 3, 4), 1), ((1, 2, 3, 3), -2)])
def test_softmax(op: str, shape: Shape, axis: int) -> None:
    agree(network(op, [shape], axis=axis), mapped=False)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_along_the_batch_is_one_images(op: str) -> None:
    agree(network(op, [(1, 5)], axis=0), mapped=True)


# Two shapes that broadcast, and whether both are computed by batches of images as they are.
BROADCASTS = [
    ((1, 3, 4), (1, 3, 4), False), ((1, 3, 4), (1, 3, 1), False), ((1, 1, 4), (1, 3, 1), False),
    ((1, 4), (1, 1, 4), True), ((1, 3, 4), (1, 4), True),
]  # fmt: skip


@pytest.mark.parametrize("op", [*OF_TWO, *OF_MANY, "Pow"])
@pytest.mark.parametrize(("left", "right", "mapped"), BROADCASTS)
def test_two_tensors_of_the_network(op: str, left: Shape, right: Shape, mapped: bool) -> None:
    given_ = [positive(BATCH, *left[1:]), positive(BATCH, *right[1:], seed=1)]
    agree(network(op, [left, right]), given_, mapped=mapped)


@pytest.mark.parametrize("op", [*OF_TWO, *OF_MANY, "Pow"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("constant", [(), (4,), (3, 1), (1, 3, 4), (3, 3, 4), (1, 1, 3, 4)])
def test_a_tensor_and_a_constant(op: str, order: tuple[int, int], constant: Shape) -> None:
    mapped = constant in ((3, 3, 4), (1, 1, 3, 4))  # the first axis of the result is not the batch
    model = network(op, [(1, 3, 4)], [positive(*constant)], order=order)
    agree(model, [positive(BATCH, 3, 4, seed=2)], mapped=mapped)


@pytest.mark.parametrize("op", OF_MANY)
@pytest.mark.parametrize("count", [1, 3])
def test_many_tensors(op: str, count: int) -> None:
    agree(network(op, [(1, 3, 4)] * count))


@pytest.mark.parametrize("power", [2.0, 3.0, -1.0, 0.5])
def test_power_by_a_scalar(power: float) -> None:
    agree(network("Pow", [(1, 3, 4)], [np.array(power, np.float32)]), [positive(BATCH, 3, 4)])


@pytest.mark.parametrize(("dtype", "fmod"), [(np.float32, 1), (np.int64, 0), (np.int64, 1)])
def test_remainders_have_the_sign_onnx_gives_them(dtype: Any, fmod: int) -> None:
    divisor = np.array([[3, -3, 5, -2]], dtype)
    agree(network("Mod", [(1, 4)], [divisor], dtype=dtype, fmod=fmod), gradient=dtype == np.float32)


def test_integers_are_divided_towards_zero() -> None:
    agree(network("Div", [(1, 4)], [np.array([[3, -3, 5, -2]])], dtype=np.int64), gradient=False)


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons(op: str) -> None:
    model = network(op, [(1, 40), (1, 40)], dtype=np.int32)
    agree(model, gradient=False)
    assert len(np.unique(by_onnxruntime(model, images(model))[0])) == 2


@pytest.mark.parametrize("op", LOGIC)
def test_logic(op: str) -> None:
    agree(network(op, [(1, 8)] * (1 if op == "Not" else 2), dtype=np.bool_), gradient=False)


@pytest.mark.parametrize("shape", [(1, 4), (1, 1), (4,)])
def test_where(shape: Shape) -> None:
    condition = np.arange(4) % 2 == 0
    agree(network("Where", [shape if len(shape) == 2 else (1, 4)], [condition, normal(4)], order=[1, 0, 2]))


@pytest.mark.parametrize("slope", [(), (3, 1, 1), (1, 4), (3, 4, 4)])
def test_prelu(slope: Shape) -> None:
    agree(network("PRelu", [(1, 3, 4, 4)], [positive(*slope)]), mapped=False)


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.elementwise import BUILDERS

    assert BUILDERS.keys() == TESTED


@pytest.mark.parametrize(("real", "expected"), [(True, [0, 0, 1, 0, 0]), (False, [0, 1, 1, 1, 0])])
def test_ends_of_a_grid_are_within_it(real: bool, expected: list[int]) -> None:
    """What is rounded onto the last integer is not saturated: its weight must stay able to move."""
    import torch

    from eecompile.training.torch_graph import TorchGraph

    kind = np.float32 if real else np.int8
    model = network("Clip", [(1, 5)], [np.array(0, kind), np.array(6, kind)], dtype=kind)
    x = torch.tensor([[-1.0, 0.0, 3.0, 6.0, 7.0]], requires_grad=True)
    TorchGraph(graph_of(model))(x)[0].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [expected]
