"""NE16's cycles against numbers worked out by hand from PLiNIO's formula."""

from __future__ import annotations

import pytest

from targets.gap9.ne16 import Ne16Work, job_cycles, layer_work, row_block, split_cycles, taps
from targets.network.layer import LoopDims
from tests.targets.networks import ds_cnn, loops, resnet8, square

PLINIO = "PLiNIO, ne16_latency, worked out by hand"
RESNET8_CYCLES, DS_CNN_CYCLES = 0.616e-3 * 370e6, 0.475e-3 * 370e6
FIRST = loops(64, 1, 25, 5, 10, 4, 2)
"""The first layer of DS-CNN."""


@pytest.mark.parametrize(
    ("dims", "weight_bits", "cycles"),
    [
        # 11 x 11 blocks, one tile of 16 channels: 31 + 6 + (6 + 128) + 2, then 9 + 16 + 13.
        (square(16, 16, 32, 3), 8, 121 * (173 + 38)),
        # 4 bit weights: 31 + 6 + (6 + 64) + 2.
        (square(16, 16, 32, 3), 4, 121 * (109 + 38)),
        # 3 x 3 blocks, two tiles of 32 channels from four times 16: 31 + 6 + (6 + 256) + 2, then 9 + 32 + 13.
        (square(64, 64, 8, 3), 8, 9 * 2 * (4 * 301 + 54)),
        # Tiles of 32 and of 8 channels.
        (square(40, 16, 3, 3), 8, 301 + 54 + (31 + 6 + 70 + 2) + 30),
        # 9 x 2 blocks, two tiles: 19 + 6 + (6 + 32) + 2.
        (loops(64, 64, 25, 5, 1, 1), 8, 18 * 2 * (4 * 65 + 54)),
        # 9 x 2 blocks, four tiles of 16 channels: 31 + (6 + 16) + (6 + 128) + 2, then 9 + 16 + 13.
        (loops(64, 64, 25, 5, 3, 3, 1, 64), 8, 18 * 4 * (189 + 38)),
        # A fully connected layer: one block, four times 16 inputs, 12 outputs.
        (square(12, 64, 1, 1), 8, 4 * (19 + 6 + 18 + 2) + 34),
        # Ten rows of a product: two blocks of nine.
        (LoopDims(10, 1, 32, 16, 1, 1, 1, 1, 1, 1), 8, 2 * (65 + 54)),
        # 7 x 7: four 3 x 3 kernels and thirteen taps.
        (square(32, 16, 3, 7), 8, 4 * 355 + 13 * 119),
    ],
)
def test_cycles_are_those_of_the_formula(dims: LoopDims, weight_bits: int, cycles: int) -> None:
    assert split_cycles(dims, weight_bits) == cycles, PLINIO
    assert whole(dims, weight_bits).cycles == cycles, "one tile"


def whole(dims: LoopDims, weight_bits: int = 8) -> Ne16Work:
    """Return the work of a layer in one tile."""
    rows = dims.b if dims.oy * dims.ox == 1 else dims.oy
    return layer_work(dims, weight_bits, rows, dims.g if dims.depthwise else dims.k)


def test_strided_3x3_kernels_keep_four_of_nine_pixels() -> None:
    """GAP SDK, KerConv3x3Stride2_NE16: two pixels along each axis per block."""
    assert whole(square(32, 16, 16, 3, 2)).cycles == 8 * 8 * 355
    assert whole(square(32, 32, 16, 3, 2, groups=32)).cycles == 8 * 8 * 2 * 227
    assert whole(square(32, 16, 16, 1, 2)).cycles == 6 * 6 * (65 + 54), "1 x 1 loses nothing"


def test_every_tile_has_a_last_block_and_last_channels_of_its_own() -> None:
    dims = square(40, 16, 7, 1)
    # 7 rows are 3 + 3 + 1: three blocks of rows, three of columns; 32 + 8 channels: 65 + 54 and 41 + 30.
    assert layer_work(dims, 8, 7, 40).cycles == 9 * (119 + 71)
    # Tiles of four and of three rows: two blocks of rows and one.
    assert layer_work(dims, 8, 4, 40).cycles == 3 * (2 + 1) * (119 + 71)
    assert layer_work(dims, 8, 2, 40).cycles == 3 * 4 * (119 + 71), "tiles of 2, 2, 2 and 1 rows"
    # 24 channels: 19 + 6 + 30 + 2, then 46; 16: 49, then 38.
    assert layer_work(dims, 8, 7, 24).cycles == 9 * (57 + 46 + 49 + 38)


@pytest.mark.parametrize(
    ("dims", "work"),
    [
        # 9 blocks, 40 channels in two tiles, 48 inputs in three passes.
        (square(40, 48, 7, 1), (9 * 2 * 3, 0)),
        (square(40, 40, 7, 3, groups=40), (0, 9 * 3)),
        (square(40, 48, 7, 3), (0, 0)),
        # 5 x 5 is one kernel of 3 x 3 and sixteen of 1 x 1.
        (square(32, 16, 3, 5), (16, 0)),
    ],
)
def test_passes_of_each_mode_are_counted(dims: LoopDims, work: tuple[int, int]) -> None:
    found = whole(dims)
    assert (found.pointwise_passes, found.depthwise_passes) == work


@pytest.mark.parametrize(
    ("dims", "rows"),
    [
        (square(8, 8, 8, 3), 3),
        (square(8, 8, 8, 3, 2), 2),
        (square(8, 8, 8, 1, 2), 3),
        (square(8, 8, 8, 3, 2, groups=8), 2),
        (square(8, 64, 1, 1), 9),
    ],
)
def test_rows_of_a_block(dims: LoopDims, rows: int) -> None:
    assert row_block(dims) == rows


@pytest.mark.parametrize(("kernel", "split"), [((10, 4), (3, 13)), ((7, 7), (4, 13)), ((1, 3), (0, 3))])
def test_kernels_are_split(kernel: tuple[int, int], split: tuple[int, int]) -> None:
    found = taps(loops(8, 8, 9, 9, *kernel))
    assert found == split, "PLiNIO, Ne16PerfModel_generalized"
    assert 9 * found[0] + found[1] == kernel[0] * kernel[1], "every tap is computed once"


def test_measured_cycles_over_the_bare_formula() -> None:
    resnet = sum(split_cycles(dims, 8) for dims in resnet8())
    assert RESNET8_CYCLES / resnet == pytest.approx(1.47, abs=0.005), (
        "MLPerf Tiny v1.0, GAP9 at 370 MHz: ResNet8 takes .616 ms, 1.47 times the bare formula of PLiNIO"
    )
    rest = sum(split_cycles(dims, 8) for dims in ds_cnn()[1:])
    first = 4 * job_cycles("3x3", 9 * 2, 64, 1, 8)
    assert DS_CNN_CYCLES / (rest + first) == pytest.approx(1.09, abs=0.005), (
        "MLPerf Tiny v1.0, GAP9 at 370 MHz: DS-CNN takes .475 ms, 1.09 times the bare formula of PLiNIO if "
        "the 10 x 4 kernel counts as four of 3 x 3; PLiNIO's code refuses this kernel"
    )
    assert rest + split_cycles(FIRST, 8) > DS_CNN_CYCLES, "split as by PLiNIO it would beat the chip"
