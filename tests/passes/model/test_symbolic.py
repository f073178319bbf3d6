"""Shape-only models: where the shapes of absent weights come from, and what stands for them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_graphsurgeon as gs
import pytest
from onnx import TensorProto

from passes.errors import InputError
from passes.model.graph import from_model
from passes.model.symbolic import declare_absent_weights
from tests.passes.small_nets import chain


def model_of(text: str) -> onnx.ModelProto:
    """Return a model with input ``x``; ``text`` begins with the type of the input."""
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> main ({text}')


def absent(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights that are declared as absent."""
    return {t.name: tuple(t.dims) for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL}


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (
            "float[1,4,8,8] x) => (float[1,6,6,7] y) { y = Conv <kernel_shape = [3, 2]> (x, w, b) }",
            {"w": (6, 4, 3, 2), "b": (6,)},
        ),
        (
            "float[1,4,8,8] x) => (float[1,6,6,6] y) { y = Conv <kernel_shape = [3, 3], group = 2> (x, w) }",
            {"w": (6, 2, 3, 3)},
        ),
        ("float[1,4] x) => (float[1,6] y) { y = Gemm (x, w, b) }", {"w": (4, 6), "b": (6,)}),
        ("float[1,4] x) => (float[1,6] y) { y = Gemm <transB = 1> (x, w) }", {"w": (6, 4)}),
        ("float[4,1] x) => (float[1,6] y) { y = Gemm <transA = 1> (x, w) }", {"w": (4, 6)}),
        ("float[1,3,4] x) => (float[1,3,6] y) { y = MatMul (x, w) }", {"w": (4, 6)}),
        (
            "float[1,5,2,2] x) => (float[1,5,2,2] y) { y = BatchNormalization (x, s, b, m, v) }",
            dict.fromkeys("sbmv", (5,)),
        ),
        ("float[1,4] x) => (float[1,4] y) <float[4] w> { y = Mul (x, w) }", {"w": (4,)}),
        (
            "float[1,4] x) => (float[1,4] y) <float[1,4] a> { a = Gemm (x, w) y = Gemm (a, w) }",
            {"w": (4, 4)},
        ),
    ],
    ids=["conv", "groups", "gemm", "transB", "transA", "matmul", "batchnorm", "declared", "shared"],
)
def test_shapes_are_declared_or_follow(text: str, shapes: dict[str, tuple[int, ...]]) -> None:
    model = model_of(text)
    assert declare_absent_weights(model, "net")
    assert absent(model) == shapes
    assert len(model.graph.initializer) == len(shapes)


def test_what_is_declared_goes_before_what_follows() -> None:
    model = model_of("float[1,4] x) => (float[1,6] y) <float[4,6] w> { y = Gemm <transB = 1> (x, w) }")
    declare_absent_weights(model, "net")
    assert absent(model) == {"w": (4, 6)}


def test_a_declaration_becomes_the_weight_and_others_stay() -> None:
    text = "float[1,4] x) => (float[1,4] y) <float[1,4] a, float[4] w> { a = Mul (x, w) y = Relu (a) }"
    model = model_of(text)
    declare_absent_weights(model, "net")
    assert [v.name for v in model.graph.value_info] == ["a"]


def test_a_declared_weight_keeps_its_type() -> None:
    text = """float[1,2,4,4] x) => (float[1,3,4,4] y) <int8[3,2,1,1] w, float s = {0.5}> {
        v = DequantizeLinear (w, s)
        y = Conv (x, v)
    }"""
    weights = from_model(model_of(text)).tensors()["w"]
    assert (weights.dtype, weights.values.dtype, weights.shape) == (np.int8, np.int8, (3, 2, 1, 1))


def test_a_whole_model_lacks_nothing() -> None:
    model = chain()
    assert not declare_absent_weights(model, "net")
    assert model == chain()


def test_an_input_left_out_is_no_weight() -> None:
    text = "float[1,4] x) => (float[1,4] y) <float high = {6}> { y = Clip (x, , high) }"
    assert not declare_absent_weights(model_of(text), "net")


@pytest.mark.parametrize(
    ("text", "tensor"),
    [
        ("float[1,2,4,4] x) => (float[1,3,4,4] y) { y = Conv (x, w) }", "input 1 of Conv"),
        ("float[1,2] x) => (float[1,2] y) { y = Mul (x, w) }", "input 1 of Mul"),
        ("float[1,2] x) => (float[1,2] y) <float[N] w> { y = Mul (x, w) }", "input 1 of Mul"),
        ("float[1,2] x) => (float y) { a = Gemm (x, w) y = ReduceSum (a) }", "input 1 of Gemm"),
    ],
    ids=["no kernel", "operator", "symbol", "unknown output"],
)
def test_a_shape_that_is_said_nowhere_is_refused(text: str, tensor: str) -> None:
    message = rf"net: tensor 'w' \({tensor}.* neither a producer, nor values, nor a shape"
    with pytest.raises(InputError, match=message) as error:
        declare_absent_weights(model_of(text), "net")
    assert "export it again with its weights or with value_info" in error.value.hint


def test_absent_weights_are_ones_that_take_no_memory() -> None:
    text = "float[1,4] x) => (float[1,6] y) <float[6] b = {1, 2, 3, 4, 5, 6}> { y = Gemm (x, w, b) }"
    graph = from_model(model_of(text))
    weights = graph.tensors()["w"]
    assert isinstance(weights, gs.Constant)
    assert (weights.values.shape, weights.values.dtype) == ((4, 6), np.float32)
    assert not any(weights.values.strides)
    assert (weights.values == 1).all()
    assert graph.tensors()["b"].values.tolist() == [1, 2, 3, 4, 5, 6], "what is there is kept"
