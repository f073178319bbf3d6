from __future__ import annotations

from dataclasses import replace

import pytest

from passes.errors import InputError
from targets.cost.layer_cost import energy_pj
from targets.diana.fused import RowAssumptions
from targets.diana.target import DianaTarget
from targets.evaluation.report import CostReport, evaluate
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from targets.testing.conformance import TargetConformance
from tests.targets.graphs import residual


class TestMatch(TargetConformance):
    target = DianaTarget()


class TestOdimo(TargetConformance):
    target = DianaTarget("odimo")


class TestEngine(TargetConformance):
    target = DianaTarget("engine")


def cost(schedule: str = "", **options: object) -> CostReport:
    return evaluate(residual(), DianaTarget(**options), EDP, wishes=Wishes(schedule))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["", "match", "odimo"])
def test_rows_are_a_mode_where_layers_have_closed_forms(model: str) -> None:
    assert list(DianaTarget(model).schedules) == ["layers", "rows"]


def test_mappings_of_whole_layers_are_no_rows() -> None:
    assert list(DianaTarget("engine").schedules) == ["layers"]
    with pytest.raises(InputError, match="takes layers"):
        cost("rows", cost_model="engine")


def test_layers_are_the_default_and_nothing_of_rows_is_in_their_figures() -> None:
    plain = cost()
    assert plain.total == cost("layers").total
    others = [RowAssumptions(columns=1), RowAssumptions(counts_stride=False)]
    assert all(cost("layers", assumed=assumed).total == plain.total for assumed in others)
    assert plain.schedule.mode == "layers" and not plain.schedule.groups
    assert plain.total.energy_pj == pytest.approx(energy_pj(24.96, plain.total.latency_cycles, 260e6))


def test_what_else_may_be_assumed_is_listed_with_its_cause() -> None:
    target = DianaTarget()
    listed = target.alternatives()
    assert [(item.name, item.cause) for item in listed if item.cause in ("cost model", "host scale")] == [
        ("host x0", "host scale"),
        ("host x4", "host scale"),
        ("odimo", "cost model"),
        ("engine", "cost model"),
    ]
    rows = [item for item in listed if item.cause == "rows"]
    assert len(rows) == 3 and all(item.mode == "rows" for item in rows)
    assert {item.mode for item in listed if item.cause != "rows"} == {""}
    assert len({item.target for item in listed} | {target}) == len(listed) + 1, "each is another model"
    again = replace(target, assumed=RowAssumptions(columns=1))
    assert again not in {item.target for item in again.alternatives()}
    assert target in {item.target for item in again.alternatives()}
