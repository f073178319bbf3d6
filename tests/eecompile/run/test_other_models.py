"""Savings by other models of the chip: grouped by cause, none left out without a word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eecompile.run.figures import saving_of
from eecompile.run.other_models import causes_of, host_rows, interval_of, recost
from passes.errors import NoSolutionError
from targets.contract.registry import load_target
from targets.contract.target import HOST_SCALE, Alternative, Target
from targets.edge_tpu_quad.target import EdgeTpuQuadTarget
from targets.evaluation.report import CostReport
from tests.eecompile.run.made_evidence import RATIOS, costs, of

SHARES = np.array(RATIOS)


def both(target: Target) -> tuple[CostReport, CostReport]:
    return of(target, (0, 1)), of(target, ())


def test_each_model_is_told_of_and_costs_both_networks() -> None:
    told: list[str] = []
    found = recost(load_target("diana"), both, told.append)
    assert len(told) == len(found) == 8
    for item in found:
        assert item.costs is not None and item.static is not None
        assert item.costs.target == item.static.target == item.alternative.target


def test_a_model_that_cannot_cost_the_network_says_why_and_is_in_no_interval() -> None:
    def cost(target: Target) -> tuple[CostReport, CostReport]:
        if target.cost_model == "engine":
            raise NoSolutionError("no mapping fits")
        return both(target)

    nominal = saving_of(*both(load_target("diana")), SHARES)
    causes = causes_of(recost(load_target("diana"), cost, lambda _: None), nominal, SHARES)
    models = next(c for c in causes if c.cause == "cost model")
    reasons = {row.name: (row.saving is None, row.reason) for row in models.alternatives}
    assert reasons == {"odimo": (False, None), "engine": (True, "no mapping fits")}
    odimo = models.alternatives[0].saving
    assert odimo is not None and models.interval is not None
    assert models.interval.edp == (min(odimo.edp, nominal.edp), max(odimo.edp, nominal.edp))


def test_models_that_differ_in_another_mode_are_left_out() -> None:
    diana = load_target("diana")
    rows = recost(diana, both, lambda _: None, "rows")
    assert {item.alternative.cause for item in rows} - {
        item.alternative.cause for item in recost(diana, both, lambda _: None, "layers")
    } == {"rows"}


def test_without_other_models_there_is_no_interval() -> None:
    nominal = saving_of(costs(), costs(()), SHARES)
    assert causes_of((), nominal, SHARES) == () and interval_of((), nominal) is None
    none = recost(
        load_target("diana"), lambda _: (_ for _ in ()).throw(NoSolutionError("never")), lambda _: None
    )
    causes = causes_of(none, nominal, SHARES)
    assert interval_of(causes, nominal) is None and all(cause.interval is None for cause in causes)


def test_host_rows_are_those_of_that_cause_and_of_the_model_in_use() -> None:
    found = recost(load_target("diana"), both, lambda _: None)
    rows = host_rows(found, *both(load_target("diana")), SHARES)
    assert [row.host_scale for row in rows] == [0, 1, 4]
    assert rows[1].saving == saving_of(costs(), costs(()), SHARES)
    other = [item for item in found if item.alternative.cause != HOST_SCALE]
    assert host_rows(other, costs(), costs(()), SHARES) == ()


def test_causes_are_those_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target with parameter sets of its own has them beside what all have."""
    diana = load_target("diana")
    own = Alternative("fit without a", "fitted parameters", replace(diana, host_scale=2.0))
    monkeypatch.setattr(type(diana), "alternatives", lambda _: (own,))
    nominal = saving_of(costs(), costs(()), SHARES)
    (cause,) = causes_of(recost(diana, both, lambda _: None), nominal, SHARES)
    assert (cause.cause, [row.name for row in cause.alternatives]) == ("fitted parameters", ["fit without a"])
    assert cause.alternatives[0].saving == saving_of(*both(own.target), SHARES) != nominal


def test_alternatives_differ_from_their_target_in_what_is_said() -> None:
    for target in (load_target("diana"), load_target("gap9").at_point("0.65V"), EdgeTpuQuadTarget()):
        found = target.alternatives()
        assert len({item.name for item in found}) == len(found)
        for item in found:
            assert item.target != target and item.target.point == target.point
    quad = EdgeTpuQuadTarget().alternatives()
    assert [(item.cause, item.name) for item in quad] == [("rules", "zigzag")]
    assert [item.name for item in quad[0].target.alternatives()] == ["exact"], "and back"
    odimo = replace(load_target("diana"), cost_model="odimo").alternatives()
    assert {item.target.cost_model for item in odimo if item.cause == "cost model"} == {"match", "engine"}
