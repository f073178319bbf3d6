"""MATCH's cycles of the eight cores of the cluster, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gap9.cluster import linear_cycles
from targets.network.layer import LoopDims
from tests.targets.networks import loops, square

MATCH = "MATCH, GAP9 cluster, worked out by hand"


def test_the_cluster_by_hand() -> None:
    """MATCH, GAP9 cluster: per 4 channels, 8 rows, 2 columns a gather of taps and 5 + 14 per 4 taps + 10."""
    assert linear_cycles(square(16, 16, 16, 3)) == 4 * 2 * 8 * (72 + 5 + 36 * 14 + 10)
    assert linear_cycles(square(16, 16, 16, 1)) == 4 * 2 * 8 * (5 + 4 * 14 + 10), "a pixel needs no gathering"
    assert linear_cycles(square(16, 16, 16, 5, groups=16)) == 2 * 16 * 16 * 25
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
        # Nine channels on eight cores are two rounds; columns come in fours.
        (loops(9, 9, 4, 5, 3, 3, 1, 9), 2 * 4 * 8 * 9),
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
