"""What the accelerators take: each rule from both sides, and the host for what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.contract.placement import Placement, Refusal
from targets.contract.registry import load_target
from targets.contract.target import Constraint
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.max78000 import constraints as rules
from targets.max78000.target import Max78000Target
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.max78000.test_jobs import conv, padded, pooled, signal
from tests.targets.networks import linear_layer, square

MAX78000, MAX78002 = Max78000Target(), load_target("max78002")


def weights(bits: int, inputs: int = 8) -> Layer:
    layer = conv()
    assert layer.weight is not None
    tensor = replace(layer.inputs[0], bits=inputs)
    return replace(layer, weight=replace(layer.weight, bits=bits), inputs=(tensor,))


def reading(layer: Layer, *shape: int) -> Layer:
    return replace(layer, inputs=(Operand("x", shape, 8),), producers=(0,))


def pool(window: int, size: int, stride: int = 0, channels: int = 16, **changes: int) -> Layer:
    stride = stride or window
    out = (size - window) // stride + 1
    dims = LoopDims(1, channels, 1, 1, out, out, window, window, size, size, stride, stride)
    dims = replace(dims, **changes)
    layer = replace(sample_layer("MaxPool"), dims=dims)
    made = Operand("y", (1, channels, dims.oy, dims.ox), 8)
    return replace(reading(layer, 1, channels, size, size), outputs=(made,))


def product(inputs: int, outputs: int) -> Layer:
    return linear_layer(square(outputs, inputs, 1, 1), "Gemm")


@pytest.mark.parametrize(
    ("rule", "meets", "breaks"),
    [
        (rules.has_loops, conv(), replace(conv(), dims=None)),
        (rules.has_constant_weights, conv(), replace(conv(), weight=None)),
        (rules.has_narrow_weights, weights(1), weights(3)),
        (rules.has_narrow_weights, weights(4), weights(16)),
        (rules.has_narrow_weights, weights(8), weights(8, inputs=16)),
        (rules.has_one_group, conv(), linear_layer(padded(square(16, 16, 32, 3, groups=16)))),
        (
            rules.has_one_group_or_is_depthwise,
            linear_layer(padded(square(16, 16, 32, 3, groups=16))),
            linear_layer(padded(square(16, 16, 32, 3, groups=4))),
        ),
        (rules.has_small_kernel, conv(fy=1, fx=1), conv(fy=5, fx=5)),
        (rules.has_small_kernel, conv(), conv(fx=1)),
        (rules.has_small_kernel, signal(4, 50, 4, 9), signal(4, 50, 4, 10)),
        (rules.has_dilation_in_one_dimension, conv(), conv(dilation_x=2)),
        (
            rules.has_dilation_in_one_dimension,
            signal(4, 90, 4, 5, dilation=2),
            signal(4, 90, 4, 5, dilation=3),
        ),
        (rules.has_dilation_in_one_dimension, signal(4, 90, 4, 3, dilation=9), signal(4, 90, 4, 3, 1, 9)),
        (
            rules.has_dilation_in_one_dimension,
            signal(4, 2100, 4, 3, dilation=1023),
            signal(4, 2100, 4, 3, dilation=1024),
        ),
        (rules.has_padding_on_both_sides, conv(), conv(pad_left=2)),
        (rules.has_padding_on_both_sides, conv(oy=34, pad_top=2), conv(oy=36, pad_top=3)),
        (rules.has_padding_on_both_sides, signal(4, 90, 4, 3, dilation=9), conv(oy=33)),
        (rules.has_one_stride, conv(stride_y=2, stride_x=2), conv(stride_y=2)),
        (rules.has_one_stride, conv(stride_y=16, stride_x=16), conv(stride_y=17, stride_x=17)),
        (
            rules.has_one_stride,
            pooled(conv(fy=1, fx=1, stride_y=8, stride_x=8), 2),
            pooled(conv(fy=1, fx=1, stride_y=8, stride_x=8), 3),
        ),
        (
            rules.thins_few_channels,
            linear_layer(square(64, 16, 16, 3, 2)),
            linear_layer(square(65, 16, 16, 3, 2)),
        ),
        (
            rules.thins_few_channels,
            linear_layer(square(65, 16, 16, 1, 2)),
            linear_layer(square(128, 16, 16, 3, 2)),
        ),
        (rules.pads_few_channels_in_one_dimension, signal(64, 50, 4, 3, 1), signal(65, 50, 4, 3, 1)),
        (rules.pads_few_channels_in_one_dimension, conv(), signal(128, 50, 4, 3, 1)),
        (rules.has_channels, product(1024, 1024), product(1025, 16)),
        (rules.has_channels, product(16, 1024), product(16, 1025)),
        (rules.has_rows, signal(4, 1023, 4, 1), signal(4, 1024, 4, 1)),
        (rules.has_bias_of_few_channels, product(16, 512), product(16, 513)),
        (rules.has_bias_of_few_channels, replace(product(16, 600), bias=None), product(16, 600)),
        (
            rules.has_one_row,
            product(16, 16),
            linear_layer(LoopDims(9, 1, 8, 8, 1, 1, 1, 1, 1, 1), "MatMul"),
        ),
        (rules.flattens_little, reading(product(1, 1), 1, 64, 16, 16), reading(product(1, 1), 1, 64, 16, 17)),
        (rules.flattens_little, reading(product(1, 1), 1, 4, 16, 16), reading(product(1, 1), 1, 4, 1, 257)),
        (rules.has_full_windows, pool(16, 32), pool(17, 34)),
        (rules.has_full_windows, pool(2, 33), pool(2, 33, oy=17, ox=17)),
        (rules.has_full_windows, pool(2, 32), pool(2, 32, pad_left=1)),
        (rules.has_full_windows, pool(2, 32), pool(2, 32, dilation_y=2)),
        (rules.has_full_windows, pool(1, 32, 16), pool(1, 34, 17)),
        (rules.has_full_windows, pool(2, 32), pool(2, 32, stride_x=1, ox=31)),
        (rules.pools_few_channels, pool(2, 8, channels=64), pool(2, 8, channels=65)),
        (rules.pools_few_channels, pool(8, 8, channels=200), pool(2, 8, channels=200)),
        (rules.adds_equal_shapes, sample_layer("Add"), replace(sample_layer("Add"), inputs=conv().inputs)),
        (
            rules.adds_equal_shapes,
            sample_layer("Sub"),
            replace(
                sample_layer("Add"), inputs=(Operand("x", (1, 16, 8, 8), 8), Operand("z", (1, 16, 1, 1), 8))
            ),
        ),
        (
            rules.tensors_fit_data_memories,
            reading(sample_layer("Relu"), 1, 64, 64, 128),
            reading(sample_layer("Relu"), 1, 65, 64, 128),
        ),
        (
            rules.tensors_fit_data_memories,
            replace(reading(sample_layer("Relu"), 1, 16, 181, 181), producers=()),
            reading(sample_layer("Relu"), 1, 16, 181, 181),
        ),
        (
            rules.tensors_fit_data_memories,
            linear_layer(padded(square(64, 16, 45, 3, 2))),
            linear_layer(padded(square(64, 16, 46, 3, 2))),
        ),
        (
            rules.weights_fit_processors,
            linear_layer(padded(square(768, 64, 8, 3))),
            linear_layer(padded(square(769, 64, 8, 3))),
        ),
    ],
)
def test_each_rule_holds_up_to_its_bound(rule: Constraint, meets: Layer, breaks: Layer) -> None:
    assert rule(meets, MAX78000.arch) and not rule(breaks, MAX78000.arch)


@pytest.mark.parametrize(
    ("layer", "rule", "hint"),
    [
        (conv(fy=5, fx=5), "Kernels are 1 x 1 or 3 x 3", "two reach as far as one of 5x5"),
        (
            linear_layer(padded(square(16, 16, 32, 3, groups=16))),
            "MAX78000 has no depthwise",
            "take MAX78002",
        ),
        (conv(stride_y=2, oy=16), "Strides are the same along both axes", "the same stride"),
        (product(16, 600), "(needs 600 biases, there are 512)", "leave the bias away"),
        (product(16, 2000), "(needs 2,000 channels, there are 1,024)", "fewer channels"),
        (signal(4, 1030, 4, 1), "(needs 1,030 rows or columns, there are 1,023)", "smaller input"),
        (
            reading(linear_layer(padded(square(4, 20, 96, 3))), 1, 20, 96, 96),
            "(needs 36,864 bytes, there are 32,768)",
            "space to depth",
        ),
        (
            replace(linear_layer(padded(square(1024, 64, 8, 3))), bias=None),
            "(needs 1,024 words of 72 bits, there are 768)",
            "narrower weights",
        ),
    ],
)
def test_a_refusal_tells_rule_demand_and_remedy(layer: Layer, rule: str, hint: str) -> None:
    found = MAX78000.place(layer)
    assert isinstance(found, Refusal)
    told = " ".join(str(found).split())
    assert rule in told and hint in found.hint


@pytest.mark.parametrize(
    ("layer", "broken"),
    [
        (replace(conv(), dims=None), ("It has one or two spatial axes",)),
        (replace(conv(), weight=None), ("Its weights are constants",)),
        (
            conv(dilation_y=2, dilation_x=2, pad_top=2, pad_bottom=2, pad_left=2, pad_right=2),
            ("Dilation is 1",),
        ),
        (linear_layer(LoopDims(900, 1, 400, 64, 1, 1, 1, 1, 1, 1), "MatMul"), ("The product has one row",)),
        (linear_layer(padded(square(512, 512, 8, 3, groups=2))), ("The convolution has one group",)),
        (conv(fy=7, fx=7), ("Kernels are 1 x 1", "Padding is 0, 1 or 2")),
    ],
    ids=["no loops", "no weights", "dilation", "rows", "groups", "kernel and padding"],
)
def test_no_rule_is_broken_for_what_another_is_about(layer: Layer, broken: tuple[str, ...]) -> None:
    told = [reason.rule for reason in MAX78000.survey(layer).declined]
    assert len(told) == len(broken), told
    assert all(rule.startswith(start) for rule, start in zip(told, broken, strict=True)), told


def test_what_the_larger_chip_takes_beside() -> None:
    depthwise = linear_layer(padded(square(16, 16, 32, 3, groups=16)))
    for layer in (depthwise, product(16, 600), product(2000, 16), pool(2, 8, channels=200)):
        assert "cnn" not in MAX78000.survey(layer).cores
        assert MAX78002.survey(layer).cores == ("cnn",)
    wide = signal(128, 50, 4, 3, 1)
    assert MAX78000.survey(wide).cores == ("cnn",) and MAX78002.survey(wide).cores == ()


def test_the_host_has_what_is_left() -> None:
    wide, narrow = pool(17, 34), pool(2, 32)
    for layer, core in ((wide, "host"), (narrow, "cnn"), (sample_layer("Softmax"), "host")):
        placement = MAX78000.place(layer)
        assert isinstance(placement, Placement) and placement.core == core, layer.op_type
    assert set(MAX78000.support("host")) == SIMPLE | EXPONENTIAL
    (_, declined) = (MAX78000.place(layer) for layer in (wide, narrow))
    assert isinstance(declined, Placement)
    assert [(r.core, r.rule) for r in declined.declined] == [
        ("host", "The accelerator does not take it; what it takes runs there, as in the vendor's flow")
    ]
