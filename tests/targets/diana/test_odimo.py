"""ODiMO's cycles of the digital and the analog core, worked out by hand."""

from __future__ import annotations

import pytest

from targets.diana import odimo
from targets.network.layer import LoopDims
from tests.targets.networks import loops, square

PLINIO = "ODiMO as implemented in PLiNIO, diana_latency, worked out by hand"


@pytest.mark.parametrize(
    ("dims", "compute", "transfer"),
    [
        # Two blocks of 16 channels, two of 16 columns.
        (loops(17, 8, 4, 17, 3, 5), 2 * 8 * 2 * 4 * 15, 4 * 17 * 25 / 8),
        (loops(16, 16, 16, 16, 3, 3), 16 * 16 * 9, 16 * 16 * 32 / 8),
        # Depthwise: a block per channel, one channel in and out.
        (loops(4, 4, 16, 16, 3, 3, groups=4), 4 * 16 * 9, 16 * 16 * 8 / 8),
        # Two groups of 16 results: one block each, inputs of all groups.
        (loops(32, 16, 2, 16, 1, 1, groups=2), 16 * 2, 2 * 16 * (32 + 16) / 8),
        # Two rows of a product.
        (LoopDims(2, 1, 10, 64, 1, 1, 1, 1, 1, 1), 2 * 64, 2 * 74 / 8),
    ],
)
def test_the_digital_core(dims: LoopDims, compute: int, transfer: float) -> None:
    assert odimo.digital_compute_cycles(dims) == compute, PLINIO
    assert 0 <= odimo.digital_transfer_cycles(dims) - transfer < 1, PLINIO


def test_analog_by_hand() -> None:
    # C=64, 3x3: 64*3*(3+u-1) <= 1152 gives u=4; K=64 allows 8.
    dims = square(64, 64, 8, 3)
    assert odimo.analog_unroll(dims) == 4
    assert odimo.analog_compute_cycles(dims) == pytest.approx(64 / 4 * 18.2)
    assert odimo.analog_weight_cycles(dims) == 8 * 64 * 9, "ODiMO: 8 cycles per logical row"
    assert odimo.analog_unroll(square(512, 512, 8, 3)) == 1
    assert odimo.analog_weight_cycles(square(512, 128, 4, 3)) == 9216, (
        "writing the full array takes 9,216 cycles"
    )


@pytest.mark.parametrize(
    ("dims", "columns"),
    [
        (square(16, 16, 8, 3), 4),  # as 64 channels: 64 * 3 * 6 = 1,152 rows
        (square(16, 65, 8, 3), 2),  # 65 * 3 * 6 is one row of channels too much
        (square(128, 16, 8, 3), 4),  # 128 * 4 = 512 columns
        (square(129, 16, 8, 3), 2),
        (square(16, 16, 8, 1), 8),  # 64 * 1 * 8 rows
        (loops(16, 16, 8, 8, 1, 11), 8),  # 64 * 18 = 1,152 rows
        (loops(16, 16, 8, 8, 1, 12), 4),
        (square(600, 600, 8, 3), 1),  # not even one column fits: the layer is split
    ],
)
def test_columns_at_once_are_the_most_that_fit(dims: LoopDims, columns: int) -> None:
    assert odimo.analog_unroll(dims) == columns, PLINIO


@pytest.mark.parametrize(
    ("dims", "passes"),
    [
        (square(512, 128, 4, 3), 16 / 1),
        (square(513, 128, 4, 3), 2 * 16 / 1),
        (square(512, 129, 4, 3), 2 * 16 / 1),
        (square(16, 16, 4, 1), 16 / 8),
        (LoopDims(3, 1, 16, 16, 4, 4, 1, 1, 4, 4), 3 * 16 / 8),
    ],
)
def test_a_pass_of_the_array_takes_70_ns(dims: LoopDims, passes: float) -> None:
    assert odimo.analog_compute_cycles(dims) == pytest.approx(passes * 70e-9 * 260e6), PLINIO


def test_weights_are_written_row_by_row_whatever_the_results() -> None:
    assert odimo.analog_weight_cycles(loops(7, 5, 9, 9, 3, 2)) == 8 * 5 * 3 * 2
    assert odimo.analog_weight_cycles(loops(512, 5, 1, 1, 3, 2)) == 8 * 5 * 3 * 2
