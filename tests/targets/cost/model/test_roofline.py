"""What no mapping can beat, by hand. That none does is a property of the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.roofline import bound_cycles, ideal_cycles
from targets.description.hierarchy import Hierarchy, MacArray
from tests.targets.cost.small import WIDE, core, matmul, memory, outer, register

LANES = {"D1": 2, "D2": 2}


def level(ports: dict[str, int], cycles: float = 1.0) -> Hierarchy:
    """Return four units with a register of each operand below an outer memory with these ports."""
    sums = memory("O", 64, dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), WIDE))
    found = core(
        LANES, register_W=register("W"), register_I=register("I"), sums=sums, outer=outer(ports, LANES)
    )
    return found.model_copy(update={"array": MacArray(dimensions=LANES, operation_cycles=cycles)})


@pytest.mark.parametrize(
    ("k", "cycles", "ideal"),
    [
        (8, 1.0, 2),
        (9, 1.0, 3),  # the last one alone
        (9, 1.5, 5),  # three operations of one and a half cycles
    ],
)
def test_all_units_work_all_the_time(k: int, cycles: float, ideal: float) -> None:
    nest = Shape(matmul(k=k))
    assert ideal_cycles(nest, level({}, cycles)) == ideal
    assert bound_cycles(nest, level({}, cycles), {}) == ideal


@pytest.mark.parametrize(
    ("ports", "bound"),
    [
        ({}, 6),  # 24 operations on four units
        ({"W to_below": 8}, 12),  # 12 weights of a byte
        ({"I to_below": 4}, 12),  # 6 inputs
        ({"O from_below": 2}, 32),  # 8 final outputs of a byte: sums are wider, but need not leave
        ({"O to_below": 1}, 6),  # nothing need come back
        # Longest of all; loads over one port may overlap, so that they are not added up.
        ({"W to_below, I to_below": 8}, 12),
        # Eleven cycles and a part: less is not proven.
        ({"W to_below": 9}, 10),
    ],
)
def test_every_operand_moves_once(ports: dict[str, int], bound: float) -> None:
    nest = replace(matmul(d=2, c=3, k=4), bits=(("W", 8), ("I", 8), ("O", 32), ("O_final", 8)))
    assert bound_cycles(Shape(nest), level(ports), {}) == bound


def test_what_lies_in_the_only_memory_need_not_move() -> None:
    alone = core(LANES, outer=outer({"W to_below": 1}, LANES))
    assert bound_cycles(Shape(matmul(k=8)), alone, {}) == 2


def test_a_linked_operand_passes_the_port_of_the_other() -> None:
    nest: LoopNest = matmul(d=4, c=2)
    narrow = level({"W to_below": 2})
    assert bound_cycles(Shape(nest), narrow, {}) == 2 * 8 / 2
    # Eight inputs instead of two weights.
    assert bound_cycles(Shape(nest), narrow, {"I": "W", "W": "I"}) == 8 * 8 / 2
    # Where only inputs pass a port at all, weights that use their memories do.
    single = core(LANES, register_I=register("I"), outer=outer({"W to_below, I to_below": 2}, LANES))
    assert bound_cycles(Shape(matmul(c=2, k=4)), single, {}) == 2 * 8 / 2
    assert bound_cycles(Shape(matmul(c=2, k=4)), single, {"I": "W", "W": "I"}) == 8 * 8 / 2
