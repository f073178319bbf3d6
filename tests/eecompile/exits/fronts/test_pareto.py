from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eecompile.exits.fronts.pareto import best_addition, hypervolume, nondominated
from passes.errors import InputError


def drawn(seed: int, objectives: int, points: int = 25) -> np.ndarray:
    """Return points on a coarse grid, so that ties and equal ones occur, some outside of the reference."""
    return np.random.default_rng(seed).integers(0, 7, (points, objectives)).astype(np.float64)


def by_cells(points: np.ndarray, reference: list[float]) -> float:
    """Count unit cells that some point dominates."""
    cells = itertools.product(*(range(int(end)) for end in reference))
    return float(sum(any((point <= cell).all() for point in points) for cell in cells))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 25))
def test_points_that_no_other_dominates(seed: int, objectives: int, count: int) -> None:
    points = drawn(seed, objectives, count)
    front = nondominated(points)
    expected = [
        n
        for n, point in enumerate(points)
        if not any(
            (other <= point).all() and ((other < point).any() or m < n) for m, other in enumerate(points)
        )
    ]
    assert sorted(front.tolist()) == expected
    assert points[front].tolist() == sorted(points[front].tolist())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 12))
def test_the_volume_is_that_of_all_cells(seed: int, objectives: int, count: int) -> None:
    points, reference = drawn(seed, objectives, count), [6.0, 5.0, 4.0][:objectives]
    assert hypervolume(points, reference) == by_cells(points, reference)


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_best_addition_adds_most(objectives: int) -> None:
    reference = np.full(objectives, 6.0)
    for seed in range(5):
        front, points = drawn(seed, objectives, 4) / 2 + 3, drawn(seed + 50, objectives, 9)
        best, added = best_addition(front, points, reference)
        gains = [hypervolume([*front, point], reference) - hypervolume(front, reference) for point in points]
        assert best is not None and added == gains[best] == max(gains) > 0
    assert best_addition(front, np.full((2, objectives), 6.0), reference) == (None, 0.0)
    assert best_addition(np.zeros((0, objectives)), [[5.0] * objectives], reference) == (0, 1.0)


@pytest.mark.parametrize(
    ("points", "reference", "message"),
    [
        ([[1.0, np.nan]], [2.0, 2.0], "not a number"),
        ([[1.0] * 4], [2.0] * 4, "one to three objectives"),
        ([1.0, 2.0], [2.0, 2.0], "not a table"),
        ([[1.0, 2.0]], [2.0], "no volume up to a reference of"),
        ([[1.0, 2.0]], [2.0, np.nan], "no volume up to a reference of"),
    ],
)
def test_what_is_no_front_is_refused(points: list[float], reference: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hypervolume(np.array(points), np.array(reference))
