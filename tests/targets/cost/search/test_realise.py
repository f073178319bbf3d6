"""Orders that lead through the points of a path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.nest import Shape
from targets.cost.search.bounds import Bounds
from targets.cost.search.problem import MappingProblem
from targets.cost.search.realise import VARIANTS, realised, rows_of
from targets.cost.search.shortest_paths import Path
from tests.targets.cost.small import core, matmul, outer, register

ONE = {"D1": 1}
LEVEL = core(ONE, register_W=register("W"), register_I=register("I"), outer=outer({}, ONE))


@pytest.fixture(scope="module")
def bounds() -> Bounds:
    """Return a lattice of C 4, D 2 and K 6; weights and inputs have a register each."""
    problem = MappingProblem(Shape(matmul(d=2, c=4, k=6)), LEVEL, {})
    return problem.bounds(problem.place({}), None)


def point(bounds: Bounds, c: int, d: int, k: int) -> int:
    return bounds.lattice.extents.tolist().index([c, d, k])


def path(bounds: Bounds, weights: tuple[int, int, int], inputs: tuple[int, int, int]) -> Path:
    """Return a path on which nothing stays in the multipliers."""
    start = {(op, -1): 0 for op in ("O", "W", "I")}
    return Path(0.0, start | {("W", 0): point(bounds, *weights), ("I", 0): point(bounds, *inputs)})


def extents(loops: list[tuple[int, int]]) -> list[float]:
    found = [1.0, 1.0, 1.0]
    for loop, size in loops:
        found[loop] *= size
    return found


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_order_leads_through_the_points(bounds: Bounds, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, bounds.lattice.count - 1))
    above = (bounds.lattice.extents % bounds.lattice.extents[low] == 0).all(axis=1)
    high = data.draw(st.sampled_from(np.flatnonzero(above).tolist()))
    first, second = data.draw(st.permutations(("W", "I")))
    points = {(op, -1): 0 for op in ("O", "W", "I")} | {(first, 0): low, (second, 0): high}
    orders = list(realised(bounds, [Path(0.0, points)]))
    assert len(orders) == VARIANTS
    for loops, levels in orders:
        assert extents(loops) == [4, 2, 6]
        assert levels["O"] == [len(loops)]
        for op, at in ((first, low), (second, high)):
            assert levels[op][1] == len(loops)
            assert extents(loops[: levels[op][0]]) == bounds.lattice.extents[at].tolist()


def test_loops_of_what_is_replaced_go_last_then_first(bounds: Bounds) -> None:
    """Weights end at C 4, D 2 and K 3: first D, which leaves them in place, and in the second order last."""
    orders = list(realised(bounds, [path(bounds, (4, 2, 3), (4, 2, 6))]))
    inner = [[loop for loop, _ in loops[: levels["W"][0]]] for loops, levels in orders]
    assert inner[0][0] == 1 and 1 not in inner[0][1:]
    assert inner[1][-1] == 1 and 1 not in inner[1][:-1]


def test_equal_paths_are_realised_once_and_always_alike(bounds: Bounds) -> None:
    one, other = path(bounds, (4, 1, 1), (4, 2, 1)), path(bounds, (2, 1, 1), (4, 2, 1))
    orders = list(realised(bounds, [one, other, one]))
    assert len(orders) == 2 * VARIANTS
    assert orders == list(realised(bounds, [one, other]))


def test_rows_are_the_orders_as_arrays(bounds: Bounds) -> None:
    orders = list(realised(bounds, [path(bounds, (4, 1, 1), (4, 2, 1))]))
    rows = rows_of(orders)
    assert len(rows) == VARIANTS
    for i, (loops, levels) in enumerate(orders):
        assert list(zip(rows.loops[i].tolist(), rows.sizes[i].tolist(), strict=True)) == loops
        assert {op: own[i].tolist() for op, own in rows.levels.items()} == levels
    empty = rows_of([([], {"O": [0], "W": [0, 0]})])
    assert empty.loops.shape == empty.sizes.shape == (1, 0) and empty.levels["W"].tolist() == [[0, 0]]
