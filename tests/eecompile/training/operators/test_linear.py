from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.eecompile.training.operators.single import Shape, agree, graph_of, network, normal
from tests.needs import needs_torch

pytestmark = needs_torch
TESTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum"}
AUTO = st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])


def windows(data: st.DataObject, rank: int, auto: str) -> dict[str, Any]:
    """Return drawn attributes of a window; they are left out now and then."""

    def numbers(low: int, high: int, count: int = rank) -> list[int]:
        return data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    attrs: dict[str, Any] = {"kernel_shape": numbers(1, 3)}
    if data.draw(st.booleans()):
        attrs["strides"] = numbers(1, 3)
    if data.draw(st.booleans()):
        attrs["dilations"] = numbers(1, 2)
    if auto == "NOTSET":
        if data.draw(st.booleans()):
            attrs["pads"] = numbers(0, 2, 2 * rank)
    else:
        attrs["auto_pad"] = auto
    return attrs


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 2), AUTO, st.sampled_from([(1, 2, 3), (2, 1, 1), (2, 1, 2), (3, 2, 1)]))
def test_conv(data: st.DataObject, rank: int, auto: str, channels: tuple[int, int, int]) -> None:
    groups, inside, outside = channels
    attrs: dict[str, Any] = windows(data, rank, auto)
    if auto.startswith("SAME"):
        attrs.pop("dilations", None)  # which onnxruntime does not have
    size = data.draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank))
    if not auto.startswith("SAME"):
        pads, ones = attrs.get("pads", [0] * 2 * rank), [1] * rank
        for axis, (kernel, gap) in enumerate(
            zip(attrs["kernel_shape"], attrs.get("dilations", ones), strict=True)
        ):
            assume(size[axis] + pads[axis] + pads[rank + axis] > (kernel - 1) * gap)
    weights = normal(groups * outside, inside, *attrs["kernel_shape"])
    bias = [normal(groups * outside, seed=1)] if data.draw(st.booleans()) else []
    agree(
        network("Conv", [(1, groups * inside, *size)], [weights, *bias], group=groups, **attrs), mapped=False
    )


@pytest.mark.parametrize(
    ("size", "attrs", "cut"),
    [
        ((1, 1), {"pads": [1, 1, 1, 1], "strides": [2, 2]}, (1, 1)),
        ((2, 1), {"pads": [1, 1, 1, 1]}, (3, 1)),
        ((1, 4), {"pads": [1, 0, 1, 0]}, (1, 3)),
        ((3, 3), {"pads": [0, 2, 0, 0], "strides": [1, 9]}, (3, 1)),
        ((1, 1), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}, (1, 1)),
        ((4, 4), {"pads": [1, 1, 1, 1]}, (3, 3)),
    ],
)
def test_places_of_a_kernel_that_never_lie_on_data_are_not_computed(
    size: tuple[int, int], attrs: dict[str, Any], cut: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 torch 2.13 makes their gradients of what lay in memory."""
    import torch

    from eecompile.training.operators import linear

    seen = []

    def watched(x: Any, weight: Any, *others: Any) -> Any:
        seen.append(tuple(weight.shape[2:]))
        return torch.nn.functional.conv2d(x, weight, *others)

    monkeypatch.setattr(linear, "_CONVS", (None, watched, None))
    agree(network("Conv", [(1, 2, *size)], [normal(4, 2, 3, 3), normal(4, seed=1)], **attrs), mapped=False)
    assert set(seen) == {cut}


def test_conv_of_three_axes() -> None:
    attrs: dict[str, Any] = {"strides": [1, 2, 1], "pads": [0, 1, 1, 1, 0, 1]}
    agree(network("Conv", [(1, 2, 4, 5, 4)], [normal(3, 2, 2, 3, 2), normal(3)], **attrs))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 2), AUTO, st.sampled_from([(1, 2, 3), (2, 1, 2), (3, 2, 1)]))
def test_conv_transpose(data: st.DataObject, rank: int, auto: str, channels: tuple[int, int, int]) -> None:
    groups, inside, outside = channels
    attrs: dict[str, Any] = windows(data, rank, auto)
    strides = attrs.get("strides", [1] * rank)
    if auto == "NOTSET" and data.draw(st.booleans()):
        attrs["output_padding"] = [data.draw(st.integers(0, step - 1)) for step in strides]
    size = data.draw(st.lists(st.integers(3, 5), min_size=rank, max_size=rank))
    kernel, dilations = attrs["kernel_shape"], attrs.get("dilations", [1] * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if auto.startswith("SAME"):  # else onnxruntime pads by less than nothing
        assume(all(span >= step for span, step in zip(spans, strides, strict=True)))
    pads = attrs.get("pads", [0] * 2 * rank)
    assume(
        all(
            (n - 1) * s + span > pads[axis] + pads[axis + rank]
            for axis, (n, s, span) in enumerate(zip(size, strides, spans, strict=True))
        )
    )
    weights = normal(groups * inside, outside, *kernel)
    bias = [normal(groups * outside, seed=1)] if data.draw(st.booleans()) else []
    model = network("ConvTranspose", [(1, groups * inside, *size)], [weights, *bias], group=groups, **attrs)
    agree(model, mapped=False)


@pytest.mark.parametrize("auto", [None, "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("out", [(7, 8), (8, 9), (9, 7)])
def test_conv_transpose_to_a_given_shape(auto: str | None, out: tuple[int, int]) -> None:
    attrs: dict[str, Any] = {} if auto is None else {"auto_pad": auto}
    weights = normal(2, 3, 3, 3)
    model = network("ConvTranspose", [(1, 2, 4, 4)], [weights], strides=[2, 2], output_shape=out, **attrs)
    agree(model, mapped=False)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_four_spatial_axes_are_refused(op: str) -> None:
    from eecompile.training.torch_graph import TorchGraph
    from passes.errors import InputError

    model = network(op, [(1, 1, 2, 2, 2, 2)], [normal(1, 1, 1, 1, 1, 1)])
    with pytest.raises(InputError, match=rf"'the_node' \({op}\) .* it has 4 spatial axes"):
        TorchGraph(graph_of(model))


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("bias", [None, (), (1,), (3,), (1, 3), (1, 1)])
def test_gemm(right: int, factors: tuple[float, float], bias: Shape | None) -> None:
    weights = normal(3, 4) if right else normal(4, 3)
    constants = [weights] if bias is None else [weights, normal(*bias, seed=1)]
    alpha, beta = factors
    agree(network("Gemm", [(1, 4)], constants, transB=right, alpha=alpha, beta=beta), mapped=False)


@pytest.mark.parametrize("left", [0, 1])
def test_gemm_of_two_tensors_of_the_network(left: int) -> None:
    """Rows of the product are no images."""
    agree(network("Gemm", [(1, 4), (1, 3)] if left else [(1, 1), (1, 3)], transA=left), mapped=True)


MATRICES = [
    ((1, 4), (1, 4, 3), False, True), ((1, 2, 4), (1, 4, 3), False, False),
    ((1, 5, 2, 4), (1, 5, 4, 3), False, False), ((1, 2, 4), (1, 5, 4, 3), False, True),
    ((1, 1), (1, 3), False, True), ((1, 4), (4, 3), True, False), ((1, 5, 4), (4, 3), True, False),
    ((1, 5, 4), (1, 4, 3), True, False), ((1, 4), (2, 4, 3), True, True), ((1, 5, 4), (4,), True, True),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "constant", "mapped"), MATRICES)
def test_matmul(left: Shape, right: Shape, constant: bool, mapped: bool) -> None:
    if constant:
        agree(network("MatMul", [left], [normal(*right)]), mapped=mapped)
    else:
        agree(network("MatMul", [left, right]), mapped=mapped)


@pytest.mark.parametrize(("left", "right", "mapped"), [((3, 4), (1, 4, 2), False), ((3, 1), (1, 2), True)])
def test_matmul_by_a_constant_from_the_left(left: Shape, right: Shape, mapped: bool) -> None:
    agree(network("MatMul", [right], [normal(*left)], order=[1, 0]), mapped=mapped)


EQUATIONS = [
    ("bij,bjk->bik", (1, 2, 3), (1, 3, 4), False, False),
    ("bhid,bhjd->bhij", (1, 2, 3, 4), (1, 2, 5, 4), False, False),
    ("bij,jk->bik", (1, 2, 3), (3, 4), True, False), ("ij,jk->ik", (1, 1), (1, 3), False, True),
    ("...ij,...jk->...ik", (1, 2, 3), (1, 3, 4), False, False),
    ("ibd,jbd->bij", (1, 2, 3), (1, 2, 3), False, True),
    ("bij,bjk", (1, 2, 3), (1, 3, 4), False, True),
]  # fmt: skip


@pytest.mark.parametrize(("equation", "left", "right", "constant", "mapped"), EQUATIONS)
def test_einsum(equation: str, left: Shape, right: Shape, constant: bool, mapped: bool) -> None:
    parts: dict[str, Any] = {"equation": equation}
    if constant:
        agree(network("Einsum", [left], [normal(*right)], **parts), mapped=mapped)
    else:
        agree(network("Einsum", [left, right], **parts), mapped=mapped)


@pytest.mark.parametrize("op", ["Gemm", "MatMul", "Einsum"])
def test_quantized_weights_do_not_make_a_product_of_the_network_of_it(op: str) -> None:
    """Weights behind Q/DQ nodes are computed, but the same for all images."""
    attrs: dict[str, Any] = {"equation": "bi,io->bo"} if op == "Einsum" else {}
    model = network(op, [(1, 4)], [normal(4, 3)], **attrs)
    model.graph.node[0].input[1] = "real"
    scale = onnx.numpy_helper.from_array(np.array(0.05, np.float32), "scale")
    zero = onnx.numpy_helper.from_array(np.array(0, np.int8), "zero")
    model.graph.initializer.extend([scale, zero])
    model.graph.node.insert(
        0, onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["real"], "dq")
    )
    model.graph.node.insert(0, onnx.helper.make_node("QuantizeLinear", ["c0", "scale", "zero"], ["q"], "q"))
    agree(onnx.shape_inference.infer_shapes(model), gradient=False, mapped=False)


def test_what_is_tested_is_what_there_is() -> None:
    from eecompile.training.operators.linear import BUILDERS

    assert BUILDERS.keys() == TESTED
