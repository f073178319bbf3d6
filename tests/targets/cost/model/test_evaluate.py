"""What joins the parts of a cost."""

from __future__ import annotations

import numpy as np
import pytest

from targets.cost.model.evaluate import BatchCosts, evaluate
from targets.cost.model.nest import LoopNest
from targets.description.hierarchy import Hierarchy, MacArray
from targets.description.mapping import Mapping
from tests.targets.cost.small import core, mapped, matmul, outer, register

ONE = {"D1": 1}
LEVEL = core(ONE, register_W=register("W"), outer=outer({}, ONE))
# Of these, one leaves a weight in place for four iterations, the other for none.
STILL = Mapping({}, (("D", 4), ("K", 3)), {"O": (2,), "W": (2, 2), "I": (2,)})
TURNING = Mapping({}, (("K", 3), ("D", 4)), {"O": (2,), "W": (2, 2), "I": (2,)})


def costs(
    nest: LoopNest, *mappings: Mapping, level: Hierarchy = LEVEL, precharge_pj: float = 0.0
) -> BatchCosts:
    batch, levels, placed = mapped(nest, level, *mappings)
    return evaluate(batch, levels, level, placed, {}, 7.0, precharge_pj)


def test_energy_is_that_of_the_array_and_of_all_accesses() -> None:
    found = costs(matmul(d=4, k=3), STILL, TURNING)
    assert found.operation_energy_pj.tolist() == [7, 7]
    for row in (0, 1):
        assert found.energy_pj[row] == 7 + sum(float(a.energy_pj[row]) for a in found.accesses)
    # Words of 512 elements at 1 pJ: three weights are loaded at once, and read three or twelve times.
    assert (found.energy_pj - found.operation_energy_pj).tolist() == [
        1 + 1 + 3 + 12 + 12,
        1 + 1 + 12 + 4 + 12,
    ]


def test_precharging_is_spent_where_the_weight_changes() -> None:
    """12 pJ for a change in every one of 12 iterations; four of them need only three."""
    found = costs(matmul(d=4, k=3), STILL, TURNING, precharge_pj=12.0)
    assert found.operation_energy_pj.tolist() == [7 + 3, 7 + 12]


def test_layers_without_weights_precharge_nothing() -> None:
    sums = LoopNest(
        (("K", 3),),
        ("O", "I"),
        (("O", frozenset({"K"})), ("I", frozenset({"K"}))),
        (),
        (("I", 8), ("O", 8), ("O_final", 8)),
    )
    found = costs(sums, Mapping({}, (("K", 3),), {"O": (1,), "I": (1,)}), precharge_pj=12.0)
    assert found.operation_energy_pj.tolist() == [7]


def test_energy_takes_mean_factors_and_latency_whole_ones() -> None:
    """20 weights over 8 units are three turns of 6.67: 7 words are read at a time, and 6 loaded."""
    lanes = {"D1": 8}
    level = core(lanes, register_W=register("W"), outer=outer({"W to_below": 8}, lanes))
    found = costs(
        matmul(k=20), Mapping({"D1": {"K": 8}}, (("K", 3),), {"O": (1,), "W": (0, 1), "I": (1,)}), level=level
    )
    words = {(a.operand, a.memory, a.direction): a.words.tolist() for a in found.accesses}
    assert words["W", "outer", "to_below"] == [7 * 3]
    assert found.latency.onload.tolist() == [6]


@pytest.mark.parametrize("cycles", [1.0, 2.5])
def test_an_operation_takes_the_cycles_of_the_array(cycles: float) -> None:
    array = MacArray(dimensions=ONE, operation_cycles=cycles)
    slow = LEVEL.model_copy(update={"array": array})
    found = costs(matmul(d=4, k=3), STILL, level=slow)
    assert found.latency.compute.tolist() == [12 * cycles]


def test_orders_side_by_side_cost_what_each_costs_alone() -> None:
    nest = matmul(d=4, k=3)
    both = costs(nest, STILL, TURNING)
    for row, mapping in enumerate((STILL, TURNING)):
        alone = costs(nest, mapping)
        assert both.energy_pj[row] == alone.energy_pj[0]
        assert np.isclose(both.latency.total[row], alone.latency.total[0])
