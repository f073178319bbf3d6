from __future__ import annotations

import json
import math

import pytest

from passes.errors import InputError, NoSolutionError
from passes.state import state_of
from targets.contract.target import Target
from targets.diana.target import DianaTarget
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.report import evaluate
from targets.evaluation.scheduling import Wishes
from targets.objective import ENERGY, LATENCY, OBJECTIVES, Objective
from targets.schedule.check.checker import problems
from tests.targets.graphs import graph_of, lowered, residual

DIANA = DianaTarget()
VALID = (
    "n (float[1,4,8,8] x) => (float[1,4,6,6] y) <float[4,4,3,3] w, float[4,4,2,2] v> "
    "{ [inner] a = Conv(x, w) [outer] y = Conv<pads=[0,0,1,1]>(a, v) }"
)


def test_float_and_lowered_graph_cost_the_same() -> None:
    graph = residual(softmax=True)
    assert evaluate(graph, DIANA).to_json()["exits"] == evaluate(lowered(graph), DIANA).to_json()["exits"]


def test_exits_are_prefixes_of_one_timeline() -> None:
    report = evaluate(residual(), DIANA)
    early, final = (path.cost for path in report.exits)
    of_early = [layer for layer in report.layers if layer.exit == "exit_0"]
    assert early.latency_cycles == sum(layer.cost.latency_cycles for layer in of_early), (
        "nothing overlaps on DIANA"
    )
    assert early.energy_pj == pytest.approx(sum(layer.energy_pj for layer in of_early))
    assert early.latency_cycles < final.latency_cycles == report.timeline.end_cycle
    assert report.total == final
    assert math.isclose(sum(layer.share for layer in report.layers), 1.0)


def test_edp_is_energy_in_joule_times_latency() -> None:
    final = evaluate(residual(), DIANA).total
    assert final.latency_s == final.latency_cycles / 260e6
    assert final.edp_j_cycles == pytest.approx(final.energy_pj * 1e-12 * final.latency_cycles)
    assert final.edp_js == pytest.approx(final.edp_j_cycles / 260e6)


def test_json_has_the_documented_keys() -> None:
    document = evaluate(residual(), DIANA, LATENCY).to_json()
    assert json.loads(json.dumps(document)) == document
    assert {"schema_version", "target", "objective", "layers", "exits", "total"} <= set(document)
    assert (document["schema_version"], document["target"], document["objective"]) == (1, "diana", "latency")
    layer_keys = {"name", "op_type", "origin", "core", "macs", "latency_cycles", "energy_pj", "utilization"}
    assert layer_keys | {"bound_cycles"} <= set(document["layers"][0])
    cost_keys = {"macs", "latency_cycles", "latency_s", "energy_pj", "edp_js", "edp_j_cycles"}
    assert {"name", "mount"} | cost_keys <= set(document["exits"][0])
    assert cost_keys <= set(document["total"])
    assert not {"threshold", "ratio", "accuracy"} & set(document["exits"][0]), "these depend on data"


def test_reports_repeat_to_the_byte() -> None:
    first, second = (json.dumps(evaluate(residual(), DianaTarget()).to_json()) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("target", [DIANA, EdgeTpuQuadTarget()], ids=lambda target: str(target.title))
def test_the_schedule_is_valid_and_its_figures_add_up(target: Target) -> None:
    report = evaluate(residual(softmax=True), target)
    assert problems(report.planned.network, report.planned.schedule) == []
    assert report.timeline.stage_end_cycles == tuple(path.cost.latency_cycles for path in report.exits)
    assert sum(layer.energy_pj for layer in report.layers) == pytest.approx(report.total.energy_pj)
    for path, split in zip(report.exits, report.schedule.energy, strict=True):
        assert sum(split) == pytest.approx(path.cost.energy_pj)
    for layer in report.layers:
        assert layer.end_cycle - layer.start_cycle >= layer.cost.latency_cycles and layer.core in layer.cores


def test_expected_costs_are_sums_over_the_exits() -> None:
    ratios = (0.75, 0.25)
    assert evaluate(residual(), DIANA).expected is None, "no shares are known"
    report = evaluate(residual(), DIANA, ratios=ratios)
    early, final = (path.cost for path in report.exits)
    expected = report.expected
    assert expected is not None and not report.speculates
    assert expected.energy_pj == pytest.approx(0.75 * early.energy_pj + 0.25 * final.energy_pj)
    assert expected.edp_j_cycles == pytest.approx(0.75 * early.edp_j_cycles + 0.25 * final.edp_j_cycles)
    assert expected.edp_of_means_j_cycles == pytest.approx(
        expected.energy_pj * 1e-12 * expected.latency_cycles
    )
    assert expected.edp_j_cycles > expected.edp_of_means_j_cycles, "energy and latency grow together"
    document = report.to_json()
    assert document["ratios"] == list(ratios) and document["expected"]["speculation"] is False


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ((1.0,), "1 ratios for 2 exits"),
        ((0.5, 0.6), "0.5, 0.6"),
        ((1.5, -0.5), "1.5, -0.5"),
        ((math.nan, 0.5), "nan"),
    ],
)
def test_ratios_that_are_no_shares_are_told(ratios: tuple[float, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate(residual(), DIANA, ratios=ratios)
    assert caught.value.hint.startswith("give ")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_speculation_starts_where_it_pays_and_leaves_the_exits_alone(objective: Objective) -> None:
    ratios = (0.2, 0.8)
    plain = evaluate(residual(), DIANA, objective, ratios=ratios)
    report = evaluate(residual(), DIANA, objective, ratios=ratios, wishes=Wishes(speculate=True))
    assert [path.cost for path in report.exits] == [path.cost for path in plain.exits]
    assert report.expected is not None and report.speculates and plain.expected is not None
    assert getattr(report.expected, objective.key) <= getattr(plain.expected, objective.key)
    pays = []
    for path in report.exits:
        assert path.speculative is not None
        spent_pj = path.cost.energy_pj + path.speculative.wasted_pj
        assert path.speculative.cost.energy_pj == pytest.approx(spent_pj)
        assert path.speculative.pays or path.speculative.wasted_pj == 0
        pays.append(path.speculative.pays)
    assert not pays[-1], "nothing comes behind the last exit"
    if objective == ENERGY:
        assert not any(pays), "what is begun in vain only costs"
    documents = report.to_json()["exits"]
    assert [{k: v for k, v in x.items() if k != "speculative"} for x in documents] == plain.to_json()["exits"]
    assert documents[0]["speculative"]["pays"] is pays[0]


def test_refused_layers_are_an_error_that_lists_them() -> None:
    with pytest.raises(NoSolutionError) as caught:
        evaluate(graph_of(VALID), DIANA)
    message = str(caught.value)
    assert "2 of 2 layers cannot be placed on diana" in message
    assert "from inner" in message and "Padding is SAME" in message
    assert "from outer" in message and "Kernels are 1, 3, 5 or 7" in message


def test_refused_layers_can_be_allowed_and_mark_the_exit() -> None:
    report = evaluate(graph_of(VALID), DIANA, allow_refused=True)
    assert len(report.refusals) == 2 and not report.exits[-1].complete
    assert "no cost" in report.warnings[0]
    assert report.to_json()["refusals"][0]["reasons"]


def test_a_static_network_costs_less_than_the_same_with_exits() -> None:
    graph = residual(exits=False)
    del graph.outputs[0]
    graph.cleanup()
    state_of(graph).layers = {n.name: state_of(graph).layers[n.name] for n in graph.nodes}
    static, dynamic = evaluate(graph, DIANA), evaluate(residual(), DIANA)
    assert [path.name for path in static.exits] == ["final"]
    assert dynamic.exits[0].cost.energy_pj < static.total.energy_pj < dynamic.total.energy_pj


@pytest.mark.parametrize("scale", [0.0, 4.0])
def test_host_scale_changes_host_cycles_only(scale: float) -> None:
    plain = {x.name: x for x in evaluate(residual(), DIANA).layers}
    changed = {x.name: x for x in evaluate(residual(), DianaTarget(host_scale=scale)).layers}
    assert changed["conv_0"].cost.job_cycles == plain["conv_0"].cost.job_cycles * scale
    assert changed["exit_0.decide"].cost.host_cycles == plain["exit_0.decide"].cost.host_cycles * scale
    assert {n: (x.core, x.cost.compute_cycles, x.cost.dma_cycles) for n, x in changed.items()} == {
        n: (x.core, x.cost.compute_cycles, x.cost.dma_cycles) for n, x in plain.items()
    }


def test_wrong_options_are_told() -> None:
    with pytest.raises(InputError, match="did you mean 'match'"):
        DianaTarget("macth")
    with pytest.raises(InputError, match="at least 0"):
        DianaTarget(host_scale=-1.0)
