from __future__ import annotations

import json

import pytest

from eecompile.run.summarize import costs_only, summarize
from eecompile.run_files.tables import exit_rows, layer_rows
from tests.eecompile.run.made_evidence import costs, evidence
from tests.targets.validated import ENERGY, LATENCY, unvalidate, validate


def test_exits_have_a_row_each_with_the_figures_of_the_summary() -> None:
    summary = summarize(evidence(), [])
    rows = exit_rows(summary)
    for row, found in zip(rows, summary.exits, strict=True):
        assert {"name", "mount", "head", "threshold", "ratio", "accuracy", "macs", "energy_pj"} <= row.keys()
        plain = [key for key in row if not key.endswith(("_low", "_high"))]
        assert all(row[key] == getattr(found, key) for key in plain)
        assert all(value is None or isinstance(value, str | int | float) for value in row.values())
    (first, *_) = exit_rows(costs_only(evidence()))
    assert first.keys() == rows[0].keys(), "the same columns without data"


def test_bounds_of_intervals_have_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    unvalidate(monkeypatch, "diana")
    row = exit_rows(costs_only(evidence()))[0]
    assert row["latency_cycles_low"] is None and row["energy_pj_high"] is None
    validate(monkeypatch, "diana")
    row = exit_rows(costs_only(evidence()))[0]
    assert row["latency_cycles_low"] == pytest.approx(row["latency_cycles"] / LATENCY)
    assert row["energy_pj_high"] == pytest.approx(row["energy_pj"] * ENERGY)


def test_layers_have_a_row_each_and_add_up() -> None:
    report = costs()
    rows = layer_rows(report)
    assert [row["name"] for row in rows] == [layer.name for layer in report.layers]
    assert sum(row["energy_pj"] for row in rows) == pytest.approx(report.total.energy_pj)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["macs"] for row in rows) == report.total.macs
    assert {row["exit"] for row in rows} == {"exit_0", "exit_1", "final"}
    for row, layer in zip(rows, report.layers, strict=True):
        assert json.loads(row["origin"]) == list(layer.layer.origin)
        assert json.loads(row["cores"]) == list(layer.cores)
        assert (row["weight_bits"], row["activation_bits"], row["output_bits"]) == layer.bits
        assert all(value is None or isinstance(value, str | int | float) for value in row.values())
    weighted = {row["op_type"] for row in rows if row["weight_bits"] == 8}
    assert weighted == {"Conv", "Gemm"}
