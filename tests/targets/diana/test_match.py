"""MATCH's cycles of the digital core and its DMA, worked out by hand."""

from __future__ import annotations

import pytest

from targets.diana import match
from targets.network.layer import LoopDims
from tests.targets.networks import loops, square


def test_one_match_tile_by_hand() -> None:
    # 16 output columns and channels: 16*3*3 + 2*16*3 + 23 = 263 cycles per row of a tile.
    assert match.digital_compute_cycles(square(16, 16, 16, 3)) == 16 * 263
    assert match.digital_compute_cycles(square(17, 16, 16, 3)) == 2 * 16 * 263
    # Depthwise: one job per channel of 9 + 6 + 23 cycles per row.
    assert match.digital_compute_cycles(square(4, 4, 16, 3, groups=4)) == 4 * 16 * 38


@pytest.mark.parametrize(
    ("kernel", "stride", "cycles"),
    [(1, 1, 2), (3, 1, 2), (7, 1, 2), (1, 2, 2), (3, 2, 3), (5, 2, 3), (7, 2, 3)],
)
def test_a_row_of_windows_is_fetched_in_words_of_16_bytes(kernel: int, stride: int, cycles: int) -> None:
    """16 windows span 15 strides and a kernel; never less than the 2 cycles that MATCH counts."""
    dims = square(16, 16, 16, kernel, stride=stride)
    assert match.row_fetches(dims) == cycles
    more = (cycles - match.ROW_FETCHES) * dims.c * dims.fy * dims.oy
    assert match.digital_compute_cycles(dims, cycles) == match.digital_compute_cycles(dims) + more


def test_transfers_by_hand() -> None:
    assert match.transfer_cycles(1000, 3, 16, 70) == 63 + 210


@pytest.mark.parametrize(
    ("dims", "tiles", "per_tile"),
    [
        # 17 columns are two tiles; a fully connected layer is one pixel of one.
        (loops(16, 8, 1, 17, 3, 3), 2, 8 * 9 + 2 * 8 * 3 + 23),
        (loops(10, 64, 1, 1, 1, 1), 1, 64 + 2 * 64 + 23),
        # The kernel's height is fetched, its width is not: 5 x 1 and 1 x 5 differ.
        (loops(16, 8, 4, 16, 5, 1), 4, 8 * 5 + 2 * 8 * 5 + 23),
        (loops(16, 8, 4, 16, 1, 5), 4, 8 * 5 + 2 * 8 * 1 + 23),
        # Two groups of 4 of 8 inputs each: a job each.
        (loops(8, 16, 1, 16, 1, 1, groups=2), 2, 8 + 2 * 8 + 23),
    ],
)
def test_tiles_and_what_each_takes(dims: LoopDims, tiles: int, per_tile: int) -> None:
    assert match.digital_compute_cycles(dims) == tiles * per_tile, "MATCH, DIANA digital cost model"


def test_rows_of_a_product_follow_one_another() -> None:
    one = match.digital_compute_cycles(LoopDims(1, 1, 16, 8, 1, 1, 1, 1, 1, 1))
    assert match.digital_compute_cycles(LoopDims(5, 1, 16, 8, 1, 1, 1, 1, 1, 1)) == 5 * one


@pytest.mark.parametrize(
    ("size_bytes", "calls", "cycles"), [(0, 0, 0), (16, 1, 1 + 70), (17, 1, 2 + 70), (0, 2, 140)]
)
def test_bytes_and_calls_are_rounded_up(size_bytes: int, calls: int, cycles: int) -> None:
    assert match.transfer_cycles(size_bytes, calls, 16, 70) == cycles
    assert match.transfer_cycles(size_bytes, calls, 16, 0.5) == -(-size_bytes // 16) + -(-calls // 2)
