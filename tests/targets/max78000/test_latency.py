"""The vendor's closed form: every count of its tests, to the cycle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.max78000.latency import START_CYCLES, Job
from tools.experiments.max78000_counts import COUNTS, Count

SOURCE = "analogdevicesinc/ai8x-synthesis, izer/test/test_cycles.py"


@pytest.mark.parametrize("count", COUNTS, ids=[f"{count.name}-{count.cycles}" for count in COUNTS])
def test_the_counts_of_the_vendor_are_met_to_the_cycle(count: Count) -> None:
    assert START_CYCLES + count.job.cycles == count.cycles, SOURCE


def test_all_counts_are_there() -> None:
    assert [count.cycles for count in COUNTS] == [
        3049, 49010, 67981, 59773, 13885, 773, 2485, 1437, 8189, 721,
        16837, 193, 1441, 687, 705, 770, 29, 20, 3062,
    ], SOURCE  # fmt: skip


def test_sizes_follow_pooling_kernel_and_padding() -> None:
    job = Job(20, 15, 1, 8, (3, 3), (2, 1), (2, 3), 2)
    assert job.pooled == (10, 7) and job.written == (12, 7)
    assert Job(7, 9, 1, 8, (3, 3), (1, 1), doubled=True).written == (14, 18)


def test_a_depthwise_layer_writes_each_channel_once() -> None:
    full = Job(8, 8, 2, 128, (3, 3), (1, 1))
    assert full.cycles - replace(full, depthwise=True).cycles == 8 * 8 * 128


def test_a_sum_before_pooling_before_a_convolution_has_no_closed_form() -> None:
    with pytest.raises(ValueError, match="no closed form"):
        _ = Job(8, 8, 1, 8, (3, 3), pool=(2, 2), operands=2, pool_last=True).cycles
