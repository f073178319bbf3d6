"""Temporal loops of a mapping: factors, and every order of them as one array."""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache

import numpy as np

from targets.cost.model.nest import Ints

# Orders worth trying one by one.
MAX_ORDERS = 50_000
Factor = tuple[int, int]  # (position of the loop in the nest, factor)


def prime_factors(number: int) -> list[int]:
    """Return the prime factors of ``number``, smallest first."""
    factors, prime = [], 2
    while prime * prime <= number:
        while number % prime == 0:
            factors.append(prime)
            number //= prime
        prime += 1
    return [*factors, number] if number > 1 else factors


def temporal_factors(remaining: tuple[int, ...], limit: int | None) -> tuple[Factor, ...]:
    """Split the loops left in time into at most ``limit`` factors, at least one per loop.

    While there are too many, the loop with most factors (the first of them) has its two smallest merged: the
    rule of ZigZag's loop-order search, so that the same limit means the same space.

    Args:
        remaining: Iterations left of each loop.
        limit: Most factors, or ``None`` for all prime factors.
    """
    per_loop = {i: prime_factors(size) for i, size in enumerate(remaining) if size > 1}
    count = sum(len(f) for f in per_loop.values())
    while limit is not None and count > max(limit, len(per_loop)):
        most = max(per_loop, key=lambda i: len(per_loop[i]))
        first, second, *rest = per_loop[most]
        per_loop[most] = sorted([first * second, *rest])
        count -= 1
    return tuple((i, factor) for i, factors in per_loop.items() for factor in factors)


def order_count(factors: tuple[Factor, ...]) -> int:
    """Return how many different orders ``factors`` have."""
    count = math.factorial(len(factors))
    for times in Counter(factors).values():
        count //= math.factorial(times)
    return count


def all_orders(factors: tuple[Factor, ...]) -> tuple[Ints, Ints]:
    """Return every different order of ``factors``, innermost first.

    Returns:
        Loop positions and factors, ``[orders, len(factors)]`` each; a single empty order without factors.
    """
    kinds = Counter(factors)
    order = _multiset_orders(tuple(kinds.values()))
    loops = np.array([loop for loop, _ in kinds], np.int64)
    sizes = np.array([size for _, size in kinds], np.int64)
    if not factors:
        return np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int64)
    return loops[order], sizes[order]


@lru_cache(maxsize=256)
def _multiset_orders(counts: tuple[int, ...]) -> Ints:
    """Return the distinct orders of a multiset with ``counts[i]`` copies of item i, lexicographically."""
    if sum(counts) == 0:
        return np.zeros((1, 0), np.int64)
    blocks = []
    for item, left in enumerate(counts):
        if left:
            rest = _multiset_orders((*counts[:item], left - 1, *counts[item + 1 :]))
            blocks.append(np.hstack([np.full((len(rest), 1), item, np.int64), rest]))
    return np.vstack(blocks)
