"""Operating points: descriptions, costs at each, and the best one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.errors import InputError, NoSolutionError
from targets.arch import Architecture, parse_architecture
from targets.diana.target import DianaTarget
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.engine_target import EngineTarget
from targets.gap9.target import Gap9Target
from targets.objective import EDP, ENERGY, LATENCY, Objective
from targets.operating_points import best_point, choose_point, point_costs, target_at
from targets.report import CostReport, evaluate
from targets.scheduling import Wishes
from tests.targets.graphs import residual
from tests.targets.small_arch import small_text

FAST, SLOW = "0.8V", "0.65V"
POINTS = """
operating_points:
  - {name: fast, clock_hz: {value: 200.0e+6, known: placeholder, source: test}}
  - name: slow
    clock_hz: {value: 100.0e+6, known: placeholder, source: test}
    voltage_v: {value: 0.5, known: placeholder, source: test}
    energy_scale: {value: 0.25, known: placeholder, source: test}
"""


@pytest.fixture(scope="module")
def gap9() -> CostReport:
    return evaluate(residual(), Gap9Target())


@pytest.fixture(scope="module")
def arch() -> Architecture:
    return Gap9Target().arch


def test_a_report_tells_every_point_what_the_target_there_costs(gap9: CostReport, arch: Architecture) -> None:
    for found in point_costs(gap9, arch):
        there = evaluate(residual(), Gap9Target(point=found.name))
        assert there.clock_hz == found.clock_hz
        for cost, path in zip(found.exits, there.exits, strict=True):
            assert cost.name == path.name and cost.latency_s == path.latency_s
            assert cost.energy_pj == pytest.approx(path.energy_pj)
            assert cost.edp_js == pytest.approx(path.edp_js)
        chosen = choose_point(gap9, arch, EDP, found.name)
        assert chosen.point == found.name and chosen.clock_hz == found.clock_hz
        for ours, theirs in zip(chosen.exits, there.exits, strict=True):
            assert vars(ours) == pytest.approx(vars(theirs)), "names and cycles are equal, energies nearly"
        assert chosen.total == chosen.exits[-1]
        for x, y in zip(chosen.layers, there.layers, strict=True):
            assert x.energy_pj == pytest.approx(y.energy_pj)


def test_the_best_point_by_objective_and_bound(gap9: CostReport, arch: Architecture) -> None:
    costs = point_costs(gap9, arch)
    fast, slow = costs
    assert (fast.name, fast.voltage_v, slow.name, slow.voltage_v) == (FAST, 0.8, SLOW, 0.65)
    assert slow.total.energy_pj < fast.total.energy_pj and slow.total.latency_s > fast.total.latency_s
    assert best_point(costs, ENERGY) == slow
    assert best_point(costs, LATENCY) == fast
    assert best_point(costs, EDP) == min(costs, key=lambda c: c.total.edp_js)
    assert best_point(costs, ENERGY, slow.total.latency_s) == slow, "a bound that is just met is met"
    assert best_point(costs, ENERGY, slow.total.latency_s * 0.999) == fast
    assert best_point([fast, replace(fast, name="same")], EDP) == fast, "the first of equal ones"


@pytest.mark.parametrize("objective", [EDP, LATENCY], ids=str)
def test_a_bound_no_point_meets(gap9: CostReport, arch: Architecture, objective: Objective) -> None:
    with pytest.raises(NoSolutionError) as caught:
        choose_point(gap9, arch, objective, max_latency_s=1e-6)
    assert "at '0.8V', the fastest operating point; the bound is 1e-06 s" in caught.value.message
    assert ("--objective latency" in caught.value.hint) is (objective == EDP)
    allowed = float(caught.value.hint.split()[1])
    assert choose_point(gap9, arch, objective, max_latency_s=allowed).point == FAST, "the advice helps"
    assert allowed == pytest.approx(gap9.total.latency_s, rel=1e-3)


def test_a_point_asked_for_must_meet_the_bound_itself(gap9: CostReport, arch: Architecture) -> None:
    fast, slow = (c.total.latency_s for c in point_costs(gap9, arch))
    between = (fast + slow) / 2
    assert choose_point(gap9, arch, ENERGY, FAST, between).point == FAST
    with pytest.raises(NoSolutionError, match=r"at '0\.65V'; the bound is") as caught:
        choose_point(gap9, arch, ENERGY, SLOW, between)
    assert "take --point 0.8V, which needs" in caught.value.hint and "network" not in caught.value.hint
    with pytest.raises(NoSolutionError, match=r"at '0\.65V'; the bound is") as caught:
        choose_point(gap9, arch, ENERGY, SLOW, fast / 2)
    assert "network" in caught.value.hint and "--point" not in caught.value.hint, "no point is that fast"


def test_wrong_points_and_bounds(gap9: CostReport, arch: Architecture) -> None:
    with pytest.raises(InputError, match=r"no operating point '0.7V'\ndid you mean"):
        choose_point(gap9, arch, EDP, "0.7V")
    for bound in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="is not a time"):
            choose_point(gap9, arch, EDP, max_latency_s=bound)


def test_one_point_and_none() -> None:
    diana = DianaTarget()
    report = evaluate(residual(), diana)
    (nominal,) = point_costs(report, diana.arch)
    assert nominal.total.energy_pj == report.total.energy_pj
    assert choose_point(report, diana.arch, EDP).point == "nominal"
    assert target_at(diana, "nominal") is diana
    quad = EdgeTpuQuadTarget()
    clockless = choose_point(evaluate(residual(), quad), quad.arch, EDP)
    assert clockless.point is None and clockless.operating_points == ()
    assert clockless.to_json()["operating_points"] == [] and clockless.total.latency_s is None
    with pytest.raises(InputError, match="has no operating points: no clock is known"):
        target_at(quad, "nominal")
    with pytest.raises(InputError, match="needs a clock, and none is known of edge_tpu_quad"):
        choose_point(clockless, quad.arch, EDP, max_latency_s=1.0)


def test_mapped_energies_scale_with_their_parts() -> None:
    target = EngineTarget("", 1.0, parse_architecture(small_text() + POINTS, "small.yaml"))
    report = evaluate(residual(), target, ratios=(0.5, 0.5), wishes=Wishes(False, False, speculate=True))
    slow = choose_point(report, target.arch, EDP, "slow")
    assert slow.total.energy_pj == pytest.approx(0.25 * report.total.energy_pj)
    assert slow.total.latency_s == pytest.approx(report.total.latency_cycles / 100e6)
    searched = [layer for layer in slow.layers if layer.detail is not None]
    assert searched
    for layer in searched:
        assert layer.detail is not None
        assert layer.detail.energy_pj + layer.move_energy_pj == pytest.approx(layer.energy_pj)
    assert sum(slow.schedule.energy[-1]) == pytest.approx(slow.total.energy_pj)
    for now, then in zip(slow.speculative, report.speculative, strict=True):
        assert now.energy_pj == pytest.approx(0.25 * then.energy_pj)
        assert now.latency_s == pytest.approx(then.latency_cycles / 100e6)
    assert slow.expected is not None and report.expected is not None
    assert slow.expected.energy_pj == pytest.approx(0.25 * report.expected.energy_pj)
    assert slow.expected.speculation
    with pytest.raises(InputError, match="costed at operating point 'fast' only, not at 'slow'"):
        target_at(target, "slow")


def test_the_document_names_the_point_and_lists_all(gap9: CostReport, arch: Architecture) -> None:
    document = choose_point(gap9, arch, EDP, SLOW).to_json()
    assert document["point"] == SLOW and document["clock_hz"] == 240e6
    first, second = document["operating_points"]
    assert [first["name"], second["name"]] == [FAST, SLOW]
    assert second["total"] == second["exits"][-1]
    shown = document["total"]
    assert second["total"] == {"name": "final", **{k: shown[k] for k in ("latency_s", "energy_pj", "edp_js")}}
    assert first["total"]["energy_pj"] == pytest.approx(gap9.total.energy_pj)


def test_descriptions_of_points() -> None:
    scaled_first = POINTS.replace(
        "source: test}}\n  - name: slow", "source: test}, energy_scale: X}\n  - name: slow"
    )
    scaled_first = scaled_first.replace("X", "{value: 2, known: placeholder, source: test}")
    with pytest.raises(InputError, match="leave it out; energies are given at the first point"):
        parse_architecture(small_text() + scaled_first, "small.yaml")
    arch = parse_architecture(small_text() + POINTS, "small.yaml")
    assert (arch.operating_point("fast").scale, arch.operating_point("slow").scale) == (1.0, 0.25)
    slow = arch.clocked_at("slow")
    assert slow.clock_hz == 100e6 and [p.name for p in slow.operating_points] == ["slow", "fast"]
    assert arch.figures()["operating_points[1].energy_scale"].value == 0.25
