"""Error bars around the figures of a network, in the document of its costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from targets.contract.target import NOT_VALIDATED
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.report import evaluate
from tests.targets.graphs import residual
from tests.targets.validated import COVERAGE, ENERGY, LATENCY, unvalidate, validate


def costs_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [document["total"], *document["exits"], document["expected"]]


def test_every_cost_carries_its_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    document = evaluate(residual(), validate(monkeypatch, "gap9"), ratios=(0.5, 0.5)).to_json()
    for cost in costs_of(document):
        assert cost["validation"] == "measured"
        cycles, pj = cost["latency_cycles"], cost["energy_pj"]
        assert cost["latency_interval"] == pytest.approx([cycles / LATENCY, cycles * LATENCY])
        assert cost["energy_interval"] == pytest.approx([pj / ENERGY, pj * ENERGY])
    told = document["intervals"]
    assert document["validation"] == "measured"
    assert told["latency"]["nominal_coverage"] == pytest.approx(COVERAGE)
    assert (told["energy"]["low"], told["energy"]["high"]) == pytest.approx((1 / ENERGY, ENERGY))
    assert told["command"] == "python -m made_up" and told["note"] == "Made up."
    assert NOT_VALIDATED not in document["known_error"]


def test_at_another_point_the_factors_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    report = evaluate(residual(), validate(monkeypatch, "gap9"))
    here, there = (point["total"] for point in report.to_json()["operating_points"])
    assert there["latency_interval"] == here["latency_interval"], "cycles are the same"
    for total in (here, there):
        assert total["energy_interval"] == pytest.approx([total["energy_pj"] / 1.5, total["energy_pj"] * 1.5])
    assert there["energy_pj"] < here["energy_pj"]
    assert report.at("0.65V").to_json()["total"]["energy_interval"] == there["energy_interval"]


def test_without_a_validation_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    document = evaluate(residual(), unvalidate(monkeypatch, "gap9"), ratios=(0.5, 0.5)).to_json()
    for cost in (document, *costs_of(document)):
        assert cost["validation"] == "none"
    for cost in costs_of(document):
        assert cost["latency_interval"] is None and cost["energy_interval"] is None
    assert document["intervals"] is None
    assert document["known_error"].startswith(NOT_VALIDATED)


def test_a_model_that_was_not_measured_has_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another cost model nor another cost of host work is what was compared with silicon."""
    target = validate(monkeypatch, "diana")
    assert ErrorBars.of(target).kind == "measured"
    for other in (replace(target, cost_model="odimo"), replace(target, host_scale=4.0)):
        assert ErrorBars.of(other) == ErrorBars() and ErrorBars.of(other).kind == "none"
