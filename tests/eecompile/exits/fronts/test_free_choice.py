from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.fronts.free_choice import free_choice, free_choice_of_all, gap_of
from eecompile.exits.fronts.front_measures import FrontMeasures
from tests.eecompile.exits.fronts.test_individual_front import brute_force, small
from tests.eecompile.exits.fronts.test_subset_front import behind


def test_each_image_takes_the_cheapest_exit_and_dearer_ones_only_to_be_right() -> None:
    right = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    bound = free_choice(np.array([1.0, 3.0, 7.0]), right)
    assert bound[:2] == pytest.approx([4.0, 4.0], rel=0.05)
    assert bound[3] == pytest.approx(1 + 3 + 7 + 1, rel=0.05) and bound[3] <= 12 + 1e-9
    assert np.isinf(bound[4]) and (np.diff(bound[:4]) >= 0).all()


@pytest.mark.parametrize("paired", [False, True])
def test_nothing_that_can_be_tried_costs_less_than_the_bound_of_all(paired: bool) -> None:
    problem = behind(small(3, "accuracy edp")) if paired else small(3, "accuracy edp")
    bound = free_choice_of_all(problem, "edp")
    points = brute_force(problem)
    right = np.rint(-points[:, 0] * problem.images).astype(int)
    assert (points[:, 1] * problem.images >= bound[right] - 1e-6).all()
    assert (points[:, 1] * problem.images).min() < 1.5 * bound[0]


@pytest.mark.parametrize(("objectives", "place"), [("accuracy edp", 6), ("memory edp", 0)])
def test_a_gap_is_to_the_bound_at_its_own_accuracy(objectives: str, place: int) -> None:
    problem = small(1, objectives)
    bound = np.linspace(1, 2, problem.images + 1)
    measures = FrontMeasures(problem)
    gap = gap_of(np.array([3.0, 4.0]), {"edp": bound}, problem, measures)
    assert gap == pytest.approx(1 - bound[place] / 4)
    assert gap_of(np.array([3.0, 0.5]), {"edp": bound}, problem, measures) == 0


def test_with_two_costs_the_smaller_gap_holds() -> None:
    problem = small(1, "accuracy edp energy")
    bounds = {"edp": np.full(10, 3.0), "energy": np.full(10, 1.0)}
    assert gap_of(np.array([2.0, 4.0, 4.0]), bounds, problem, FrontMeasures(problem)) == 0.25
    assert gap_of(np.array([2.0, 4.0, 4.0]), {}, problem, FrontMeasures(problem)) == 1
