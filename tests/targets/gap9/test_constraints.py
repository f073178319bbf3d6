"""What GAP9's cores take: each rule from both sides, and the cluster for all that NE16 declines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.contract.placement import Placement
from targets.contract.target import Constraint
from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.gap9 import constraints as rules
from targets.gap9.target import Gap9Target
from targets.network.layer import Layer, LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import linear_layer, loops, square

GAP9 = Gap9Target()


def conv(**changes: int) -> Layer:
    return linear_layer(replace(square(16, 16, 32, 3), **changes))


def depthwise(**changes: int) -> Layer:
    return linear_layer(replace(square(16, 16, 16, 3, groups=16), **changes))


def weights(bits: int, inputs: int = 8) -> Layer:
    layer = conv()
    assert layer.weight is not None
    tensor = replace(layer.inputs[0], bits=inputs)
    return replace(layer, weight=replace(layer.weight, bits=bits), inputs=(tensor,))


def copy(size_bytes: int) -> Layer:
    return replace(sample_layer("Relu"), inputs=(Operand("x", (size_bytes,), 8),), outputs=())


@pytest.mark.parametrize(
    ("rule", "meets", "breaks"),
    [
        (rules.has_loops, conv(), replace(conv(), dims=None)),
        (rules.has_constant_weights, conv(), replace(conv(), weight=None)),
        (rules.has_narrow_weights, weights(2), weights(1)),
        (rules.has_narrow_weights, weights(8), weights(9)),
        (rules.has_narrow_weights, replace(weights(8), weight=None), weights(8, inputs=4)),
        (rules.has_one_group_or_is_depthwise, depthwise(), linear_layer(square(32, 16, 16, 3, groups=16))),
        (rules.has_one_group_or_is_depthwise, conv(), linear_layer(square(16, 16, 16, 3, groups=2))),
        (rules.has_3x3_if_depthwise, depthwise(stride_y=2, stride_x=2), depthwise(stride_y=2)),
        (rules.has_3x3_if_depthwise, depthwise(), depthwise(fx=1)),
        (rules.has_3x3_if_depthwise, conv(fy=5, stride_x=3), depthwise(fy=5, fx=5)),
        (rules.has_no_dilation, conv(), conv(dilation_x=2)),
        (rules.has_no_dilation, conv(), conv(dilation_y=2)),
        (
            rules.has_one_group,
            linear_layer(LoopDims(9, 1, 8, 8, 1, 1, 1, 1, 1, 1), "MatMul"),
            linear_layer(LoopDims(1, 2, 8, 8, 1, 1, 1, 1, 1, 1), "MatMul"),
        ),
        (rules.tensors_fit_l2, copy(1572864), copy(1572865)),
        (rules.has_mode_stride, conv(stride_y=2, stride_x=2), conv(stride_y=2)),
        (rules.has_mode_stride, conv(fy=1, fx=1, stride_x=3), conv(stride_y=3, stride_x=3)),
        # Of 128,000 bytes, four rows of input are there once, and the weights.
        (
            rules.row_fits_l1,
            linear_layer(loops(8, 16, 3, 1600, 3, 3)),
            linear_layer(loops(8, 32, 3, 1600, 3, 3)),
        ),
    ],
)
def test_each_rule_holds_up_to_its_bound(rule: Constraint, meets: Layer, breaks: Layer) -> None:
    assert rule(meets, GAP9.arch) and not rule(breaks, GAP9.arch)


@pytest.mark.parametrize(
    ("layer", "rule"),
    [
        (conv(dilation_y=2), "Dilation is 1"),
        (linear_layer(square(16, 16, 16, 3, groups=4)), "The convolution has one group, or is depthwise"),
        (linear_layer(square(16, 16, 16, 5, groups=16)), "A depthwise kernel is 3 x 3"),
        (linear_layer(square(16, 16, 16, 3, 3, groups=16)), "A depthwise kernel is 3 x 3"),
        (replace(conv(), weight=None), "Its weights are constants"),
        (replace(conv(), dims=None), "It has one or two spatial axes"),
        (
            linear_layer(loops(1, 1024, 1, 512, 3, 3)),
            "L1 holds a block of output rows with inputs and weights",
        ),
        (conv(stride_x=2), "Kernels that are not 1 x 1 have stride 1 or 2"),
    ],
)
def test_what_ne16_declines_runs_on_the_cluster(layer: Layer, rule: str) -> None:
    placement = GAP9.place(layer)
    assert isinstance(placement, Placement), str(placement)
    assert placement.core == "cluster"
    assert placement.declined[0].core == "ne16" and placement.declined[0].rule.startswith(rule)
    assert placement.cost.host_cycles >= layer.macs / 32, "8 cores do 4 products each per cycle at most"


@pytest.mark.parametrize("op_type", ["Conv", "Gemm", "MatMul"])
def test_every_product_is_for_one_of_the_two_cores(op_type: str) -> None:
    layer = replace(sample_layer(op_type), name="layer")
    narrow, wide = (replace(layer, inputs=(replace(layer.inputs[0], bits=bits),)) for bits in (8, 16))
    assert GAP9.survey(narrow).cores == ("ne16",) and not rules.is_not_for_ne16(narrow, GAP9.arch)
    assert GAP9.survey(wide).cores == ("cluster",) and rules.is_not_for_ne16(wide, GAP9.arch)


def test_what_ne16_has_no_mode_for_is_the_clusters() -> None:
    assert rules.is_not_for_ne16(sample_layer("Add"), GAP9.arch)
    assert rules.is_not_for_ne16(replace(sample_layer("Conv"), op_type="ConvTranspose"), GAP9.arch)
    assert set(rules.SUPPORT["ne16"]) == {"Conv", "Gemm", "MatMul"}
    others = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
    assert set(rules.SUPPORT["cluster"]) == SIMPLE | EXPONENTIAL | others
    assert {core.name for core in GAP9.arch.cores} == set(rules.SUPPORT)


def test_the_largest_tensor_counts_in_whole_bytes() -> None:
    layer = replace(copy(3), outputs=(Operand("y", (9,), 4), Operand("z", (4,), 8)))
    assert rules.largest_tensor_bytes(layer) == 5
    assert rules.largest_tensor_bytes(replace(layer, inputs=(), outputs=())) == 0


@pytest.mark.parametrize(
    ("layer", "cores"),
    [
        (linear_layer(square(16, 3, 32, 3)), {"ne16", "cluster"}),
        (linear_layer(square(64, 1, 8, 4)), {"ne16", "cluster"}),
        (conv(), {"ne16"}),
        (linear_layer(square(16, 3, 32, 1)), {"ne16"}),
        (depthwise(), {"ne16"}),
    ],
)
def test_kernels_on_few_channels_may_run_on_either_core(layer: Layer, cores: set[str]) -> None:
    assert set(GAP9.survey(layer).cores) == cores


def test_cores_of_layers_whose_tensors_lie_outside() -> None:
    large = linear_layer(square(96, 16, 160, 1))
    assert not rules.tensors_fit_l2(large, GAP9.arch) and GAP9.survey(large).cores == ()
    assert rules.cores_within_l2(large, GAP9.arch) == ("ne16",)
    assert rules.cores_within_l2(linear_layer(square(96, 96, 160, 5, groups=96)), GAP9.arch) == ("cluster",)
    assert rules.cores_within_l2(replace(conv(), op_type="NoSuchOperator"), GAP9.arch) == ()
