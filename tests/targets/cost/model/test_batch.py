"""Arrays over the prefixes of many orders against one prefix of one order at a time."""

from __future__ import annotations

from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.batch import Batch, at
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.search.orderings import all_orders, temporal_factors
from tests.targets.cost.small import matmul
from tests.targets.cost.strategies import nests

some = settings(max_examples=60, deadline=None)


def batch_of(nest: LoopNest, *orders: tuple[tuple[str, int], ...]) -> Batch:
    shape = Shape(nest)
    loops = np.array([[shape.index[loop] for loop, _ in order] for order in orders], np.int64)
    return Batch(shape, loops, np.array([[size for _, size in order] for order in orders], np.int64))


def all_of(nest: LoopNest) -> Batch:
    """Return all orders of at most four factors."""
    shape = Shape(nest)
    return Batch(shape, *all_orders(temporal_factors(tuple(nest.sizes.values()), 4)))


small_nests = nests.filter(lambda nest: sum(size > 1 for _, size in nest.loops) <= 4)


def test_at_takes_one_entry_per_row() -> None:
    prefixes = np.array([[1, 2, 6], [1, 3, 6]], np.int64)
    assert at(prefixes, np.array([2, 1])).tolist() == [6, 3]


@some
@given(small_nests, st.integers(1, 3))
def test_prefixes_iterate_and_touch_what_their_loops_do(nest: LoopNest, unrolled: int) -> None:
    batch, shape = all_of(nest), Shape(nest)
    inside = np.full(len(shape.names), float(unrolled))
    for row in range(0, batch.count, 5):
        extents = inside.copy()
        for j in range(batch.length + 1):
            assert batch.cycles[row, j] == extents.prod() / inside.prod()
            for op in nest.operands:
                touched = batch.footprint(op, inside)[row, j]
                assert touched == pytest.approx(float(shape.footprint(op, extents)))
            if j < batch.length:
                extents[batch.loops[row, j]] *= batch.sizes[row, j]


@some
@given(small_nests)
def test_runs_of_loops_end_where_a_walk_ends_them(nest: LoopNest) -> None:
    batch, shape = all_of(nest), Shape(nest)
    for row in range(0, batch.count, 5):
        loops = batch.loops[row].tolist()
        for op in nest.operands:
            still = [bool(shape.irrelevant[op][loop]) for loop in loops]
            direct = [bool(shape.direct[op][loop]) for loop in loops]
            assert batch.irrelevant[op][row].tolist() == still
            assert batch.reduced_from[op][row] == max((i + 1 for i, s in enumerate(still) if s), default=0)
            for j in range(batch.length + 1):
                # Upwards over what moves nothing; downwards over the run that ends here.
                assert batch.resume[op][row, j] == j + len(list(takewhile(bool, still[j:])))
                assert batch.irrelevant_run[op][row, j] == j - len(list(takewhile(bool, still[:j][::-1])))
                assert batch.relevant_run[op][row, j] == j - len(list(takewhile(bool, direct[:j][::-1])))


def test_two_orders_by_hand() -> None:
    """``W`` is indexed by C and K: D leaves it where it is."""
    nest = matmul(d=2, c=3, k=4)
    batch = batch_of(nest, (("D", 2), ("C", 3), ("K", 4)), (("C", 3), ("D", 2), ("K", 4)))
    assert batch.cycles.tolist() == [[1, 2, 6, 24], [1, 3, 6, 24]]
    assert batch.footprint("W", np.ones(3)).tolist() == [[1, 1, 3, 12], [1, 3, 3, 12]]
    assert batch.resume["W"].tolist() == [[1, 1, 2, 3], [0, 2, 2, 3]]
    assert batch.reduced_from["O"].tolist() == [2, 1]


def test_footprints_keep_no_rounding_noise() -> None:
    """7 turns of 58 / 7 are 58 elements: noise must not decide between equal allocations."""
    assert 7 * (58 / 7) != 58
    batch = batch_of(matmul(k=58), (("K", 7),))
    assert batch.footprint("O", np.array([1.0, 1.0, 58 / 7]))[0].tolist() == [8.285714, 58]
    # Another unrolling is another question.
    assert batch.footprint("O", np.ones(3))[0].tolist() == [1, 7]
