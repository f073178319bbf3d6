"""Costs of layers: added up over tiles, and at another energy."""

from __future__ import annotations

import pytest

from targets.cost.layer_cost import LayerCost, in_turn
from targets.objective import EDP, ENERGY, LATENCY

FIRST = LayerCost(10, 1, 2, 3, 5.0, 0.5, 8, "published", 4, 5, 6)
SECOND = LayerCost(20, 0, 0, 0, 7.0, 1.0, 20, "placeholder", 0, 0, 9)


def test_tiles_one_after_another() -> None:
    both = in_turn((FIRST, SECOND))
    assert both.latency_cycles == FIRST.latency_cycles + SECOND.latency_cycles == 31 + 29
    assert both == LayerCost(30, 1, 2, 3, 12.0, (0.5 * 31 + 29) / 60, 28, "published", 4, 5, 15)
    assert in_turn((FIRST,)) == FIRST


def test_energy_scales_and_cycles_stay() -> None:
    half = FIRST.at_energy(0.5)
    assert (half.energy_pj, half.latency_cycles, half.utilization) == (2.5, 31, 0.5)
    assert [FIRST.value(o) for o in (EDP, LATENCY, ENERGY)] == pytest.approx([155.0, 31, 5.0])
