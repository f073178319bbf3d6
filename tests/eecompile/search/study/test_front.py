from __future__ import annotations

import numpy as np
import pytest

from eecompile.search.study.front import GrowingFront


def front(reference: tuple[float, float] | None = (0.0, 10.0)) -> GrowingFront:
    corner = None if reference is None else np.array(reference)
    return GrowingFront(("accuracy", "cost"), frozenset({"accuracy"}), corner)


def points(*values: tuple[float, float]) -> list[dict[str, float]]:
    return [{"accuracy": a, "cost": c} for a, c in values]


def test_what_is_dominated_goes() -> None:
    found = front()
    found.take(0, points((0.8, 5.0), (0.9, 8.0)))
    found.take(1, points((0.85, 5.0), (0.7, 6.0)))
    assert [(number, point["accuracy"]) for number, point in found.points] == [(0, 0.9), (1, 0.85)]
    # 0.85 of all answers for half of the cost, and 0.05 more for two tenths.
    assert found.share == pytest.approx(0.85 * 0.5 + 0.05 * 0.2)


def test_the_point_that_adds_most_stands_for_a_candidate() -> None:
    found = front()
    offered = points((0.9, 9.0), (0.7, 2.0), (0.2, 1.0))
    assert found.stands_for(offered) == 1
    found.take(0, points((0.75, 1.5)))
    assert found.stands_for(offered) == 0
    found.take(1, points((0.95, 0.5)))
    assert found.stands_for(offered) == 1, "none adds any: the one that is largest by itself"
    assert found.added(offered) == 0


def test_what_points_are_worth_by_themselves() -> None:
    found = front()
    found.take(0, points((0.9, 4.0)))
    share, alone = found.share, points((0.5, 5.0), (0.7, 8.0))
    other = front()
    other.take(1, alone)
    assert found.own(alone) == pytest.approx(other.share) and found.own([]) == 0
    assert found.share == share


def test_without_a_reference_the_first_candidate_says_it() -> None:
    found = front(None)
    assert found.share == 0
    found.take(0, points((0.5, 4.0), (0.6, 8.0)))
    assert found.reference is not None and found.reference.tolist() == pytest.approx([-0.45, 8.8])
