"""NE16's cycles against numbers worked out by hand from PLiNIO's formula."""

from __future__ import annotations

import pytest

from targets.gap9.ne16 import gathered, job_cycles, layer_work, split_cycles, taps
from targets.network.layer import LoopDims
from tests.targets.networks import ds_cnn, loops, resnet8, square

PLINIO = "PLiNIO, ne16_latency, worked out by hand"
GATHER = 4.0
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
    assert layer_work(dims, weight_bits, GATHER).cycles == cycles, "nothing is gained by gathering"


def test_strided_3x3_kernels_keep_four_of_nine_pixels() -> None:
    """GAP SDK, KerConv3x3Stride2_NE16: two pixels along each axis per block."""
    assert layer_work(square(32, 16, 16, 3, 2), 8, GATHER).cycles == 8 * 8 * 355
    assert layer_work(square(32, 32, 16, 3, 2, groups=32), 8, GATHER).cycles == 8 * 8 * 2 * 227
    assert layer_work(square(32, 16, 16, 1, 2), 8, GATHER).cycles == 6 * 6 * (65 + 54), "1 x 1 loses nothing"


@pytest.mark.parametrize(("kernel", "split"), [((10, 4), (3, 13)), ((7, 7), (4, 13)), ((1, 3), (0, 3))])
def test_kernels_are_split(kernel: tuple[int, int], split: tuple[int, int]) -> None:
    found = taps(loops(8, 8, 9, 9, *kernel))
    assert found == split, "PLiNIO, Ne16PerfModel_generalized"
    assert 9 * found[0] + found[1] == kernel[0] * kernel[1], "every tap is computed once"


def test_few_input_channels_are_better_gathered() -> None:
    assert split_cycles(FIRST, 8) == 3 * 36 * 355 + 13 * 36 * 119, PLINIO
    work = gathered(FIRST, 8)
    assert (work.cycles, work.column_elements) == (36 * (3 * 65 + 54), 25 * 5 * 40), "40 taps: three times 16"
    assert layer_work(FIRST, 8, GATHER) == work
    slow = layer_work(FIRST, 8, gather_per_cycle=0.01)
    assert slow.column_elements == 0, "where gathering is slow, kernels are split"


def test_strides_without_a_mode_are_gathered() -> None:
    uneven = LoopDims(1, 1, 32, 64, 8, 8, 3, 3, 8, 16, 1, 2)
    assert layer_work(uneven, 8, GATHER) == gathered(uneven, 8)


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
