"""The arithmetic of costs: at a clock, and the mean over exits."""

from __future__ import annotations

import pytest

from targets.evaluation.paths import Cost, PathCost, Speculation, expected_cost
from targets.objective import EDP, ENERGY, LATENCY

SHORT, LONG = Cost.at_clock(10, 100, 2e12, 50.0), Cost.at_clock(30, 300, 4e12, 50.0)


def test_a_cost_at_a_clock() -> None:
    assert Cost(10, 100, 2.0, 2e12, 4.0, 200.0) == SHORT, "2 J in 100 cycles of 20 ms"
    assert (SHORT.edp_of_means_js, SHORT.edp_of_means_j_cycles) == (SHORT.edp_js, SHORT.edp_j_cycles)
    assert [SHORT.value(o) for o in (EDP, LATENCY, ENERGY)] == [2e14, 100, 2e12]
    clockless = Cost.at_clock(10, 100, 2e12, None)
    assert clockless == Cost(10, 100, None, 2e12, None, 200.0) and clockless.edp_of_means_js is None


def test_the_mean_product_is_not_the_product_of_means() -> None:
    mean = Cost.mean((SHORT, LONG), (0.5, 0.5))
    assert mean == Cost(20.0, 200.0, 4.0, 3e12, 0.5 * 4.0 + 0.5 * 24.0, 0.5 * 200.0 + 0.5 * 1200.0)
    assert (mean.edp_of_means_js, mean.edp_of_means_j_cycles) == (12.0, 600.0)
    unknown = Cost.mean((SHORT, Cost.at_clock(30, 300, 4e12, None)), (0.5, 0.5))
    assert unknown.latency_s is None and unknown.edp_js is None and unknown.latency_cycles == 200.0
    with pytest.raises(ValueError, match="is longer"):
        Cost.mean((SHORT, LONG), (1.0,))


def test_expected_costs_are_with_speculation_where_it_was_asked_for() -> None:
    plain = [PathCost("exit_0", "t", SHORT), PathCost("final", "u", LONG)]
    assert expected_cost(plain, (0.25, 0.75)) == Cost.mean((SHORT, LONG), (0.25, 0.75))
    sooner = Cost.at_clock(30, 250, 4e12, 50.0)
    ahead = [
        PathCost("exit_0", "t", SHORT, speculative=Speculation(SHORT, 0.0, pays=True)),
        PathCost("final", "u", LONG, speculative=Speculation(sooner, 0.0, pays=False)),
    ]
    assert expected_cost(ahead, (0.25, 0.75)) == Cost.mean((SHORT, sooner), (0.25, 0.75))
