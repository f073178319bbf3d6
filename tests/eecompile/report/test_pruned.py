"""What is told of what was pruned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eecompile import report
from eecompile.report.pruned import facts
from tests.eecompile.fabricated_run import summary, write_run
from tests.eecompile.report.test_report import Page


def told() -> dict[str, Any]:
    """Return ``pruning`` of ``run.json``: a branch and some channels went, in one round."""
    epochs = [
        {"epoch": n, "loss": 3.0 / n, "rate": 1e-3, "accuracy": {"final": 0.8 + n / 100}} for n in (1, 2, 3)
    ]
    entry = {
        "branches": ["add_0/3:1"], "layers": ["model/conv_1", "model/conv_2"], "remove": ["conv_2/32:0-7"],
        "channels": {"conv_0": 16, "conv_2": 24}, "channels_before": {"conv_0": 16, "conv_2": 32},
        "cycles": 113000.0, "loss": 3.714, "schedules": 60, "training": {"epochs": epochs},
    }  # fmt: skip
    return {"goal": "cycles=-30%", "before": 162623.0, "after": 113000.0, "rounds": [entry]}


def test_what_went_and_what_that_cost_is_told_line_by_line() -> None:
    assert {fact.label: fact.value for fact in facts({"pruning": told()})} == {
        "asked for": "cycles=-30%",
        "cycles, before and after": "162,623 → 113,000: 30.5 % less",
        "layers that went whole": "model/conv_1\nmodel/conv_2",
        "channels that stay": "conv_0 16, conv_2 32 → 24",
        "loss of an image before training": "3.714",
        "trained": "3 epochs, loss 3.000 → 1.000, val 83.0 %",
    }


def test_rounds_are_told_apart_and_earlier_runs_are_read() -> None:
    found = told()
    old = {key: value for key, value in found["rounds"][0].items() if key in ("channels", "loss", "training")}
    lines = facts({"pruning": {**found, "goal": "energy=-20%", "rounds": [old, found["rounds"][0]]}})
    labels = [fact.label for fact in lines]
    assert labels[1:4] == [
        "pJ, before and after",
        "channels that stay (round 1 of 2)",
        "trained (round 1 of 2)",
    ]
    assert labels[4:] == [
        f"{name} (round 2 of 2)"
        for name in (
            "layers that went whole",
            "channels that stay",
            "loss of an image before training",
            "trained",
        )
    ]
    assert facts({}) == ()


def test_the_page_holds_the_pruned_network_against_the_one_that_was_given(tmp_path: Path) -> None:
    plain = Page(report.render(write_run(tmp_path / "plain")))
    assert "What was pruned" not in plain.headings and "as given" not in plain.text
    run = write_run(tmp_path / "pruned")
    pruned = {**summary()["static"], "accuracy_quant": 0.8127}
    for name, more in (("summary.json", {"pruned": pruned}), ("run.json", {"pruning": told()})):
        document = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(document | more))
    page = Page(report.render(run))
    assert "What was pruned" in page.headings
    for text in (
        "static, as given",
        "static, pruned",
        "81.3 %",
        "conv_0 16, conv_2 32 → 24",
        "before it was pruned",
    ):
        assert text in page.text
