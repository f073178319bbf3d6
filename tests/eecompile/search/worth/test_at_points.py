from __future__ import annotations

import pytest

from eecompile.run.prepare import cost_of
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.worth.at_points import at_first_point, figures_at, reason_at
from eecompile.search.worth.part_costs import cost_figures
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.training.small import network

FAST, SLOW = load_target("gap9").arch.operating_points


def test_figures_are_those_of_a_schedule_at_the_point() -> None:
    target, graph = load_target("gap9"), network()
    first = cost_of(graph, target, EDP).total
    for point in (FAST, SLOW):
        there = cost_of(graph, target.at_point(point.name), EDP).total
        assert figures_at(cost_figures(first), point) == pytest.approx(cost_figures(there), rel=1e-12)
    assert figures_at({"energy_pj": 2.0, "exits": []}, None) == {"energy_pj": 2.0, "exits": []}
    worst = figures_at({"worst_latency_cycles": 240.0}, SLOW)
    assert worst["worst_latency_s"] == pytest.approx(1e-6)


def test_a_network_keeps_bounds_at_a_point_where_it_keeps_them_at_the_first() -> None:
    asked = ConstraintsTable(max_edp_js=3e-9, max_worst_latency_s=2e-4, max_energy_pj=5e6, max_macs=7)
    found = at_first_point(asked, SLOW)
    figures = {
        "edp_j_cycles": found.max_edp_j_cycles, "worst_latency_cycles": found.max_worst_latency_cycles,
        "energy_pj": found.max_energy_pj,
    }  # fmt: skip
    there = figures_at(figures, SLOW)
    assert there["edp_js"] == pytest.approx(3e-9) and there["worst_latency_s"] == pytest.approx(2e-4)
    assert there["energy_pj"] == pytest.approx(5e6) and found.max_macs == 7
    assert (found.max_edp_js, found.max_worst_latency_s, found.max_latency_cycles) == (None, None, None)
    assert at_first_point(asked, None) == asked


def test_reasons_are_told_as_they_were_asked_for() -> None:
    asked = ConstraintsTable(max_worst_latency_s=1e-3, max_energy_pj=10.0)
    broken = {"constraint": "max_worst_latency_cycles", "reached": 480e3, "asked": 240e3, "excess": 1.0}
    found = reason_at(broken, asked, SLOW)
    assert found == {
        "constraint": "max_worst_latency_s", "reached": pytest.approx(2e-3), "asked": 1e-3, "excess": 1.0,
        "operating_point": "0.65V",
    }  # fmt: skip
    both = {"constraint": "max_worst_latency_cycles with max_energy_pj", "reached": None, "asked": None}
    assert reason_at(both, asked, None)["constraint"] == "max_worst_latency_s with max_energy_pj"
