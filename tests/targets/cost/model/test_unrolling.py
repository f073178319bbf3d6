"""Loops unrolled over the array, as each memory sees them: by hand, and against the units one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings

from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.unrolling import EXACT, RULES, ZIGZAG, Placed, Rules, Spread, place
from targets.description.hierarchy import Hierarchy
from tests.targets.cost.small import core, matmul, memory, outer, register
from tests.targets.cost.strategies import Case, cases

TWO = {"D1": 4, "D2": 2}
SUMS = dict.fromkeys(("O from_below", "O to_above", "O from_above", "O to_below"), 64)
LEVEL = core(TWO, register_W=register("W"), sums=memory("O", 64, SUMS, ("D2",)), outer=outer({}, TWO))


def placed(
    nest: LoopNest, unrolling: dict[str, dict[str, int]], level: Hierarchy = LEVEL, rules: Rules = ZIGZAG
) -> Placed:
    return place(Shape(nest), level, unrolling, {}, rules)


def told(spread: Spread) -> tuple[list[list[float]], list[float], list[float], tuple[bool, ...]]:
    return spread.inside.tolist(), spread.fan_out.tolist(), spread.units.tolist(), spread.reduces


def test_each_memory_sees_what_is_unrolled_below_it() -> None:
    """K over the four columns, C over the two rows; extents are those of C, D and K."""
    found = placed(matmul(d=6, c=4, k=8), {"D1": {"K": 4}, "D2": {"C": 2}})
    assert found.remaining == (2, 6, 2)
    assert found.whole is found.mean
    # A register of each unit holds one weight; all eight of them are different.
    assert told(found.mean["W"]) == ([[1, 1, 1], [1, 1, 1], [2, 1, 4]], [1, 8], [8, 8, 1], (False,) * 3)
    # Two rows add up one output, so a register per column takes one for both, and columns differ.
    assert told(found.mean["O"]) == (
        [[1, 1, 1], [2, 1, 1], [2, 1, 4]],
        [1, 4],
        [8, 4, 1],
        (True, False, False),
    )
    # The columns share their input.
    assert told(found.mean["I"]) == ([[1, 1, 1], [2, 1, 4]], [2], [8, 1], (True, False))


def test_elements_multiply_from_memory_to_memory() -> None:
    """Two rows of outputs to a register, four registers to the outer memory."""
    found = placed(matmul(d=2, k=4), {"D1": {"K": 4}, "D2": {"D": 2}})
    assert found.mean["O"].fan_out.tolist() == [2, 4]
    assert found.mean["O"].units.tolist() == [8, 4, 1]


def test_sums_of_units_without_a_common_register_meet_further_out() -> None:
    """C over the columns: a register per column holds a part of the sum, which the outer memory adds up."""
    found = placed(matmul(c=4), {"D1": {"C": 4}})
    assert found.mean["O"].reduces == (True, True, False)
    assert found.mean["O"].fan_out.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("sizes", "factors", "mean", "remaining"),
    [
        # Three turns of 6.67, which are 2 times 3.33: the smaller factor comes first and counts.
        ((2, 4), (2, 4), (2, 20 / 6), 3),
        # The largest comes first, and what follows does not count: five turns of 4 are whole.
        ((4, 2), (4, 2), (4, 2), 3),
        ((4, 4), (4, 4), (4, 4), 2),
        ((8, 2), (8, 1), (20 / 3, 1), 3),
    ],
)
def test_of_two_dimensions_the_first_of_the_largest_takes_the_fraction(
    sizes: tuple[int, int], factors: tuple[int, int], mean: tuple[float, float], remaining: int
) -> None:
    """20 outputs over two dimensions; energy sees means, latency whole factors."""
    array = dict(zip(("D1", "D2"), sizes, strict=True))
    level = core(array, sums=memory("O", 64, SUMS, ("D1",)), outer=outer({}, array))
    found = placed(matmul(k=20), {"D1": {"K": factors[0]}, "D2": {"K": factors[1]}}, level)
    assert found.remaining == (1, 1, remaining)
    assert found.mean["O"].inside[1:, 2].tolist() == pytest.approx([mean[0], mean[0] * mean[1]])
    assert found.whole["O"].inside[1:, 2].tolist() == [int(mean[0]), int(mean[0]) * int(mean[1])]


@pytest.mark.parametrize(("size", "exact", "zigzag"), [(33, 7, 7), (34, 7, 8), (35, 7, 7), (36, 8, 8)])
def test_rounding_adds_a_turn_by_the_rules_of_zigzag_alone(size: int, exact: int, zigzag: int) -> None:
    """34 over 5 are 7 turns of 34 / 7, which float arithmetic finds to be a little too small."""
    array = {"D1": 5}
    level, nest = core(array, outer=outer({}, array)), matmul(k=size)
    turns = {rules: placed(nest, {"D1": {"K": 5}}, level, rules).remaining for rules in RULES}
    assert turns[EXACT] == (1, 1, exact)
    assert turns[ZIGZAG] == (1, 1, zigzag), "ZigZag 3.8.5 divides by the mean factor and rounds up"


def test_over_two_dimensions_no_turn_is_added() -> None:
    """20 over 3 and 4 are two turns; by mean factors, level by level, seven of 3 and then three of 10 / 3."""
    array = {"D1": 3, "D2": 4}
    level = core(array, sums=memory("O", 64, SUMS, ("D1",)), outer=outer({}, array))
    assert placed(matmul(k=20), {"D1": {"K": 3}, "D2": {"K": 4}}, level, EXACT).remaining == (1, 1, 2)


def test_a_linked_operand_spreads_over_the_memories_of_the_other() -> None:
    found = place(Shape(matmul(k=4)), LEVEL, {"D1": {"K": 4}}, {"I": "W", "W": "I"})
    # The inputs have a register per unit, the weights none.
    assert found.mean["I"].units.tolist() == [4, 4, 1]
    assert found.mean["W"].units.tolist() == [4, 1]


def units_of(case: Case, level: int, operand: str) -> dict[tuple[int, ...], set[tuple[int, ...]]]:
    """Return the iterations the units below each instance of a memory work on, one unit at a time."""
    names = [name for name, _ in case.nest.loops]
    dimensions = [d for d in case.mapping.spatial if case.mapping.spatial[d]]
    served = set().union(*(m.served_dimensions for _, m in case.core.levels(operand)[:level]))
    found: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    sizes = [math.prod(case.mapping.spatial[d].values()) for d in dimensions]
    for unit in itertools.product(*(range(size) for size in sizes)):
        iteration = [0] * len(names)
        for d, index in zip(dimensions, unit, strict=True):
            for loop in case.mapping.spatial[d]:
                iteration[names.index(loop)] = index
        instance = tuple(i for d, i in zip(dimensions, unit, strict=True) if d not in served)
        found.setdefault(instance, set()).add(tuple(iteration))
    return found


@settings(max_examples=60, deadline=None)
@given(cases(whole=True))
def test_instances_and_what_they_serve_equal_a_walk_over_the_units(case: Case) -> None:
    """Each array dimension unrolls one loop; a memory serves those that it or one further in serves."""
    found = place(Shape(case.nest), case.core, case.mapping.spatial, {})
    turns = np.array(found.remaining) * np.array(
        [math.prod(f.get(loop, 1) for f in case.mapping.spatial.values()) for loop, _ in case.nest.loops]
    )
    assert turns.tolist() == [size for _, size in case.nest.loops]
    for op in case.nest.operands:
        spread = found.mean[op]
        for level in range(len(case.core.levels(op)) + 1):
            walked = units_of(case, level, op)
            assert spread.units[level] == len(walked)
            for iterations in walked.values():
                extents = [len({point[i] for point in iterations}) for i in range(len(turns))]
                assert spread.inside[level].tolist() == extents
