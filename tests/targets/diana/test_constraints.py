"""What DIANA's cores take: each rule from both sides of its bound, and what is told of a broken one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.contract.placement import Refusal
from targets.contract.target import Constraint
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.diana import constraints as rules
from targets.diana.target import DianaTarget
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, loops, square

DIANA = DianaTarget()


def conv(**changes: int) -> Layer:
    return linear_layer(replace(square(16, 16, 16, 3), **changes))


def weights(bits: int, inputs: int = 8) -> Layer:
    layer = conv()
    assert layer.weight is not None
    tensor = replace(layer.inputs[0], bits=inputs)
    return replace(layer, weight=replace(layer.weight, bits=bits), inputs=(tensor,))


def tensors(*shapes: tuple[int, ...], bits: int = 8) -> Layer:
    """Return an addition of all shapes but the last, which is that of the result."""
    made = [Operand(f"t{i}", shape, bits) for i, shape in enumerate(shapes)]
    return replace(sample_layer("Add"), inputs=tuple(made[:-1]), outputs=tuple(made[-1:]))


def product(rows: int = 1, groups: int = 1) -> Layer:
    return linear_layer(LoopDims(rows, groups, 8, 8, 1, 1, 1, 1, 1, 1), "Gemm")


@pytest.mark.parametrize(
    ("rule", "meets", "breaks"),
    [
        (rules.has_loops, conv(), replace(conv(), dims=None)),
        (rules.has_constant_weights, conv(), replace(conv(), weight=None)),
        (rules.has_int8_weights, weights(8), weights(4)),
        (rules.has_int8_weights, replace(weights(8), weight=None), weights(8, inputs=16)),
        (rules.has_ternary_weights, weights(2), weights(3)),
        (rules.has_ternary_weights, replace(conv(), weight=None), weights(8)),
        (rules.has_one_group, conv(), linear_layer(square(16, 16, 16, 3, groups=2))),
        (rules.has_one_group_or_is_depthwise, conv(), linear_layer(square(16, 16, 16, 3, groups=2))),
        (
            rules.has_one_group_or_is_depthwise,
            linear_layer(square(16, 16, 16, 3, groups=16)),
            linear_layer(square(32, 16, 16, 3, groups=16)),
        ),
        (rules.has_small_odd_kernel, conv(fy=1, fx=7), conv(fy=9)),
        (rules.has_small_odd_kernel, conv(fy=5), conv(fx=2)),
        (rules.has_stride_1_or_2, conv(stride_y=2), conv(stride_x=3)),
        (rules.has_stride_1_or_2, conv(stride_x=2), conv(stride_y=4)),
        (rules.has_no_dilation, conv(), conv(dilation_y=2)),
        (rules.has_no_dilation, conv(), conv(dilation_x=2)),
        (rules.has_same_padding, conv(), conv(iy=17)),
        (rules.has_same_padding, conv(stride_x=2, ix=31), conv(stride_x=2, ix=33)),
        (rules.has_same_padding, conv(stride_y=2, iy=32), conv(stride_y=2, iy=30)),
        (rules.has_one_row, product(), product(rows=2)),
        (rules.has_one_row, product(), product(groups=2)),
        (rules.adds_equal_shapes, tensors((1, 4), (1, 4), (1, 4)), tensors((1, 4), (1, 1), (1, 4))),
        (rules.adds_equal_shapes, tensors((4, 1), (4, 1), (4, 1)), tensors((1, 4), (1, 4))),
        (rules.tensors_fit_l2, tensors((524288,), (4,)), tensors((524289,), (4,))),
        (rules.tensors_fit_l2, tensors((4,), (1048576,), bits=4), tensors((4,), (524289,))),
        # Three input rows of 64 bytes a channel, an output row of 1,024 and its parked sums of 4,096.
        (
            rules.row_fits_l1,
            linear_layer(loops(16, 1338, 16, 64, 3, 3)),
            linear_layer(loops(16, 1339, 16, 64, 3, 3)),
        ),
    ],
)
def test_each_rule_holds_up_to_its_bound(rule: Constraint, meets: Layer, breaks: Layer) -> None:
    assert rule(meets, DIANA.arch) and not rule(breaks, DIANA.arch)


def test_a_rule_holds_for_what_it_says_nothing_about() -> None:
    def broken(layer: Layer) -> list[Constraint]:
        return [rule for rule in DIANA.constraints("digital") if not rule(layer, DIANA.arch)]

    assert broken(replace(conv(), dims=None, inputs=conv().inputs * 2)) == [rules.has_loops]
    assert rules.has_constant_weights in broken(replace(conv(), weight=None))
    # How rows of many groups would be cut is not known: it is the groups that are told.
    wide = replace(loops(1, 1024, 1, 256, 3, 3), g=2)
    assert rules.has_one_group_or_is_depthwise in broken(linear_layer(wide))
    assert rules.row_fits_l1 not in broken(linear_layer(wide))


def refusal(layer: Layer) -> Refusal:
    result = DIANA.place(layer)
    assert isinstance(result, Refusal)
    return result


@pytest.mark.parametrize(
    ("layer", "core", "rule"),
    [
        (conv(fy=2, fx=2), "digital", "Kernels are 1, 3, 5 or 7 along each axis"),
        (conv(stride_y=3, iy=48), "digital", "Strides are 1 or 2"),
        (conv(dilation_y=2), "digital", "Dilation is 1"),
        (conv(iy=18, ix=18), "digital", "Padding is SAME: "),
        (
            linear_layer(square(16, 16, 16, 3, groups=4)),
            "digital",
            "The convolution has one group, or is depthwise",
        ),
        (linear_layer(square(64, 3, 112, 3)), "digital", "Every tensor fits L2 (needs 802,816 bytes"),
        (
            linear_layer(loops(1, 1024, 1, 256, 3, 3)),
            "digital",
            "One output row and the inputs it needs fit L1",
        ),
        (replace(conv(), weight=None), "digital", "Its weights are constants"),
        (replace(conv(), dims=None), "digital", "It has one or two spatial axes"),
        (
            linear_layer(replace(loops(8, 8, 1, 1, 1, 1), b=4), "Gemm"),
            "digital",
            "The product has one row of inputs",
        ),
    ],
)
def test_refusals_name_rule_and_remedy(layer: Layer, core: str, rule: str) -> None:
    found = refusal(layer)
    assert any(r.core == core and r.rule.startswith(rule) for r in found.reasons), found.reasons
    if layer.dims is not None:
        assert found.hint and found.hint in " ".join(str(found).split())


def test_a_refusal_names_every_rule_of_every_core_and_all_that_helps() -> None:
    found = refusal(conv(fy=2, fx=2, dilation_y=2, stride_x=3, ix=48))
    shape = ["Kernels are 1, 3, 5 or 7 along each axis", "Strides are 1 or 2", "Dilation is 1"]
    assert [r.rule for r in found.reasons if r.core == "digital"][:3] == shape
    assert [r.rule for r in found.reasons if r.core == "analog"][:4] == ["Weights are ternary", *shape]
    for rule in (rules.has_small_odd_kernel, rules.has_stride_1_or_2, rules.has_no_dilation):
        assert rules.HINTS[rule] in found.hint


def test_uneven_padding_at_stride_2_is_same() -> None:
    dims = LoopDims(1, 1, 16, 8, 16, 16, 3, 3, 32, 32, 2, 2, 1, 1, 0, 0, 1, 1)
    assert DIANA.survey(linear_layer(dims)).cores == ("digital",)


def test_the_largest_tensor_counts_in_whole_words() -> None:
    assert rules.largest_tensor_bytes(tensors((3,), (9,), (5,))) == 12
    assert rules.largest_tensor_bytes(tensors((3,), (9,), bits=4)) == 8
    assert rules.largest_tensor_bytes(tensors((3,), (8,), (5,))) == 8
    assert rules.largest_tensor_bytes(replace(conv(), inputs=(), outputs=())) == 0


def test_cores_run_what_they_are_built_for() -> None:
    assert {core: set(table) for core, table in rules.SUPPORT.items() if core != "host"} == {
        "digital": {"Conv", "Gemm", "MatMul", "Add"},
        "analog": {"Conv"},
        "pooling": {"MaxPool", "GlobalMaxPool"},
        "simd": {"Add", "Concat", "Relu", "Clip", "BatchNormalization"},
    }
    assert set(rules.SUPPORT["host"]) == SIMPLE | EXPONENTIAL
    assert {core.name for core in DIANA.arch.cores} == set(rules.SUPPORT)


def test_every_broken_rule_that_a_user_can_mend_has_a_hint() -> None:
    used = {rule for table in rules.SUPPORT.values() for found in table.values() for rule in found}
    # What is not ternary or has several groups is for the digital core, whose hints count.
    assert used - rules.HINTS.keys() == {rules.has_loops, rules.has_one_group, rules.has_ternary_weights}
    assert rules.HINTS.keys() <= used
