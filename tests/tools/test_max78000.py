"""MAX78000 against what is published: the target meets the counts, the page is what the command writes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.shared_files import shared
from tools.experiments.max78000 import (
    counted,
    cycles_by_target,
    mean_power_mw,
    page,
    predicted_cycles,
    spread,
)
from tools.experiments.max78000_counts import COUNTS, CYCLES_PER_US, PUBLISHED, Count, Published, network_of

PAGE = Path(__file__).parents[2] / "docs" / "results" / "max78000.md"
LAYERS = [count for count in COUNTS if count.layer]


@pytest.mark.parametrize("count", LAYERS, ids=[f"{count.name}-{count.cycles}" for count in LAYERS])
def test_the_target_meets_the_counts_of_the_vendor(count: Count) -> None:
    assert cycles_by_target(count) == count.cycles, "ai8x-synthesis, izer/test/test_cycles.py"


def test_what_is_left_out_says_why() -> None:
    out = [count for count in COUNTS if not count.layer]
    assert [count.cycles for count in out] == [16837, 705]
    for count in out:
        assert count.note and cycles_by_target(count) is None
    assert "| 705 | 705 | out |" in "\n".join(counted())


@pytest.mark.parametrize("published", PUBLISHED, ids=[published.name for published in PUBLISHED])
def test_times_on_the_board_are_met_without_a_fit(published: Published) -> None:
    measured = published.time_us * CYCLES_PER_US
    assert -0.0202 < predicted_cycles(published) / measured - 1 < 0, "analogdevicesinc/msdk, README.md"


def test_networks_have_the_weights_the_vendor_counts() -> None:
    """71,148 for mnist (README of its tools, training session), 2 x 60 x 9 more for colours of cifar-10."""
    sizes = []
    for published in PUBLISHED[:2]:
        declared = network_of(published).graph.value_info
        shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in declared]
        sizes.append(sum(math.prod(shape) for shape in shapes))
    assert sizes == [71148, 71148 + 1080]


def test_power_is_the_geometric_mean_of_what_is_published() -> None:
    low, high = spread()
    assert mean_power_mw() == pytest.approx(46.5, abs=0.05)
    assert (low, high) == (0.75, 1.39), "35.28 and 64.29 mW over the mean are 0.759 and 1.383"


def test_the_page_is_what_the_command_writes() -> None:
    folder = shared("models", "resnet8_cifar10.onnx").parents[1]
    assert PAGE.read_text(encoding="utf-8") == page(folder)
