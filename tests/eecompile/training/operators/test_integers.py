from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.eecompile.training.operators.single import Shape, agree, graph_of, network
from tests.needs import needs_torch

pytestmark = needs_torch
SCALES = st.sampled_from([0.1, 0.037, 0.25, 1.0, 0.0078125])
KINDS = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767), "uint4": (0, 15),
    "int4": (-8, 7),
}  # fmt: skip


def fake_quantized(
    scale: Any, zero: Any, kind: str, shape: Shape = (1, 3, 4), axis: int = 1, both: bool = True
) -> onnx.ModelProto:
    """Return a network of one QuantizeLinear and, for ``both``, a DequantizeLinear behind it."""
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind)) if "4" not in kind else TensorProto.INT4
    number = TensorProto.UINT4 if kind == "uint4" else number
    zeros = helper.make_tensor("zero", number, np.shape(zero), np.atleast_1d(zero).astype(int))
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "q", axis=axis)]
    if both:
        nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], "dq", axis=axis))
    graph = helper.make_graph(
        nodes,
        "fake_quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y" if both else "q", TensorProto.FLOAT if both else number, shape)],
        [numpy_helper.from_array(np.asarray(scale, np.float32), "scale"), zeros],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def around(seed: int, scale: float, low: int, high: int) -> Any:
    """Return numbers around a grid: some between its points, some beyond its ends, some halfway."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(1.3 * low - 3, 1.3 * high + 3, (3, 3, 4))
    steps[:, 0] = np.round(steps[:, 0]) + 0.5
    return (steps * scale).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), SCALES, st.data(), st.booleans(), st.integers(0, 99))
def test_grids_are_exactly_those_of_onnx(
    kind: str, scale: float, data: st.DataObject, both: bool, seed: int
) -> None:
    low, high = KINDS[kind]
    zero = data.draw(st.sampled_from([0, low, high, (low + high + 1) // 2, 3]))
    both = both or "4" in kind  # numpy has no type for what comes out
    model = fake_quantized(scale, zero, kind, both=both)
    x = around(seed, scale, low - zero, high - zero)
    agree(model, [x], exact=True, gradient=False, mapped=False)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["int8", "uint8"]), st.sampled_from([1, 2, -1]), st.integers(0, 99))
def test_scales_and_zero_points_of_channels(kind: str, axis: int, seed: int) -> None:
    count = (1, 3, 4)[axis]
    rng = np.random.default_rng(seed)
    scales, zeros = rng.uniform(0.01, 0.5, count), rng.integers(*KINDS[kind], count)
    model = fake_quantized(scales, zeros, kind, axis=axis)
    agree(model, [around(seed, 0.1, -128, 128)], exact=True, gradient=False, mapped=False)


def test_scale_of_one_element() -> None:
    agree(fake_quantized([0.1], [3], "uint8"), exact=True, gradient=False)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16"])
def test_type_declared_by_the_node(kind: str) -> None:
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    model = network("QuantizeLinear", [(1, 5)], [np.array(0.01, np.float32)], output_dtype=number)
    agree(model, [np.array([[-900, -1.5, 0, 1.1, 900]], np.float32)], exact=True, gradient=False)


def test_type_is_uint8_where_none_is_declared() -> None:
    model = network("QuantizeLinear", [(1, 5)], [np.array(0.01, np.float32)])
    agree(model, [np.array([[-900, -1.5, 0, 1.1, 900]], np.float32)], exact=True, gradient=False)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32])
@pytest.mark.parametrize("count", [None, 3])
def test_integers_that_the_network_is_given(kind: Any, count: int | None) -> None:
    scale = np.array(0.25, np.float32) if count is None else np.array([0.1, 0.25, 3], np.float32)
    zero = [] if kind == np.int32 else [np.full(scale.shape, 7, kind)]
    model = network("DequantizeLinear", [(1, 3, 4)], [scale, *zero], dtype=kind)
    agree(model, exact=True, gradient=False)


@pytest.mark.parametrize("bits", [8, 4])
def test_constants_on_a_grid(bits: int) -> None:
    """Weights, and biases of 32 bits, are integers in the file and numbers in the network."""
    weights = np.random.default_rng(0).integers(-8, 8, (3, 4))
    kind = TensorProto.INT8 if bits == 8 else TensorProto.INT4
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "ws"], ["real"], "dq", axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs"], ["bias"], "dq_b"),
        helper.make_node("Gemm", ["x", "real", "bias"], ["y"], "gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "weights",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [
            helper.make_tensor("w", kind, (3, 4), weights.ravel()),
            numpy_helper.from_array(np.array([0.1, 0.2, 0.3], np.float32), "ws"),
            numpy_helper.from_array(np.array([2**24 + 1, -5, 7], np.int32), "b"),
            numpy_helper.from_array(np.array(0.01, np.float32), "bs"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    agree(model, gradient=False, mapped=False)


def test_gradients_pass_what_is_rounded_and_not_what_saturates() -> None:
    """Of real = (clip(round(x / s) + z) - z) * s: to x as if nothing was rounded, to s that of LSQ.

    Learned step size (Esser et al., 2020, equation 3): round(x / s) - x / s within the grid, its end beyond.
    """
    import torch

    from eecompile.training.torch_graph import TorchGraph

    scale, zero, low, high = 0.1, 3, -128, 127
    module = TorchGraph(graph_of(fake_quantized(scale, zero, "int8", (1, 6))))
    assert not module.value("scale").requires_grad
    step = module.value("scale").requires_grad_()
    given_ = np.array([[0.12, -0.37, 5.01, 90.0, -90.0, 0.0]], np.float32)
    x = torch.from_numpy(given_).requires_grad_()
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    (module(x)[0] * weights).sum().backward()
    assert x.grad is not None
    assert step.grad is not None
    np.testing.assert_array_equal(x.grad, weights * torch.tensor([[1, 1, 1, 0, 0, 1]]))
    ratio = given_ / np.float32(scale)
    lsq = np.round(ratio) - ratio
    lsq[:, 3], lsq[:, 4] = high - zero, low - zero
    np.testing.assert_allclose(step.grad, (lsq * weights.numpy()).sum(), rtol=1e-4)


def test_gradients_to_scales_of_channels_are_apart() -> None:
    import torch

    from eecompile.training.torch_graph import TorchGraph

    module = TorchGraph(graph_of(fake_quantized([0.1, 0.2, 0.3], [0, 0, 0], "int8")))
    step = module.value("scale").requires_grad_()
    x = torch.zeros(1, 3, 4)
    x[0, 1] = 1e6
    module(x)[0].sum().backward()
    assert step.grad is not None
    np.testing.assert_array_equal(step.grad, [0, 4 * 127, 0])


def test_scales_of_blocks_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    scales = np.array([[0.1, 0.2]], np.float32)
    model = network("DequantizeLinear", [(1, 4)], [scales], dtype=np.int8, axis=1, block_size=2)
    with pytest.raises(InputError, match=r"'the_node' \(DequantizeLinear\) .* its scales are for blocks"):
        TorchGraph(graph_of(model))


def test_floats_of_eight_bits_are_refused() -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    number = TensorProto.FLOAT8E4M3FN
    model = network("QuantizeLinear", [(1, 4)], [np.array(0.1, np.float32)], output_dtype=number)
    with pytest.raises(InputError, match=r"'the_node' \(QuantizeLinear\) .* it quantizes to float8_e4m3fn"):
        TorchGraph(graph_of(model))


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.integers import BUILDERS

    assert BUILDERS.keys() == {"QuantizeLinear", "DequantizeLinear"}
