from __future__ import annotations

import json
import math

import pytest

from passes.errors import InputError, NoSolutionError
from passes.state import state_of
from targets.diana.target import DianaTarget
from targets.report import evaluate
from targets.schedule.exit_paths import jobs_of
from targets.schedule.slot_checker import problems
from targets.workload import build_workload
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
    early, final = report.exits
    of_early = [layer for layer in report.layers if layer.exit == "exit_0"]
    assert early.latency_cycles == sum(layer.latency_cycles for layer in of_early), (
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
    document = evaluate(residual(), DIANA, "latency").to_json()
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


def test_the_timeline_is_valid() -> None:
    graph = residual(softmax=True)
    report = evaluate(graph, DIANA)
    workload = build_workload(graph)
    placements = {layer.name: DIANA.place(layer) for layer in workload.layers}
    jobs = jobs_of(workload, placements, DIANA.arch)  # type: ignore[arg-type]
    assert problems(jobs, report.timeline) == []


def test_refused_layers_are_an_error_that_lists_them() -> None:
    with pytest.raises(NoSolutionError) as caught:
        evaluate(graph_of(VALID), DIANA)
    message = str(caught.value)
    assert "2 of 2 layers cannot be placed on diana" in message
    assert "from inner" in message and "Padding is SAME" in message
    assert "from outer" in message and "Kernels are 1, 3, 5 or 7" in message


def test_refused_layers_can_be_allowed_and_mark_the_exit() -> None:
    report = evaluate(graph_of(VALID), DIANA, allow_refused=True)
    assert len(report.refusals) == 2 and not report.total.complete
    assert "no cost" in report.warnings[0]
    assert report.to_json()["refusals"][0]["reasons"]


def test_a_static_network_costs_less_than_the_same_with_exits() -> None:
    graph = residual(exits=False)
    del graph.outputs[0]
    graph.cleanup()
    state_of(graph).layers = {n.name: state_of(graph).layers[n.name] for n in graph.nodes}
    static, dynamic = evaluate(graph, DIANA), evaluate(residual(), DIANA)
    assert [path.name for path in static.exits] == ["final"]
    assert dynamic.exits[0].energy_pj < static.total.energy_pj < dynamic.total.energy_pj


@pytest.mark.parametrize("scale", [0.0, 4.0])
def test_host_scale_changes_host_cycles_only(scale: float) -> None:
    plain = {x.name: x for x in evaluate(residual(), DIANA).layers}
    changed = {x.name: x for x in evaluate(residual(), DianaTarget(host_scale=scale)).layers}
    assert changed["conv_0"].job_cycles == plain["conv_0"].job_cycles * scale
    assert changed["exit_0.decide"].host_cycles == plain["exit_0.decide"].host_cycles * scale
    assert {n: (x.core, x.compute_cycles, x.dma_cycles) for n, x in changed.items()} == {
        n: (x.core, x.compute_cycles, x.dma_cycles) for n, x in plain.items()
    }


def test_wrong_options_are_told() -> None:
    with pytest.raises(InputError, match="did you mean 'latency'"):
        evaluate(residual(), DIANA, "latancy")
    with pytest.raises(InputError, match="did you mean 'match'"):
        DianaTarget("macth")
    with pytest.raises(InputError, match="at least 0"):
        DianaTarget(host_scale=-1.0)
