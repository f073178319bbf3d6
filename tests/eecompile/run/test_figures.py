from __future__ import annotations

import numpy as np
import pytest

from eecompile.run.figures import break_even_of, expected_of, ratios_of, saving_of
from targets.objective import EDP, ENERGY, Objective
from tests.eecompile.run.made_evidence import LEAVES_AT, RATIOS, costs


def test_shares_count_exits_at_which_nothing_leaves() -> None:
    assert ratios_of(np.array(LEAVES_AT), 3) == pytest.approx(RATIOS)
    assert ratios_of(np.array([2, 2, 1, 2]), 4).tolist() == [0, 0.25, 0.75, 0]


@pytest.mark.parametrize("ratios", [RATIOS, (0, 0, 1), (1, 0, 0)])
def test_what_is_expected_is_the_mean_over_the_exits(ratios: tuple[float, ...]) -> None:
    report = costs()
    expected, paths = expected_of(report, np.array(ratios)), [path.cost for path in report.exits]
    for key in ("macs", "latency_cycles", "latency_s", "energy_pj", "edp_js", "edp_j_cycles"):
        mean = sum(r * getattr(cost, key) for r, cost in zip(ratios, paths, strict=True))
        assert getattr(expected, key) == pytest.approx(mean), key
    products = [cost.energy_pj * 1e-12 * cost.latency_cycles for cost in paths]
    assert expected.edp_j_cycles == pytest.approx(sum(r * p for r, p in zip(ratios, products, strict=True)))
    of_means = expected.energy_pj * 1e-12 * expected.latency_cycles
    assert expected.edp_of_means_j_cycles == pytest.approx(of_means)
    assert (of_means < 0.999 * expected.edp_j_cycles) == (ratios == RATIOS), (
        "another number, but where all leave"
    )


def test_savings_are_shares_of_the_network_without_exits() -> None:
    report, static = costs(), costs(())
    saving = saving_of(report, static, np.array(RATIOS))
    expected = expected_of(report, np.array(RATIOS))
    assert saving.macs == pytest.approx(1 - expected.macs / static.total.macs)
    assert saving.latency == pytest.approx(1 - expected.latency_cycles / static.total.latency_cycles)
    assert saving.energy == pytest.approx(1 - expected.energy_pj / static.total.energy_pj)
    assert saving.edp == pytest.approx(1 - expected.edp_j_cycles / static.total.edp_j_cycles)
    assert 0 < saving.latency < saving.edp < 1


def test_without_leaving_early_heads_are_only_a_loss() -> None:
    saving = saving_of(costs(), costs(()), np.array([0, 0, 1]))
    assert saving.macs < 0 and saving.latency < 0 and saving.energy < 0 and saving.edp < 0
    nothing = saving_of(costs(()), costs(()), np.array([1]))
    assert nothing.macs == nothing.latency == nothing.energy == nothing.edp == 0


@pytest.mark.parametrize("objective", [EDP, ENERGY])
def test_at_the_break_even_share_the_mean_is_that_of_static(objective: Objective) -> None:
    report, static = costs(), costs(())
    found = break_even_of(report, static, objective)
    assert found is not None and len(found.exits) == len(report.exits) - 1
    *early, final = [path.cost.value(objective) for path in report.exits]
    base = static.total.value(objective)
    for share, cost in zip(found.exits, early, strict=True):
        assert share is not None and share * cost + (1 - share) * final == pytest.approx(base)
    assert found.early is not None
    assert found.early * np.mean(early) + (1 - found.early) * final == pytest.approx(base)
    assert break_even_of(static, static, objective) is None, "without early exits there is nothing to pay"
