"""MATCH's cycles of the eight cores of the cluster, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.cost.elementwise import EXPONENTIAL, SIMPLE
from targets.gap9.cluster import (
    LAYOUT,
    OPERANDS,
    POOLINGS,
    RENAMED,
    elementwise_cycles,
    linear_cycles,
    product_cycles,
)
from targets.gap9.target import Gap9Target
from targets.network.layer import LoopDims, Operand
from targets.testing.conformance import sample_layer
from tests.targets.networks import loops, square

CLUSTER = Gap9Target().arch.core("cluster")
MATCH = "MATCH, GAP9 cluster, worked out by hand"


def test_the_cluster_by_hand() -> None:
    """MATCH, GAP9 cluster: per 4 channels, 8 rows, 2 columns a gather of taps and 5 + 14 per 4 taps + 10."""
    assert linear_cycles(square(16, 16, 16, 3)) == 4 * 2 * 8 * (72 + 5 + 36 * 14 + 10)
    assert linear_cycles(square(16, 16, 16, 1)) == 4 * 2 * 8 * (5 + 4 * 14 + 10), "a pixel needs no gathering"
    assert linear_cycles(square(10, 64, 1, 1)) == 32 * 3


@pytest.mark.parametrize(
    ("dims", "cycles"),
    [
        # 5 channels are two steps, 9 rows two, 3 columns two; 3 x 3 x 3 taps: 14 gathered, 7 SIMD products.
        (loops(5, 3, 9, 3, 3, 3), 2 * 2 * 2 * (14 + 5 + 7 * 14 + 10)),
        # One tap per input and pixel is not gathered.
        (loops(5, 3, 9, 3, 1, 1), 2 * 2 * 2 * (5 + 1 * 14 + 10)),
        # A row of taps is: 4 inputs of 1 x 3, 6 gathered, 3 products.
        (loops(4, 4, 8, 2, 1, 3), 6 + 5 + 3 * 14 + 10),
        # Two groups of 4 channels each.
        (loops(8, 8, 8, 2, 1, 1, groups=2), 2 * (5 + 14 + 10)),
        # A product with a vector: two inputs and four results at once.
        (loops(5, 7, 1, 1, 1, 1), 4 * 2),
        (loops(8, 7, 1, 1, 3, 1), 11 * 2),
    ],
)
def test_what_does_not_divide_is_rounded_up(dims: LoopDims, cycles: int) -> None:
    assert linear_cycles(dims) == cycles, MATCH


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 5), st.integers(1, 4))
def test_a_batch_is_as_many_images_and_no_core_beats_its_products(
    k: int, c: int, size: int, kernel: int, batch: int
) -> None:
    one = square(k, c, size, kernel)
    assert linear_cycles(replace(one, b=batch)) == batch * linear_cycles(one)
    assert linear_cycles(one) * 32 >= one.iterations, "8 cores, 4 products each and cycle"


def test_a_dense_product_takes_so_much_more_than_published() -> None:
    dims = square(16, 16, 16, 3)
    assert product_cycles(dims, CLUSTER) == linear_cycles(dims) * CLUSTER.rate("cycles_over_match")
    assert 1.2 < CLUSTER.rate("cycles_over_match") < 1.6, (
        "first layers of DS-CNN, MobileNetV1 and EfficientNet-Lite0"
    )


def test_a_depthwise_product_pays_for_channels_products_and_what_it_loads() -> None:
    channel, product, pixel = (
        CLUSTER.rate(f"cycles_per_depthwise_{key}") for key in ("channel", "product", "input")
    )
    plain, strided = loops(16, 16, 8, 8, 5, 5, 1, 16), loops(16, 16, 8, 8, 5, 5, 2, 16)
    assert product_cycles(plain, CLUSTER) == pytest.approx(16 * (channel + 64 * 25 * product + 64 * pixel))
    assert product_cycles(strided, CLUSTER) == pytest.approx(16 * (channel + 64 * 25 * product + 256 * pixel))


@pytest.mark.parametrize(
    ("op_type", "rate"),
    [
        ("Add", "cycles_per_added_element"),
        ("Relu", "cycles_per_requantized_element"),
        ("QuantizeLinear", "cycles_per_requantized_element"),
        ("Cast", "cycles_per_renamed_element"),
        ("Transpose", "cycles_per_moved_element"),
        ("Softmax", "cycles_per_exponential"),
        ("MaxPool", "cycles_per_pooled_element"),
    ],
)
def test_each_kind_of_operator_has_its_rate(op_type: str, rate: str) -> None:
    layer = sample_layer(op_type, channels=16, size=8)
    assert elementwise_cycles(layer, CLUSTER) == pytest.approx(16 * 64 * CLUSTER.rate(rate))


def test_kinds_do_not_overlap() -> None:
    kinds = (EXPONENTIAL, POOLINGS, LAYOUT, RENAMED, OPERANDS)
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds)), "no operator has two rates"
    assert frozenset().union(*kinds) <= SIMPLE | EXPONENTIAL


@pytest.mark.parametrize(("rows", "dealt"), [(8, 8), (7, 8), (14, 16), (56, 56), (1, 1)])
def test_rows_of_an_addition_are_dealt_to_eight_cores(rows: int, dealt: int) -> None:
    shape = (1, 4, rows, 6)
    layer = sample_layer("Add")
    layer = replace(
        layer, inputs=tuple(Operand(n, shape, 8) for n in "ab"), outputs=(Operand("y", shape, 8),)
    )
    assert elementwise_cycles(layer, CLUSTER) == pytest.approx(
        24 * dealt * CLUSTER.rate("cycles_per_added_element")
    )
    flat = replace(layer, outputs=(Operand("y", (1, 24 * rows), 8),))
    assert elementwise_cycles(flat, CLUSTER) == pytest.approx(
        24 * rows * CLUSTER.rate("cycles_per_added_element")
    )
