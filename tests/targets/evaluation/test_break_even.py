from __future__ import annotations

import pytest

from targets.evaluation.break_even import break_even
from targets.evaluation.paths import Cost, PathCost, Speculation
from targets.objective import EDP, ENERGY, LATENCY, OBJECTIVES, Objective, uniform


def cost(latency: int, energy: float) -> Cost:
    return Cost.at_clock(0, latency, energy, None)


def paths(*costs: tuple[int, float]) -> list[PathCost]:
    return [PathCost(f"exit_{index}", "t", cost(*pair)) for index, pair in enumerate(costs)]


@pytest.mark.parametrize(
    ("objective", "early"),
    [(LATENCY, 10 / 80), (ENERGY, 20 / 90), (EDP, (110 * 120 - 10000) / (110 * 120 - 900))],
)
def test_the_share_at_which_the_mean_equals_static(objective: Objective, early: float) -> None:
    exits, static = paths((30, 30.0), (110, 120.0)), cost(100, 100.0)
    found = break_even(exits, (0.5, 0.5), static, objective)
    assert found.early == pytest.approx(early)
    assert found.exits == (found.early,)
    assert found.early is not None
    at = break_even(exits, (found.early, 1 - found.early), static, objective)
    assert at.mean_over_static == pytest.approx(1) and not found.is_worse
    less = break_even(exits, (found.early - 0.01, 1.01 - found.early), static, objective)
    assert less.is_worse and less.mean_over_static is not None and less.mean_over_static > 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_costs_as_much_as_static_never_pays(objective: Objective) -> None:
    found = break_even(paths((100, 100.0), (20, 20.0), (110, 110.0)), uniform(3), cost(100, 100.0), objective)
    assert found.exits[0] is None and found.exits[1] is not None
    dear = break_even(paths((120, 100.0), (150, 110.0)), uniform(2), cost(100, 100.0), objective)
    assert dear.early is None if objective is not ENERGY else True
    assert dear.is_worse


def test_exits_that_cost_nothing_pay_at_once() -> None:
    found = break_even(paths((10, 10.0), (100, 100.0)), uniform(2), cost(100, 100.0), EDP)
    assert (found.early, found.exits, found.is_worse) == (0.0, (0.0,), False)


def test_several_exits_share_what_leaves_early_alike() -> None:
    found = break_even(paths((20, 1.0), (60, 1.0), (120, 1.0)), uniform(3), cost(100, 1.0), LATENCY)
    assert found.early == pytest.approx(20 / 80) and found.exits == pytest.approx((20 / 100, 20 / 60))
    mean = 0.125 * 20 + 0.125 * 60 + 0.75 * 120
    assert mean == 100


def test_with_speculation_its_costs_count() -> None:
    plain = paths((20, 1.0), (120, 1.0))
    ahead = [
        PathCost(path.name, "t", path.cost, speculative=Speculation(cost(latency, 1.0), 0.0, pays=True))
        for path, latency in zip(plain, (20, 110), strict=True)
    ]
    static = cost(100, 1.0)
    assert break_even(plain, uniform(2), static, LATENCY).early == pytest.approx(0.2)
    assert break_even(ahead, uniform(2), static, LATENCY).early == pytest.approx(1 / 9)
