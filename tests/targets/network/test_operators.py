"""Operators as loops and operands: shapes and attributes in, sizes, constants and bits out."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from passes.macs import node_macs
from targets.network.operators import (
    constant_operand,
    float_name,
    has_bias,
    integer_bits,
    is_view,
    loop_dims,
    stored_bits,
    weight_operand,
)
from tests.passes.net_builder import NetBuilder
from tests.targets.graphs import graph_of


def last(text: str) -> gs.Node:
    return graph_of(text, fuse=False).nodes[-1]


def nodes_of(net: NetBuilder, output: str) -> list[gs.Node]:
    nodes: list[gs.Node] = gs.import_onnx(net.model(output)).nodes
    return nodes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "n (float[1,4,10,6] x) => (float[1,8,5,3] y) <float[8,2,3,5] w> "
            "{ y = Conv<group=2, strides=[2,2], pads=[1,2,1,2]>(x, w) }",
            {
                "g": 2,
                "k": 4,
                "c": 2,
                "oy": 5,
                "ox": 3,
                "fy": 3,
                "fx": 5,
                "stride_y": 2,
                "pad_left": 2,
                "iy": 10,
            },
        ),
        (
            "n (float[1,4,9] x) => (float[1,4,9] y) <float[4,1,3] w> { y = Conv<group=4, pads=[1,1]>(x, w) }",
            {
                "g": 4,
                "k": 1,
                "c": 1,
                "oy": 1,
                "ox": 9,
                "fy": 1,
                "fx": 3,
                "ix": 9,
                "pad_right": 1,
                "depthwise": True,
            },
        ),
        (
            "n (float[1,3,7,7] x) => (float[1,4,4,4] y) <float[4,3,2,2] w> "
            '{ y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) }',
            {"oy": 4, "pad_top": 0, "pad_bottom": 1},
        ),
        (
            "n (float[1,5,6] x) => (float[1,5,3] y) <float[6,3] w> { y = MatMul(x, w) }",
            {"b": 5, "g": 1, "k": 3, "c": 6},
        ),
        (
            "n (float[1,2,5,6] x) => (float[1,2,5,5] y) "
            "{ z = Transpose<perm=[0,1,3,2]>(x) y = MatMul(x, z) }",
            {"b": 5, "g": 2, "k": 5, "c": 6},
        ),
        (
            "n (float[1,4,8,6] x) => (float[1,4,1,1] y) { y = GlobalMaxPool(x) }",
            {"g": 4, "oy": 1, "ox": 1, "fy": 8, "fx": 6},
        ),
    ],
)
def test_loop_dims(text: str, expected: dict[str, int]) -> None:
    node = last(text)
    found = loop_dims(node)
    assert found is not None
    assert {key: getattr(found, key) for key in expected} == expected
    assert node_macs(node) in (0, found.iterations)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 6), (6, 3)),
        ((2, 5, 6), (6, 3)),
        ((2, 5, 6), (2, 6, 3)),
        ((2, 5, 6), (1, 6, 3)),
        ((1, 5, 6), (2, 6, 3)),
        ((5, 6), (8, 6, 3)),
        ((2, 1, 5, 6), (1, 3, 6, 4)),
        ((6,), (6, 3)),
        ((5, 6), (6,)),
    ],
)
def test_loops_of_a_product_are_its_multiplications(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Leading axes are broadcast, so the rows are those of the result."""
    shape = np.matmul(np.zeros(left), np.zeros(right)).shape
    net = NetBuilder(left)
    (node,) = nodes_of(net, net.op("MatMul", "x", net.normal(*right)))
    dims = loop_dims(node)
    assert dims is not None
    assert (dims.c, dims.k) == (6, right[-1] if len(right) > 1 else 1)
    assert dims.iterations == int(np.prod(shape)) * 6
    assert dims.g == int(np.prod(right[:-2])), "as many matrices as there are"


@pytest.mark.parametrize(("a", "b"), list(product((0, 1), repeat=2)))
def test_matrices_may_be_given_transposed(a: int, b: int) -> None:
    net = NetBuilder((6, 5) if a else (5, 6))
    (node,) = nodes_of(net, net.op("Gemm", "x", net.normal(*((3, 6) if b else (6, 3))), transA=a, transB=b))
    dims = loop_dims(node)
    assert dims is not None and (dims.b, dims.g, dims.k, dims.c) == (5, 1, 3, 6)


@pytest.mark.parametrize("pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"), [(9, 3, 2, 1), (8, 4, 1, 1), (8, 3, 2, 2), (5, 2, 3, 1)]
)
def test_padding_is_what_the_windows_need(
    pad: str, size: int, kernel: int, stride: int, dilation: int
) -> None:
    given = {"pads": [1, 0, 2, 1]} if pad == "NOTSET" else {"auto_pad": pad}
    net = NetBuilder((1, 2, size, size + 1))
    (node,) = nodes_of(
        net,
        net.op(
            "Conv", "x", net.normal(2, 2, kernel, 3), strides=[stride, 1], dilations=[dilation, 1], **given
        ),
    )
    dims = loop_dims(node)
    assert dims is not None
    padded_y, padded_x = dims.iy + dims.pad_top + dims.pad_bottom, dims.ix + dims.pad_left + dims.pad_right
    assert dims.oy == (padded_y - dilation * (kernel - 1) - 1) // stride + 1
    assert dims.ox == padded_x - 2
    if pad == "NOTSET":
        assert (dims.pad_top, dims.pad_left, dims.pad_bottom, dims.pad_right) == (1, 0, 2, 1)
    elif pad == "VALID":
        assert padded_y == dims.iy and padded_x == dims.ix
    else:
        assert dims.oy == -(-size // stride) and (dims.pad_left, dims.pad_right) == (1, 1)
        more = dims.pad_bottom - dims.pad_top
        assert more in ((0, 1) if pad == "SAME_UPPER" else (0, -1)), "the odd row is on the side it names"


@pytest.mark.parametrize(
    "text",
    [
        "n (float[1,2,4,4,4] x) => (float[1,2,2,2,2] y) <float[2,2,3,3,3] w> { y = Conv(x, w) }",
        "n (float[1,2,4,4,4] x) => (float[1,2,2,2,2] y) { y = MaxPool<kernel_shape=[3,3,3]>(x) }",
        "n (float[1,2,4,4,4] x) => (float[1,2,1,1,1] y) { y = GlobalAveragePool(x) }",
        "n (float[1,2,4,4] x) => (float[1,3,6,6] y) <float[2,3,3,3] w> { y = ConvTranspose(x, w) }",
        "n (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = Relu(x) }",
    ],
)
def test_what_has_no_two_axes_of_windows_has_no_loops(text: str) -> None:
    assert loop_dims(last(text)) is None


def test_channels_of_a_pooling_are_groups() -> None:
    text = "n (float[1,3,9] x) => (float[1,3,4] y) { y = AveragePool<kernel_shape=[3], strides=[2]>(x) }"
    dims = loop_dims(last(text))
    assert dims is not None
    assert (dims.g, dims.k, dims.c, dims.oy, dims.ox, dims.fy, dims.fx) == (3, 1, 1, 1, 4, 1, 3)
    assert (dims.iy, dims.ix, dims.stride_y, dims.stride_x) == (1, 9, 1, 2)


@pytest.mark.parametrize(
    ("perm", "shape", "free"),
    [("[0,2,3,1]", "1,1,1,16", True), ("[0,2,3,1]", "1,16,1,1", True), ("[0,2,3,1]", "1,4,2,2", False)],
)
def test_a_transpose_is_free_only_if_it_moves_nothing(perm: str, shape: str, free: bool) -> None:
    dims = [int(d) for d in shape.split(",")]
    moved = ",".join(str(dims[int(a)]) for a in perm.strip("[]").split(","))
    assert (
        is_view(last(f"n (float[{shape}] x) => (float[{moved}] y) {{ y = Transpose<perm={perm}>(x) }}"))
        is free
    )


@pytest.mark.parametrize(
    ("call", "free"),
    [("Transpose(x)", False), ("Identity(x)", True), ("Flatten(x)", True), ("Relu(x)", False)],
)
def test_views_move_nothing(call: str, free: bool) -> None:
    shape = "8,4,1" if call.startswith("Transpose") else "1,32" if call.startswith("Flatten") else "1,4,8"
    assert is_view(last(f"n (float[1,4,8] x) => (float[{shape}] y) {{ y = {call} }}")) is free
    assert is_view(last("n (float[1,8] x) => (float[8,1] y) { y = Transpose(x) }")), (
        "axes come reversed if not told"
    )


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("QLinearConv", "Conv"),
        ("ConvInteger", "Conv"),
        ("MatMulInteger", "Gemm"),
        ("QLinearMatMul", "MatMul"),
        ("Relu", "Relu"),
    ],
)
def test_integer_operators_go_by_the_float_ones(op: str, name: str) -> None:
    assert float_name(op) == name


def test_the_constant_of_element_wise_work_is_on_either_side_but_not_on_both() -> None:
    net = NetBuilder((1, 4))
    scale = net.const([1.0, 2.0, 3.0, 4.0])
    right, left = net.op("Mul", "x", scale), net.op("Sub", scale, "x")
    nodes = nodes_of(net, net.op("Add", net.op("Add", right, left), net.op("Mul", scale, scale)))
    found = [constant_operand(node) for node in nodes]
    assert [None if c is None else c.name for c in found] == [scale, scale, None, None, None]
    other = NetBuilder((1, 4))
    joined = other.op("Concat", "x", other.const([[1.0]]), axis=1)
    assert [constant_operand(node) for node in nodes_of(other, joined)] == [None], "nothing is combined"


@pytest.mark.parametrize("bias", [True, False])
def test_a_bias_is_a_constant_input(bias: bool) -> None:
    net = NetBuilder((1, 3, 4, 4))
    (node,) = nodes_of(net, net.conv("x", 3, 4, bias=bias))
    assert has_bias([node], node) is bias
    weights = weight_operand(node)
    assert weights is not None and tuple(weights.shape) == (4, 3, 3, 3)


def test_the_bias_of_an_integer_product_is_added_in_its_tail() -> None:
    net = NetBuilder((2, 4))
    product_of = net.op("MatMulInteger", net.op("Cast", "x", to=2), net.const(np.ones((4, 3)), np.uint8))
    added = net.op("Add", product_of, net.const([1, 2, 3], np.int32))
    nodes = nodes_of(net, net.op("Cast", added, to=1))
    main = next(node for node in nodes if node.op == "MatMulInteger")
    assert has_bias(nodes, main)
    assert not has_bias([node for node in nodes if node.op != "Add"], main)
    assert stored_bits(main) == 8
    assert not has_bias(nodes, next(node for node in nodes if node.op == "Add")), "an addition has no bias"


def test_computed_weights_are_no_constants() -> None:
    net = NetBuilder((4, 4))
    (_, node) = nodes_of(net, net.op("MatMul", "x", net.op("Relu", "x")))
    assert weight_operand(node) is None and stored_bits(node) is None


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [(np.int8, 8), (np.uint8, 8), (np.int32, 32), (np.int64, 64), (np.float32, None), (np.bool_, None)],
)
def test_bits_of_integer_types(dtype: type[np.generic], bits: int | None) -> None:
    assert integer_bits(gs.Constant("c", np.zeros(1, dtype))) == bits
    assert integer_bits(gs.Variable("v", np.dtype(dtype))) == bits


NARROW_CLIP = """
net (float[1,4,8,8] image) => (float[1,10] logits)
<float[8,4,3,3] w, float s = {0.125}, int8 z = {0}, int8 low = {LOW}, int8 high = {HIGH}, float[10,512] v> {
  [quantize_weights] wq = QuantizeLinear(w, s, z)
  [narrow] wc = Clip(wq, low, high)
  [weights] wd = DequantizeLinear(wc, s, z)
  [conv] c = Conv<pads=[1,1,1,1]>(image, wd)
  [flatten] f = Flatten(c)
  [fc] logits = Gemm<transB=1>(f, v)
}
"""


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(-1, 1, 2), (-2, 1, 2), (-7, 7, 4), (-8, 7, 4), (-128, 127, 8), (0, 1, 1), (3, 3, 1)],
)
def test_weights_clipped_before_they_are_read_take_the_bits_of_their_range(
    low: int, high: int, bits: int
) -> None:
    nodes = graph_of(NARROW_CLIP.replace("LOW", str(low)).replace("HIGH", str(high)), fuse=False).nodes
    conv, gemm = (next(node for node in nodes if node.op == op) for op in ("Conv", "Gemm"))
    assert stored_bits(conv) == bits
    assert stored_bits(gemm) is None, "float weights are stored in no integer type"
    weights = weight_operand(conv)
    assert weights is not None and weights.name == "w", "past all that rounds and clips"


def test_a_clip_of_one_bound_narrows_nothing() -> None:
    text = (
        NARROW_CLIP.replace("LOW", "-1")
        .replace("HIGH", "1")
        .replace("wc = Clip(wq, low, high)", "wc = Clip(wq, low)")
    )
    (conv,) = (node for node in graph_of(text, fuse=False).nodes if node.op == "Conv")
    assert stored_bits(conv) == 8
