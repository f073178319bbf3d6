"""Reports of schedules with rows: the better of both, exits that are prefixes, and what users are told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from passes.errors import NoSolutionError
from targets.diana.target import DianaTarget
from targets.evaluation.report import CostReport, evaluate
from targets.evaluation.rows import rows_of, scheduled
from targets.evaluation.scheduling import Wishes, schedule_workload
from targets.objective import EDP, OBJECTIVES, Objective
from targets.testing.conformance import sample_layer
from tests.targets.evaluation.test_scheduling import chain
from tests.targets.graphs import residual

DIANA = DianaTarget()


def report(schedule: str, objective: Objective = EDP, **wishes: bool) -> CostReport:
    return evaluate(residual(), DIANA, objective, wishes=Wishes(schedule, **wishes))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_figures_with_rows_add_up_and_are_no_worse(objective: Objective) -> None:
    whole, rows = report("layers", objective), report("rows", objective)
    assert rows.planned.rows and len(rows.exits) > 1
    assert rows.total.value(objective) < whole.total.value(objective)
    assert sum(layer.cost.latency_cycles for layer in rows.layers) == rows.total.latency_cycles
    assert sum(layer.energy_pj for layer in rows.layers) == pytest.approx(rows.total.energy_pj)
    for path in rows.exits:
        mine = [layer for layer in rows.layers if layer.exit <= path.name]
        assert sum(layer.cost.latency_cycles for layer in mine) == path.cost.latency_cycles
        assert sum(layer.energy_pj for layer in mine) == pytest.approx(path.cost.energy_pj)


def test_the_mode_and_its_caution_are_in_the_document() -> None:
    whole, rows = (json.loads(json.dumps(report(mode).to_json())) for mode in ("layers", "rows"))
    assert (whole["schedule"]["mode"], rows["schedule"]["mode"]) == ("layers", "rows")
    assert rows["schedule"]["groups"] == max(layer["group"] or 0 for layer in rows["layers"]) > 0
    caution = DIANA.row_model().caution
    assert caution in rows["warnings"] and caution not in whole["warnings"]
    assert {layer["overlapped_cycles"] for layer in whole["layers"]} == {0}


def test_a_network_that_gains_nothing_is_scheduled_as_without_and_told_no_caution() -> None:
    workload = chain(sample_layer("Relu"))
    assert rows_of(workload, DIANA.row_model(), EDP, (1.0,)) is None
    plain, rows = (schedule_workload(workload, DIANA, EDP, wishes=Wishes(m)) for m in ("layers", "rows"))
    assert plain.schedule == rows.schedule and not rows.rows


def test_refusals_are_those_of_whole_layers() -> None:
    odd = replace(sample_layer("Relu"), op_type="LSTM")
    workload = chain(sample_layer("Conv"), odd)
    with pytest.raises(NoSolutionError, match="1 of 2 layers cannot be placed on diana"):
        schedule_workload(workload, DIANA, EDP, wishes=Wishes("rows"))
    planned = schedule_workload(workload, DIANA, EDP, wishes=Wishes("rows"), allow_refused=True)
    assert [refusal.layer for refusal in planned.refusals] == ["layer_1"] and not planned.rows


def test_speculation_goes_with_rows() -> None:
    plain, ahead = report("rows"), report("rows", speculate=True)
    assert [path.cost for path in ahead.exits] == [path.cost for path in plain.exits]
    for path in ahead.exits:
        assert path.speculative is not None
        assert path.speculative.cost.latency_cycles <= path.cost.latency_cycles


def test_rows_at_another_scale_of_host_work_are_the_same_plan() -> None:
    workload = report("rows").workload
    shares = [1 / len(workload.exits)] * len(workload.exits)
    found = rows_of(workload, DIANA.row_model(), EDP, shares)
    assert found is not None
    free = replace(DIANA, host_scale=0.0).row_model()
    _, schedule, none = scheduled(found.plan, workload, free, EDP, shares, speculates=False)
    assert none is None and all(run.cost.job_cycles == 0 for run in schedule.runs)
    assert schedule.latency_cycles < report("rows").total.latency_cycles
