from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.fronts.front_measures import FrontMeasures
from eecompile.exits.fronts.front_problem import FrontLimits
from tests.eecompile.exits.fronts.test_subset_front import drawn


def test_objectives_are_in_the_order_of_the_screen() -> None:
    problem = drawn(0, objectives=("edp", "memory", "accuracy"))
    measures = FrontMeasures(problem)
    assert measures.names == ("accuracy", "memory", "edp") and measures.figures == ("edp",)
    fixed = measures.fixed((0, 2), 1, None)
    rows = measures.vectors(np.array([10, 30]), np.array([[5.0, 6.0]]), fixed)
    assert problem.memory is not None
    assert rows.tolist() == [[20.0, problem.memory((0, 2), 1), 5.0], [0.0, problem.memory((0, 2), 1), 6.0]]
    levels = measures.levels()
    assert levels[0].tolist() == list(range(31)) and (np.diff(levels[1]) > 0).all()


def test_each_limit_counts() -> None:
    limits = FrontLimits(
        final_ratio=0.5,
        cost_ratio=0.5,
        figure="energy",
        means={"latency": 2.0},
        worst_latency=3.0,
        memory=9.0,
    )
    problem = replace(drawn(0), limits=limits)
    measures = FrontMeasures(problem)
    assert measures.figures == ("edp", "latency", "energy")
    energy = 0.5 * problem.static_costs["energy"] * problem.images
    costs = np.array([[1e9] * 4, [60.0, 60.0, 60.1, 60.0], [energy, energy, energy, energy * 1.01]])
    assert measures.keeps(np.array([15, 16, 15, 15]), costs).tolist() == [True, False, False, False]
    assert measures.fixed((), 0, 3.0)["worst_latency"] == 3.0
    for fixed, broken in [((3.0, 9.0), False), ((3.1, 9.0), True), ((3.0, 9.1), True)]:
        assert measures.is_too_much({"worst_latency": fixed[0], "memory": fixed[1]}) == broken


@pytest.mark.parametrize(
    ("limits", "fewest"),
    [
        (FrontLimits(), 0),
        (FrontLimits(accuracy=0.81), 25),
        (FrontLimits(allows=lambda lost, gained: lost - gained <= 2), -2),
        (FrontLimits(accuracy=0.1, allows=lambda lost, gained: lost - gained <= 2), -2),
        (FrontLimits(allows=lambda lost, gained: lost + gained < 0), 31),
    ],
    ids=["none", "accuracy", "drop", "both", "impossible"],
)
def test_so_many_right_answers_are_the_fewest(limits: FrontLimits, fewest: int) -> None:
    problem = replace(drawn(0), limits=limits)
    measures = FrontMeasures(problem)
    expected = fewest if fewest >= 0 else int(problem.static.sum()) + fewest
    assert measures.fewest_right == expected
    right = np.array([expected - 1, min(expected, 30)])
    lost = problem.static.sum() - np.minimum(right, problem.static.sum())
    assert measures.allowed(right, lost).tolist() == [False, expected <= 30]
