"""Allocations for less room: all that some smaller memories would have, and no others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.allocation import allocate, fitting
from targets.cost.model.batch import Batch
from targets.cost.model.less_room import Judged, all_allocations
from targets.cost.model.nest import Floats, Shape
from targets.cost.model.unrolling import place
from targets.cost.search.orderings import all_orders, temporal_factors
from targets.description.hierarchy import Hierarchy
from tests.targets.cost.small import WIDE, core, matmul, memory, outer, register

ONE = {"D1": 1}
SHAPE = Shape(matmul(d=2, c=3, k=4))
Allocation = tuple[int, tuple[tuple[str, tuple[int, ...]], ...]]


class Everything:
    """Goes on with all, and adds up how many memories were judged."""

    def judge(
        self, memory: str, held: dict[str, Floats], fetched: dict[str, Floats], spent: Floats
    ) -> Judged:
        assert memory in ("register_W", "buffer") and set(held) == set(fetched)
        yes = np.ones(len(spent), bool)
        return Judged(yes, yes, spent + 1)


def two_memories(register_bits: int, buffer_bits: int) -> Hierarchy:
    """Return a core with a register of weights below a buffer of everything."""
    ports = {
        "W from_above, I from_above, O from_above": WIDE, "W to_below, I to_below, O to_below": WIDE,
        "O from_below, O to_above": WIDE,
    }  # fmt: skip
    return core(
        ONE, register_W=register("W", register_bits), buffer=memory("WIO", buffer_bits, ports, ("D1",)),
        outer=outer({}, ONE),
    )  # fmt: skip


def orders() -> Batch:
    return Batch(SHAPE, *all_orders(temporal_factors((3, 2, 4), 4)))


def found(level: Hierarchy, most: bool) -> list[Allocation]:
    batch, placed = orders(), place(SHAPE, level, {}, {})
    part = all_allocations(batch, level, placed, {}, Everything(), most)
    assert (part.spent == 2).all(), "the outermost memory takes what is left, and is not judged"
    columns = {op: np.array(ends).T.tolist() for op, ends in part.levels.items()}
    again = Batch(SHAPE, batch.loops[part.rows], batch.sizes[part.rows])
    assert fitting(again, level, placed, {}, part.levels).all()
    return [
        (int(row), tuple((op, tuple(columns[op][i])) for op in columns)) for i, row in enumerate(part.rows)
    ]


def greedy(level: Hierarchy, most: bool) -> set[Allocation]:
    levels, fits = allocate(orders(), level, place(SHAPE, level, {}, {}), {}, most)
    columns = {op: np.array(ends).T.tolist() for op, ends in levels.items()}
    return {
        (int(row), tuple((op, tuple(columns[op][row])) for op in columns)) for row in np.flatnonzero(fits)
    }


@pytest.mark.parametrize("most", [True, False])
def test_they_are_those_of_all_sizes_up_to_the_memories(most: bool) -> None:
    sizes = itertools.product(range(8, 41, 8), range(8, 281, 8))
    expected = set().union(*(greedy(two_memories(*pair), most) for pair in sizes))
    made = found(two_memories(40, 280), most)
    assert len(made) == len(set(made)) and set(made) == expected
    assert len(expected) > len(greedy(two_memories(40, 280), most))


@settings(max_examples=40, deadline=None)
@given(*(st.integers(8, 400) for _ in range(4)))
def test_what_smaller_memories_have_larger_ones_have(a: int, b: int, c: int, d: int) -> None:
    less, more = two_memories(min(a, b), min(c, d)), two_memories(max(a, b), max(c, d))
    assert set(found(less, True)) <= set(found(more, True))


def test_nothing_is_found_where_nothing_fits() -> None:
    assert found(two_memories(8, 8), True) == []
