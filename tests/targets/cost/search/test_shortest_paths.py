"""The cheapest points on a common path against all choices of points."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.cost.model.nest import Floats
from targets.cost.search.shortest_paths import Key, Path, PathSolver

# An operand with two boundaries and one with one.
LEVELS = {"W": [-1, 0], "O": [0]}
KEYS: tuple[Key, ...] = (("W", -1), ("W", 0), ("O", 0))
SHAPES = ((4,), (2, 3), (2, 2, 2))
Prices = dict[Key, Floats]


def below(shape: tuple[int, ...], low: int, high: int) -> bool:
    """Return whether a path leads from one point up to another."""
    return all(
        a <= b for a, b in zip(np.unravel_index(low, shape), np.unravel_index(high, shape), strict=True)
    )


def on_a_path(shape: tuple[int, ...], points: dict[Key, int]) -> bool:
    ordered = below(shape, points["W", -1], points["W", 0])
    pairs = itertools.combinations(points.values(), 2)
    return ordered and all(below(shape, a, b) or below(shape, b, a) for a, b in pairs)


def total(prices: Prices, points: dict[Key, int]) -> float:
    return sum(float(prices[key][point]) for key, point in points.items())


def least(shape: tuple[int, ...], prices: Prices) -> float:
    """Return the least price over all choices of points, one by one."""
    count = math.prod(shape)
    choices = (dict(zip(KEYS, c, strict=True)) for c in itertools.product(range(count), repeat=len(KEYS)))
    return min(total(prices, c) for c in choices if on_a_path(shape, c))


@st.composite
def questions(draw: st.DrawFn) -> tuple[tuple[int, ...], Prices]:
    shape = draw(st.sampled_from(SHAPES))
    price = st.one_of(st.integers(0, 9).map(float), st.just(math.inf))
    count = math.prod(shape)
    return shape, {key: np.array(draw(st.lists(price, min_size=count, max_size=count))) for key in KEYS}


def check(shape: tuple[int, ...], prices: Prices, path: Path | None) -> None:
    """Check that a path is one, costs what it says, and that none is cheaper."""
    best = least(shape, prices)
    if path is None:
        assert best == math.inf
        return
    assert path.value == best == total(prices, path.points)
    assert set(path.points) == set(KEYS) and on_a_path(shape, path.points)


@settings(max_examples=60, deadline=None)
@given(questions())
def test_no_choice_of_points_on_a_path_is_cheaper(question: tuple[tuple[int, ...], Prices]) -> None:
    shape, prices = question
    check(shape, prices, PathSolver(shape, LEVELS).solve(prices))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16))
def test_many_sets_of_prices_are_solved_as_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    stacked = {key: random.integers(0, 9, (3, 6)).astype(float) for key in KEYS}
    stacked["O", 0][1] = math.inf
    together = PathSolver((2, 3), LEVELS).solve_all(stacked)
    assert together[1] is None
    for k, path in enumerate(together):
        check((2, 3), {key: prices[k] for key, prices in stacked.items()}, path)


def test_points_of_two_operands_must_be_above_one_another() -> None:
    """Two loops, each the cheapest for one operand: on no path are both points."""
    sides = {"W": [0], "O": [0]}
    # Points: none, the second loop, the first loop, both.
    prices = {("W", 0): np.array([5.0, 0, 9, 4]), ("O", 0): np.array([5.0, 9, 0, 3])}
    path = PathSolver((2, 2), sides).solve(prices)
    assert path == Path(3, {("W", 0): 1, ("O", 0): 3})


def test_of_equal_points_the_highest_is_taken() -> None:
    path = PathSolver((2, 3), LEVELS).solve({key: np.zeros(6) for key in KEYS})
    assert path == Path(0, dict.fromkeys(KEYS, 5))


@pytest.mark.parametrize("price", [2.0, math.inf])
def test_without_loops_there_is_one_point(price: float) -> None:
    path = PathSolver((), LEVELS).solve({key: np.array([price]) for key in KEYS})
    assert path == (Path(6, dict.fromkeys(KEYS, 0)) if price == 2 else None)
