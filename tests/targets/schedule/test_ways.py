"""The schedule of a way is a valid one of the layers that it runs."""

from __future__ import annotations

import pytest

from passes.exits.recognise import recognise_exits
from passes.fuse_layers import FuseLayers
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.scheduling import schedule_workload
from targets.network.workload import build_workload
from targets.objective import OBJECTIVES, Objective
from targets.schedule.check.checker import problems
from targets.schedule.ways import way_schedules
from tests.passes.model.branching_nets import both_compute, flat, gated


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("target", ["gap9", "edge_tpu_quad"])
@pytest.mark.parametrize("choice", [False, True])
def test_a_way_is_a_valid_schedule_of_what_it_runs(choice: bool, target: str, objective: Objective) -> None:
    graph = from_model(both_compute() if choice else gated(weights=False))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    recognise_exits(graph)
    FuseLayers()(graph)
    workload = build_workload(graph)
    planned = schedule_workload(workload, load_target(target).for_objective(objective), objective)
    assert problems(planned.network, planned.schedule) == []
    assert planned.ways[0] is planned.way(0) is planned.schedule
    left_out = workload.skipped(1)
    assert [workload.layers[i].op_type for i in sorted(left_out)] == (
        ["Gemm"] if choice else ["GlobalMaxPool", "Gemm"]
    )
    way = planned.way(1)
    assert problems(planned.network.without(set(left_out)), way) == []
    assert {run.layer for run in way.runs} == set(workload.exits[1].layers)
    assert way.latency_cycles <= planned.schedule.latency_cycles
    assert way.energy_pj < planned.schedule.energy_pj


def test_prefixes_need_no_schedules_of_their_own() -> None:
    graph = from_model(flat())
    recognise_exits(graph)
    target = load_target("gap9").for_objective(OBJECTIVES[0])
    planned = schedule_workload(build_workload(graph), target, OBJECTIVES[0])
    assert planned.ways == () and planned.way(0) is planned.schedule
    assert way_schedules(planned.network, planned.plan, planned.resident, planned.schedule) == ()
