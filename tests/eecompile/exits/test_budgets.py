from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.budgets import Budget, Constraints
from eecompile.exits.thresholds import Limit, Observed, choose_within, least_of, leaves_at
from passes.confidence import MAX_SOFTMAX
from targets.evaluation.paths import Cost
from targets.objective import EDP, LATENCY, MACS

COSTS = (1.0, 2.0, 3.0, 4.0)
CLOCK_HZ = 1000.0
# 1, 2, 3 and 4 s.
PATHS = tuple(Cost.at_clock(int(100 * c), int(CLOCK_HZ * c), 1.0, CLOCK_HZ) for c in COSTS)
LOOSE = Limit(100.0, True)


def seen(images: int = 80) -> Observed:
    rng = np.random.default_rng(2)
    correct = rng.random((4, images)) < np.array([[0.6], [0.7], [0.8], [0.9]])
    confidence = (rng.random((3, images)) * 0.5 + 0.4 * correct[:-1]).astype(np.float32)
    return Observed(confidence, correct, (MAX_SOFTMAX,) * 3)


def budget(**asked: float) -> Budget:
    constraints = Constraints(**asked, clock_hz=CLOCK_HZ)
    (found,) = constraints.budgets(PATHS, PATHS[-1], LATENCY)
    assert found.option == next(iter(asked))
    return found


def leaving(asked: Budget) -> np.ndarray:
    """Costs that fall with depth would send all images to the final exit, were it not for the budget."""
    chosen = choose_within(seen(), COSTS[::-1], LOOSE, [asked])
    assert chosen is not None
    return leaves_at(seen().confidence, chosen.thresholds)


def test_each_budget_binds() -> None:
    unbound = choose_within(seen(), COSTS[::-1], LOOSE, ())
    assert unbound is not None and (leaves_at(seen().confidence, unbound.thresholds) == 3).all()
    assert np.mean(leaving(budget(max_final_ratio=0.5)) == 3) == pytest.approx(0.5)
    assert np.mean(leaving(budget(max_latency_p95=2.5)) >= 2) == pytest.approx(0.05)
    mean = np.array(COSTS)[leaving(budget(max_cost_ratio=0.5))].mean()
    assert 1.9 < mean <= 2.0


def test_no_input_at_all_is_later_than_the_worst_case() -> None:
    chosen = choose_within(seen(), COSTS[::-1], LOOSE, [budget(max_worst_latency=3.0)])
    assert chosen is not None and chosen.thresholds[2] == MAX_SOFTMAX.always
    slow_first = Budget("max_worst_latency", "late", (1.0, 0.0, 0.0, 1.0), 0.0, of_every_input=True)
    chosen = choose_within(seen(), COSTS, LOOSE, [slow_first])
    assert chosen is not None
    assert chosen.thresholds[0] == MAX_SOFTMAX.never and chosen.thresholds[2] == MAX_SOFTMAX.always


@pytest.mark.parametrize(
    "asked", [{"max_worst_latency": 0.5}, {"max_latency_p95": 0.5}, {"max_cost_ratio": 0.2}]
)
def test_what_cannot_be_kept_is_not_chosen_and_the_least_is_known(asked: dict[str, float]) -> None:
    tight = Limit(0.0, False)
    assert choose_within(seen(), COSTS, tight, [budget(**asked)]) is None
    least = least_of(seen(), budget(**asked), LOOSE)
    assert least > budget(**asked).at_most
    if "max_cost_ratio" in asked:
        assert least == pytest.approx(0.25), "all leave at the first exit"
        assert least_of(seen(), budget(**asked), tight) > 0.25


def test_a_network_without_exits_keeps_what_its_one_path_keeps() -> None:
    alone = seen().select([])
    for name, kept in (("max_final_ratio", 0.5), ("max_cost_ratio", 0.9)):
        (found,) = Constraints(**{name: kept}).budgets(PATHS[-1:], PATHS[-1], EDP)
        assert choose_within(alone, COSTS[-1:], LOOSE, [found]) is None
        (found,) = Constraints(**{name: 1.0}).budgets(PATHS[-1:], PATHS[-1], EDP)
        assert choose_within(alone, COSTS[-1:], LOOSE, [found]) is not None


def test_estimated_costs_are_held_to_less_and_shares_are_of_what_is_minimised() -> None:
    constraints = Constraints(max_latency_p95=2.0, max_cost_ratio=0.5, max_final_ratio=0.4, clock_hz=CLOCK_HZ)
    late, final, mean = constraints.budgets(PATHS, PATHS[-1], MACS, slack=1.5)
    assert late.amounts == (0, 0, 0, 1) and late.at_most == pytest.approx(0.05)
    assert final.at_most == 0.4 and mean.at_most == pytest.approx(0.75)
    assert mean.amounts == pytest.approx((0.25, 0.5, 0.75, 1)) and "MACs" in mean.name
    assert Constraints().budgets(PATHS, PATHS[-1], EDP) == ()
