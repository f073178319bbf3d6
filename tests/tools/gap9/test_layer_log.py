"""Names and operations of a log as layers."""

from __future__ import annotations

import pytest

from passes.errors import InputError
from tools.gap9.layer_log import IMAGE, LogLayer, layers_in
from tools.gap9.log_rows import parse_rows


def read(*lines: str) -> tuple[LogLayer, ...]:
    """Return the layers of lines with a name and operations."""
    return layers_in(parse_rows("\n".join(lines), "log"), "log")


STEM = f"Conv2d_32x3x3x3_Relu6 {112 * 112 * 32 * 28}"
"""An image of 224 x 224 x 3 becomes 112 x 112 x 32."""


def sizes(one: LogLayer) -> tuple[int, ...]:
    """Return groups, outputs and inputs of a group, kernel, stride, rows in and out."""
    d = one.layer.dims
    assert d is not None and (d.stride_y, d.iy, d.oy) == (d.stride_x, d.ix, d.ox)
    return d.g, d.k, d.c, d.fy, d.fx, d.stride_y, d.iy, d.oy


@pytest.mark.parametrize(
    ("line", "kind", "found"),
    [
        (f"Conv2d_32x1x3x3_Relu6 {112 * 112 * 32 * 10}", "depthwise_3x3_s1", (32, 1, 1, 3, 3, 1, 112, 112)),
        (f"Conv2d_32x1x3x3_Relu6 {56 * 56 * 32 * 10}", "depthwise_3x3_s2", (32, 1, 1, 3, 3, 2, 112, 56)),
        (f"Conv2d_32x1x3x3 {56 * 56 * 32 * 9}", "depthwise_3x3_s2", (32, 1, 1, 3, 3, 2, 112, 56)),
        (f"Conv2d_32x5x5x1_Relu6 {112 * 112 * 32 * 26}", "depthwise_5x5", (32, 1, 1, 5, 5, 1, 112, 112)),
        # The cluster names channels last; 7 x 7 at stride 4.
        (f"Conv2d_32x7x7x1 {28 * 28 * 32 * 49}", "depthwise_7x7", (32, 1, 1, 7, 7, 4, 112, 28)),
        (f"Conv2d_16x32x1x1 {112 * 112 * 16 * 32}", "1x1", (1, 16, 32, 1, 1, 1, 112, 112)),
        (f"Conv2d_16x32x1x1 {112 * 112 * 16 * 33}", "1x1", (1, 16, 32, 1, 1, 1, 112, 112)),
        (f"Conv2d_16x32x1x1_Relu6 {56 * 56 * 16 * 33}", "1x1", (1, 16, 32, 1, 1, 2, 112, 56)),
        (f"Conv2d_16x32x5x5_Relu {56 * 56 * 16 * 801}", "5x5", (1, 16, 32, 5, 5, 2, 112, 56)),
        # Without padding: 110 of 112.
        (f"Conv2d_16x32x3x3 {110 * 110 * 16 * 288}", "3x3", (1, 16, 32, 3, 3, 1, 112, 110)),
        (f"Conv2d_16x8x3x3 {112 * 112 * 16 * 72}", "grouped_3x3", (4, 4, 8, 3, 3, 1, 112, 112)),
    ],
)
def test_sizes_of_a_convolution_follow(line: str, kind: str, found: tuple[int, ...]) -> None:
    _, one = read(STEM, line)
    assert one.kind == kind and sizes(one) == found
    assert one.layer.macs == one.layer.dims.iterations if one.layer.dims else False
    assert one.layer.inputs[0].name == "t0" and one.layer.weight is not None


def test_depthwise_on_channels_that_five_divides_is_no_grouped_kernel() -> None:
    _, one = read("Conv2d_40x3x3x3 211680", f"Conv2d_40x5x5x1_Relu6 {14 * 14 * 40 * 26}")
    assert sizes(one)[:5] == (40, 1, 1, 5, 5)


def test_the_first_convolution_reads_an_image_twice_as_large() -> None:
    (stem,) = read(STEM)
    assert sizes(stem) == (1, 32, 3, 3, 3, 2, 224, 112) and stem.kind == "3x3"
    assert stem.layer.inputs[0].name == IMAGE and stem.layer.inputs[0].size_bytes == 224 * 224 * 3
    (pixels,) = read("Conv2d_8x4x1x1 3200")
    assert sizes(pixels) == (1, 8, 4, 1, 1, 1, 10, 10), "of one pixel as large"


def test_odd_sizes_are_rounded_up() -> None:
    layers = read(
        "Conv2d_8x3x3x3 1215000", f"Conv2d_8x1x3x3 {38 * 38 * 8 * 9}", f"Conv2d_8x1x3x3 {19 * 19 * 8 * 9}"
    )
    assert [sizes(one)[-2:] for one in layers] == [(150, 75), (75, 38), (38, 19)]


def test_padding_is_taken_before_none() -> None:
    """Of 8 rows a kernel of 5 x 5 leaves 4 without padding, and at stride 2 with it."""
    _, one = read("Conv2d_8x3x1x1 1536", f"Conv2d_8x5x5x1 {4 * 4 * 8 * 25}")
    assert sizes(one)[-3:] == (2, 8, 4)


def test_layers_without_products() -> None:
    rows = 28 * 28
    layers = read(
        f"Conv2d_24x3x3x3 {rows * 24 * 27}",
        f"Conv2d_48x24x1x1_Relu6 {rows * 48 * 25}",
        f"Op_DEPTHWISE_CONV_2D_0_12_fusion_qin0 {rows * 48}",
        f"Conv2d_48x5x5x1_Relu6 {rows * 48 * 26}",
        f"Op_CONV_2D_0_13_qin0 {rows * 48}",
        f"Conv2d_24x48x1x1 {rows * 24 * 48}",
        f"MatAdd_28x28x24 {rows * 24}",
        f"Op_AVERAGE_POOL_2D_0_59_fusion_trans {rows * 24}",
        f"AveragePool_24x1x1_Relu6 {rows * 24}",
        "Op_FULLY_CONNECTED_0_61_qin0 24",
        "Linear_10x24 240",
        "SoftMax 10",
    )
    assert [one.kind for one in layers] == [
        "3x3", "1x1", "requantize", "depthwise_5x5", "requantize", "1x1", "MatAdd", "transpose", "pooling",
        "requantize", "FC", "softmax",
    ]  # fmt: skip
    assert [one.layer.op_type for one in layers] == [
        "Conv", "Conv", "QuantizeLinear", "Conv", "Cast", "Conv", "Add", "Transpose", "GlobalAveragePool",
        "QuantizeLinear", "Gemm", "Softmax",
    ]  # fmt: skip
    add = layers[6].layer
    assert [t.name for t in add.inputs] == ["t5", "t0"], "the latest of its size before the last"
    assert add.outputs[0].shape == (1, 24, 28, 28)
    assert layers[10].layer.macs == 240 and layers[8].layer.outputs[0].shape == (1, 24, 1, 1)
    assert layers[8].layer.inputs[0].elements == rows * 24


@pytest.mark.parametrize(
    "name",
    [
        "Conv3d_1x1x1x1",
        "Conv2d_32x3x3",
        "Conv2d_32x3x3x3_Tanh",
        "MatMul_2x2",
        "Op_qin0",
        "Linear_10",
        "conv",
        "Op_X_in0",
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_line(name: str) -> None:
    with pytest.raises(InputError, match=rf"log, line 2: unknown layer '{name}'") as caught:
        read(STEM, f"{name} 100")
    assert "known are Conv2d_KxCxFYxFX" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Conv2d_16x32x1x1 100",
            r"has 100 operations, expected a convolution of 16 channels on the 32x112x112",
        ),
        (
            f"Conv2d_16x24x1x1 {112 * 112 * 16 * 24}",
            "expected a convolution of 16 channels on the 32x112x112",
        ),
        (f"Conv2d_16x32x1x1 {113 * 113 * 16 * 32}", "before at stride 1 to 4"),
        ("Conv2d_0x32x1x1 5", "sizes of at least 1"),
        ("MatAdd_0x2x2 5", "a multiple of 0 x 2 x 2"),
        ("MatAdd_2x2x2 9", "a multiple of 2 x 2 x 2"),
        ("Linear_10x24 241", "expected 240 or 250"),
        ("AveragePool_24x1x1 24", "expected 32 channels"),
    ],
)
def test_operations_that_no_such_layer_has(line: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        read(STEM, line)
    assert caught.value.message.startswith("log, line 2: ")


def test_measured_cycles_are_not_looked_at() -> None:
    text = "Conv2d_8x3x3x3 {} 1215000\nConv2d_8x1x3x3 {} 103968"
    found = [layers_in(parse_rows(text.format(a, b), "log"), "log") for a, b in ((1, 2), (77777, 0))]
    assert [one.layer for one in found[0]] == [one.layer for one in found[1]]
