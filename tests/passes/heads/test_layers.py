"""The layers of heads: shapes, pads, attributes, weights, names."""

from __future__ import annotations

import numpy as np
import pytest

from passes.heads.layers import HeadLayer, layer_names, shape_behind

DEPTHWISE = HeadLayer("Conv", (3, 3), (2, 2), 6, depthwise=True)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_pads_keep_the_size(size: int, kernel: int, stride: int) -> None:
    layer = HeadLayer("Conv", (kernel, kernel), (stride, stride), 4)
    begin_y, begin_x, end_y, end_x = layer.pads((size, size))
    assert (begin_y, end_y) == (begin_x, end_x)
    assert end_y - begin_y in (0, 1), "SAME_UPPER pads the end"
    out = layer.output_shape((1, size, size))[1]
    assert out == -(-size // stride)
    assert max(0, (out - 1) * stride + kernel - size) == begin_y + end_y


@pytest.mark.parametrize(
    ("layer", "shape", "output"),
    [
        (HeadLayer("ReduceMean", axes=(1,)), (9, 6), (6,)),
        (HeadLayer("Gather", axes=(1,)), (9, 6), (6,)),
        (HeadLayer("MaxPool", (3, 2)), (4, 7, 5), (4, 2, 2)),
        (HeadLayer("Conv", (3,), (2,), 8), (4, 7), (8, 4)),
        (DEPTHWISE, (6, 7, 5), (6, 4, 3)),
        (HeadLayer("Flatten"), (4, 3, 2), (24,)),
        (HeadLayer("Gemm", channels=5), (24,), (5,)),
        (HeadLayer("Concat", channels=5), (24,), (29,)),
        (HeadLayer("Add"), (10,), (10,)),
    ],
)
def test_output_shapes(layer: HeadLayer, shape: tuple[int, ...], output: tuple[int, ...]) -> None:
    assert layer.output_shape(shape) == shape_behind([layer], shape) == output


def test_a_depthwise_convolution_has_a_group_and_one_plane_of_weights_per_channel() -> None:
    assert DEPTHWISE.attributes((6, 8, 8))["group"] == 6
    values = DEPTHWISE.parameters((6, 8, 8), np.random.default_rng(0))
    assert values["weight"].shape == (6, 1, 3, 3)
    dense = HeadLayer("Conv", (3, 3), (2, 2), 6)
    assert dense.attributes((6, 8, 8))["group"] == 1
    assert dense.parameters((6, 8, 8), None)["weight"].shape == (6, 6, 3, 3)


def test_weights_are_he_normal_of_what_a_value_adds_up() -> None:
    layer = HeadLayer("Conv", (5, 5), (1, 1), 400, depthwise=True)
    weight = layer.parameters((400, 8, 8), np.random.default_rng(0))["weight"]
    assert weight.std() == pytest.approx((2 / 25) ** 0.5, rel=0.03)
    again = layer.parameters((400, 8, 8), np.random.default_rng(0))["weight"]
    np.testing.assert_array_equal(weight, again)


@pytest.mark.parametrize("op", ["MaxPool", "Flatten", "Concat", "Add"])
def test_what_has_no_weights_has_no_constants(op: str) -> None:
    assert HeadLayer(op, (2,)).parameters((4, 8), np.random.default_rng(0)) == {}


@pytest.mark.parametrize(
    ("layer", "ops"),
    [
        (HeadLayer("Gemm", channels=2), ("Gemm",)),
        (HeadLayer("Gemm", channels=2, hidden=True), ("Gemm", "Relu")),
        (HeadLayer("Gemm", channels=2, hidden=True, ceiling=6.0), ("Gemm", "Clip")),
        (DEPTHWISE, ("Conv", "Relu")),
        (HeadLayer("Concat"), ("Concat",)),
    ],
)
def test_operators(layer: HeadLayer, ops: tuple[str, ...]) -> None:
    assert layer.ops == ops


@pytest.mark.parametrize(
    ("ops", "names"),
    [
        (["Conv", "Relu", "Flatten"], ["conv", "relu", "flatten"]),
        (["Conv", "Relu", "Conv", "Relu", "Conv"], ["conv", "relu", "conv_1", "relu_1", "conv_2"]),
    ],
)
def test_layers_are_numbered_by_operator(ops: list[str], names: list[str]) -> None:
    assert layer_names(ops) == names
