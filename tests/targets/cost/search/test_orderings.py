from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.search.orderings import all_orders, order_count, prime_factors, temporal_factors

some = settings(max_examples=120, deadline=None)
remaining = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(tuple)


@some
@given(remaining, st.one_of(st.none(), st.integers(1, 8)))
def test_temporal_factors_keep_every_loop(sizes: tuple[int, ...], limit: int | None) -> None:
    factors = temporal_factors(sizes, limit)
    loops = sum(size > 1 for size in sizes)
    for index, size in enumerate(sizes):
        assert math.prod(f for i, f in factors if i == index) == size
    if limit is None:
        assert len(factors) == sum(len(prime_factors(size)) for size in sizes)
    else:
        assert len(factors) <= max(limit, loops)


@some
@given(remaining)
def test_orders_are_complete_and_unique(sizes: tuple[int, ...]) -> None:
    factors = temporal_factors(sizes, 5)
    loops, numbers = all_orders(factors)
    found = [tuple(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(loops, numbers, strict=True)]
    assert len(found) == order_count(factors) == len(set(found))
    assert set(found) == set(itertools.permutations(factors))


def test_the_smallest_factors_of_the_loop_with_most_are_merged_first() -> None:
    """8 = 2*2*2 and 12 = 2*2*3 are six factors; at four, both have had their twos merged."""
    assert temporal_factors((8, 1, 12), None) == ((0, 2), (0, 2), (0, 2), (2, 2), (2, 2), (2, 3))
    assert temporal_factors((8, 1, 12), 5) == ((0, 2), (0, 4), (2, 2), (2, 2), (2, 3))
    assert temporal_factors((8, 1, 12), 4) == ((0, 2), (0, 4), (2, 3), (2, 4))
    # Never fewer than one per loop.
    assert temporal_factors((8, 1, 12), 1) == ((0, 8), (2, 12))


def test_orders_without_factors_are_one_empty_order() -> None:
    loops, sizes = all_orders(())
    assert loops.shape == sizes.shape == (1, 0)
