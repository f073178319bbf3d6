"""Operating points: descriptions, costs at each, and the best one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from passes.errors import InputError, NoSolutionError
from targets.described.target import EngineTarget
from targets.description.architecture import parse_architecture
from targets.diana.target import DianaTarget
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.points import at_point, best_point, choose_point
from targets.evaluation.report import CostReport, evaluate
from targets.evaluation.scheduling import Wishes
from targets.gap9.target import Gap9Target
from targets.objective import EDP, ENERGY, LATENCY, Objective
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
    return evaluate(residual(), Gap9Target(), wishes=Wishes(speculate=True))


def name_of(report: CostReport) -> str:
    assert report.point is not None
    return report.point.name


def latency_s(report: CostReport) -> float:
    assert report.total.latency_s is not None
    return report.total.latency_s


def test_a_report_at_a_point_is_that_of_the_target_there(gap9: CostReport) -> None:
    assert [name_of(found) for found in gap9.at_all_points] == [FAST, SLOW]
    for found in gap9.at_all_points:
        there = evaluate(residual(), Gap9Target(point=name_of(found)), wishes=Wishes(speculate=True))
        assert there.to_json() == found.to_json(), "to the last bit"
        assert there.to_trace() == found.to_trace()
    assert gap9.at(SLOW).at(FAST).to_json() == gap9.to_json()


def test_all_energies_scale_alike_and_cycles_stay(gap9: CostReport) -> None:
    slow = gap9.at(SLOW)
    assert slow.point is not None and gap9.point is not None
    scale, clocks = slow.point.scale, gap9.point.clock_hz.value / slow.point.clock_hz.value
    for now, then in zip(slow.exits, gap9.exits, strict=True):
        assert now.cost.latency_cycles == then.cost.latency_cycles and now.mount == then.mount
        assert now.cost.latency_s == pytest.approx((then.cost.latency_s or 0.0) * clocks)
        assert now.cost.energy_pj == pytest.approx(then.cost.energy_pj * scale)
        assert now.cost.edp_js == pytest.approx((then.cost.edp_js or 0.0) * scale * clocks)
    assert slow.total == slow.exits[-1].cost
    for x, y in zip(slow.layers, gap9.layers, strict=True):
        assert x.energy_pj == pytest.approx(y.energy_pj * scale) and x.share == pytest.approx(y.share)
    for now_slot, then_slot in zip(slow.timeline.slots, gap9.timeline.slots, strict=True):
        assert now_slot.energy_pj == pytest.approx(then_slot.energy_pj * scale)


def test_the_best_point_by_objective_and_bound(gap9: CostReport) -> None:
    reports = gap9.at_all_points
    fast, slow = reports
    assert slow.total.energy_pj < fast.total.energy_pj and latency_s(slow) > latency_s(fast)
    assert best_point(reports, ENERGY, math.inf) is slow
    assert best_point(reports, LATENCY, math.inf) is fast
    assert best_point(reports, EDP, math.inf) is min(reports, key=lambda r: r.total.edp_js or 0.0)
    assert best_point(reports, ENERGY, latency_s(slow)) is slow, "a bound that is just met is met"
    assert best_point(reports, ENERGY, latency_s(slow) * 0.999) is fast
    assert best_point([fast, replace(fast)], EDP, math.inf) is fast, "the first of equal ones"


@pytest.mark.parametrize("objective", [EDP, LATENCY], ids=str)
def test_a_bound_no_point_meets(gap9: CostReport, objective: Objective) -> None:
    report = replace(gap9, objective=objective)
    with pytest.raises(NoSolutionError) as caught:
        choose_point(report, 1e-6)
    assert "at '0.8V', the fastest operating point; the bound is 1e-06 s" in caught.value.message
    assert ("`objective` latency" in caught.value.hint) is (objective == EDP)
    allowed = float(caught.value.hint.split()[1])
    assert name_of(choose_point(report, allowed)) == FAST, "the advice helps"
    assert allowed == pytest.approx(latency_s(gap9), rel=1e-3)


def test_a_point_asked_for_must_meet_the_bound_itself(gap9: CostReport) -> None:
    report = replace(gap9, objective=ENERGY)
    fast, slow = (latency_s(found) for found in report.at_all_points)
    between = (fast + slow) / 2
    assert name_of(choose_point(report, between, FAST)) == FAST
    with pytest.raises(NoSolutionError, match=r"at '0\.65V'; the bound is") as caught:
        choose_point(report, between, SLOW)
    assert "take `point` 0.8V, which needs" in caught.value.hint and "network" not in caught.value.hint
    with pytest.raises(NoSolutionError, match=r"at '0\.65V'; the bound is") as caught:
        choose_point(report, fast / 2, SLOW)
    assert "network" in caught.value.hint and "--point" not in caught.value.hint, "no point is that fast"


def test_wrong_points_and_bounds(gap9: CostReport) -> None:
    with pytest.raises(InputError, match=r"no operating point '0.7V'\ndid you mean"):
        gap9.at("0.7V")
    with pytest.raises(InputError, match=r"no operating point '0.7V'\ndid you mean"):
        choose_point(gap9, 1.0, "0.7V")
    for bound in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="is not a time"):
            choose_point(gap9, bound)


def test_one_point_and_none() -> None:
    diana = DianaTarget()
    report = evaluate(residual(), diana)
    (nominal,) = report.at_all_points
    assert nominal.total == report.total and name_of(report) == "nominal"
    quad = EdgeTpuQuadTarget()
    clockless = evaluate(residual(), quad)
    assert clockless.point is None and clockless.at_all_points == ()
    assert clockless.to_json()["operating_points"] == [] and clockless.total.latency_s is None
    with pytest.raises(InputError, match="has no operating points: no clock is known"):
        quad.at_point("nominal")
    with pytest.raises(InputError, match="needs a clock, and none is known of edge_tpu_quad"):
        choose_point(clockless, 1.0)


def test_mapped_energies_scale_with_their_parts() -> None:
    """A described accelerator is costed at any of its points."""
    target = EngineTarget("", 1.0, parse_architecture(small_text() + POINTS, "small.yaml"))
    wishes = Wishes("layers", speculate=True)
    report = evaluate(residual(), target, ratios=(0.5, 0.5), wishes=wishes)
    slow = evaluate(residual(), target.at_point("slow"), ratios=(0.5, 0.5), wishes=wishes)
    assert slow.to_json() == report.at("slow").to_json()
    assert slow.total.energy_pj == pytest.approx(0.25 * report.total.energy_pj)
    assert slow.total.latency_s == pytest.approx(report.total.latency_cycles / 100e6)
    searched = [layer for layer in slow.layers if layer.cost.detail is not None]
    assert searched
    for layer in searched:
        assert layer.cost.detail is not None
        assert layer.cost.detail.energy_pj + layer.move_energy_pj == pytest.approx(layer.energy_pj)
    assert sum(slow.schedule.energy[-1]) == pytest.approx(slow.total.energy_pj)
    for now, then in zip(slow.exits, report.exits, strict=True):
        assert now.speculative is not None and then.speculative is not None
        assert now.speculative.wasted_pj == pytest.approx(0.25 * then.speculative.wasted_pj)
        assert now.speculative.cost.energy_pj == pytest.approx(0.25 * then.speculative.cost.energy_pj)
        assert now.speculative.cost.latency_s == pytest.approx(then.speculative.cost.latency_cycles / 100e6)
    assert slow.expected is not None and report.expected is not None
    assert slow.expected.energy_pj == pytest.approx(0.25 * report.expected.energy_pj)
    assert slow.speculates


def test_the_document_names_the_point_and_lists_all(gap9: CostReport) -> None:
    document = gap9.at(SLOW).to_json()
    assert document["point"] == SLOW and document["clock_hz"] == 240e6
    first, second = document["operating_points"]
    assert [first["name"], second["name"]] == [FAST, SLOW]
    assert (first["voltage_v"], second["voltage_v"]) == (0.8, 0.65)
    assert second["total"] == second["exits"][-1]
    shown = document["total"]
    intervals = ("latency_interval", "energy_interval", "validation")
    same = ("latency_s", "energy_pj", "edp_js", *intervals)
    assert second["total"] == {"name": "final", **{k: shown[k] for k in same}}
    assert first["total"]["energy_pj"] == gap9.total.energy_pj


def test_descriptions_of_points() -> None:
    scaled_first = POINTS.replace(
        "source: test}}\n  - name: slow", "source: test}, energy_scale: X}\n  - name: slow"
    )
    scaled_first = scaled_first.replace("X", "{value: 2, known: placeholder, source: test}")
    with pytest.raises(InputError, match="leave it out; energies are given at the first point"):
        parse_architecture(small_text() + scaled_first, "small.yaml")
    arch = parse_architecture(small_text() + POINTS, "small.yaml")
    assert (arch.operating_point("fast").scale, arch.operating_point("slow").scale) == (1.0, 0.25)
    assert arch.clock_hz == 200e6, "that of the first point"
    assert arch.figures()["operating_points[1].energy_scale"].value == 0.25


VOLTS = """
operating_points:
  - {name: fast, clock_hz: {value: 200.0e+6, known: placeholder, source: test}, voltage_v: {value: 1.0, known: placeholder, source: test}}
  - {name: slow, clock_hz: {value: 100.0e+6, known: placeholder, source: test}, voltage_v: {value: 0.6, known: placeholder, source: test}}
"""  # noqa: E501


def test_without_a_scale_energy_goes_with_the_square_of_the_voltage() -> None:
    arch = parse_architecture(small_text() + VOLTS, "small.yaml")
    scale = arch.operating_point("slow").energy_scale
    assert scale is not None and scale.value == pytest.approx(0.36)
    assert scale.known == "placeholder" and scale.source.startswith("derived: (0.6 V / 1 V)^2")
    assert arch.figures()["operating_points[1].energy_scale"] == scale, "listed like all others"
    assert arch.operating_point("fast").energy_scale is None
    report = evaluate(residual(), EngineTarget("", 1.0, arch), wishes=Wishes("layers"))
    fast, slow = report.to_json()["operating_points"]
    assert slow["total"]["energy_pj"] == pytest.approx(0.36 * fast["total"]["energy_pj"])
    assert slow["energy_scale"] == pytest.approx(0.36) and "derived" in slow["energy_scale_source"]
    assert slow["total"]["latency_s"] == pytest.approx(2 * fast["total"]["latency_s"])
    told = VOLTS.replace(
        "0.6, known: placeholder, source: test}}", "0.6, known: placeholder, source: test}, "
    )
    told = told.rstrip() + "energy_scale: {value: 0.5, known: measured, source: test}}\n"
    assert parse_architecture(small_text() + told, "small.yaml").operating_point("slow").scale == 0.5
    assert parse_architecture(small_text() + POINTS, "small.yaml").operating_point("slow").scale == 0.25


@pytest.mark.parametrize("lacking", ["fast", "slow"])
def test_the_voltage_of_one_point_alone_says_nothing(lacking: str) -> None:
    lines = VOLTS.splitlines()
    lines = [
        line.partition(", voltage_v")[0] + "}" if f"name: {lacking}," in line else line for line in lines
    ]
    with pytest.raises(InputError, match=f"operating_points: '{lacking}' has no voltage_v.*energy_scale of"):
        parse_architecture(small_text() + "\n".join(lines), "small.yaml")


def test_a_target_goes_to_the_point_asked_for() -> None:
    target = Gap9Target()
    assert at_point(target, None, None) is target and at_point(target, None, 1.0) is target
    assert at_point(target, SLOW, 1.0).operating_point == target.arch.operating_point(SLOW)
    for name, bound in (("0.7V", None), (None, 0.0)):
        with pytest.raises(InputError):
            at_point(target, name, bound)
