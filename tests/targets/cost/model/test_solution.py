"""Sums of the parts of a solution."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.cost.model.solution import MemoryAccess, Solution
from targets.description.mapping import Mapping
from targets.objective import EDP, ENERGY, LATENCY, Objective

FOUND = Solution(
    mapping=Mapping({}, (("K", 4),), {"O": (1,), "I": (1,)}),
    compute_cycles=40.0,
    stall_cycles=5.0,
    onload_cycles=3.0,
    offload_cycles=2.0,
    stalls=(("dram.rw", 5.0),),
    operation_energy_pj=8.0,
    accesses=(
        MemoryAccess("I", "dram", "to_below", 4.0, 20.0),
        MemoryAccess("O", "dram", "from_below", 1.0, 2.0),
    ),
    ideal_cycles=10.0,
    bound_cycles=12.0,
    considered=7,
    gap=0.25,
)


def test_parts_add_up() -> None:
    assert FOUND.latency_cycles == 40 + 5 + 3 + 2
    assert FOUND.energy_pj == 8 + 20 + 2
    assert FOUND.utilization == 10 / 50


@pytest.mark.parametrize(("objective", "value"), [(LATENCY, 50), (ENERGY, 30), (EDP, 1500)])
def test_its_value_is_that_of_the_objective(objective: Objective, value: float) -> None:
    assert FOUND.value(objective) == value


def test_scaled_energy_leaves_all_else() -> None:
    scaled = FOUND.at_energy(0.5)
    assert scaled.energy_pj == 15
    assert [access.energy_pj for access in scaled.accesses] == [10, 1]
    assert [access.words for access in scaled.accesses] == [4, 1]
    assert replace(scaled, operation_energy_pj=8.0, accesses=FOUND.accesses) == FOUND
