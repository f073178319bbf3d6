from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.diana.analog_array import CELL_BITS, Footprint, common_unroll, footprint, stacked
from targets.diana.odimo import ANALOG_COLUMNS, ANALOG_ROWS, analog_unroll
from targets.network.layer import LoopDims
from tests.targets.networks import square

CONV = square(64, 64, 56, 3)
POINTWISE = square(64, 64, 56, 1)


@pytest.mark.parametrize(
    ("dims", "unroll", "rows", "columns"),
    [
        (CONV, 1, 576, 128),  # 64 * 3 * 3 rows, 64 columns
        (CONV, 2, 864, 128),  # 64 * 3 * 4 = 768 rows
        (CONV, 4, 1152, 256),  # 64 * 3 * 6 rows
        (POINTWISE, 2, 288, 128),  # 64 * 2 rows
    ],
)
def test_layers_take_whole_blocks(dims: LoopDims, unroll: int, rows: int, columns: int) -> None:
    assert footprint(dims, unroll) == Footprint(rows, columns)
    assert footprint(dims, unroll).bits == rows * columns * CELL_BITS


def test_fewer_layers_stay_in_the_array_the_more_columns_are_computed_at_once() -> None:
    for unroll, most in ((1, 8), (2, 4), (4, 2)):
        assert stacked([footprint(CONV, unroll)] * most)
        assert not stacked([footprint(CONV, unroll)] * (most + 1))


def test_four_convolutions_of_a_stage_stay_with_two_columns_at_once() -> None:
    assert common_unroll([CONV] * 4) == 2
    assert common_unroll([CONV] * 4 + [POINTWISE]) == 2, "it lies below one of them"
    assert common_unroll([CONV] * 9) == 0


@pytest.mark.parametrize("dims", [CONV, POINTWISE])
def test_one_layer_alone_has_the_unroll_of_odimo(dims: LoopDims) -> None:
    assert common_unroll([dims]) == analog_unroll(dims)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=8))
def test_what_stays_in_the_array_has_cells_enough(blocks: list[tuple[int, int]]) -> None:
    parts = [Footprint(288 * rows, 128 * columns) for rows, columns in blocks]
    cells = sum(part.bits for part in parts)
    assert not stacked(parts) or cells <= ANALOG_ROWS * ANALOG_COLUMNS * CELL_BITS
