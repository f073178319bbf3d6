from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.fronts.front_archive import FrontSpot
from eecompile.exits.fronts.front_points import FrontPoint, SubsetFront, point_at, undominated
from eecompile.exits.fronts.ranked_answers import RankedAnswers
from tests.eecompile.exits.fronts.test_subset_front import drawn, tried


@pytest.mark.parametrize("joint", [False, True])
def test_thresholds_lie_between_what_leaves_and_what_stays(joint: bool) -> None:
    problem = drawn(8)
    answers = RankedAnswers(problem, 3)
    spot = FrontSpot((0, 2, 3), 1, (4, 4, 4) if joint else (1, -1, 6))
    point = point_at(problem, answers, spot, joint, 0.25)
    thresholds = tuple(np.inf if t is None else float(t) for t in point.thresholds)
    assert (len(set(thresholds)) == 1) == joint and point.gap == 0.25
    assert thresholds[0] not in problem.confidence or joint
    found = tried(problem, point.kept, point.final, thresholds)
    assert found is not None and point.accuracy == pytest.approx(found.pop("accuracy"))
    assert point.figures == pytest.approx(found)


def test_points_are_rows_with_accuracy_turned_and_those_that_are_no_better_are_left_out() -> None:
    points = [
        FrontPoint((k,), 0, (None,), accuracy, (1.0,), {"edp": edp, "memory": 1.0})
        for k, (accuracy, edp) in enumerate([(0.8, 3.0), (0.9, 3.0), (0.7, 1.0)])
    ]
    front = undominated(points, ("edp", "accuracy"))
    assert front == (points[2], points[1])
    shown = SubsetFront(("edp", "accuracy"), front, 3, 9, 0, {})
    assert shown.values.tolist() == [[1.0, -0.7], [3.0, -0.9]]
    assert undominated([], ("edp", "accuracy")) == ()
