"""The main job does what it was asked for: exits, schedule, rules and objective of the user."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.data.sources import load_data
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from eecompile.wording import headline
from passes.exits.mounts import find_mounts
from passes.model.graph import load
from passes.registry import parse_pipeline
from targets.objective import ENERGY, LATENCY, Objective
from tests.eecompile.run.brief_run import BRIEF, DIGITS, OPTIONS, call
from tests.needs import needs_torch


def noisy(path: Path) -> Path:
    """Write digits with a few training images under labels drawn at random: heads learn little."""
    digits, rng = load_data("digits"), np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name in ("train", "val", "test"):
        split = digits.split(name)
        arrays |= {f"{name}_x": split.x, f"{name}_y": split.y}
    arrays |= {"train_x": digits.train.x[:120], "train_y": rng.permutation(digits.train.y[:120])}
    np.savez(path, **arrays)
    return path


@needs_torch
def test_exits_asked_for_by_name_are_all_kept_under_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given in reverse, as a node and by short name; the second saves nothing worth its head."""
    monkeypatch.setattr(steps, "Recipe", functools.partial(Recipe, samples=400, linear_share=1.0))
    graph = load(DIGITS)
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    mounts = {m.name: m for m in find_mounts(graph)}
    node = next(n.name for n in graph.nodes if n.outputs[0].name == mounts["relu_4"].tensor)
    tensor = mounts["relu_2"].tensor
    data, exits = str(noisy(tmp_path / "noisy.npz")), [node, tensor, "relu_0"]
    result = api.run(DIGITS, "diana", data, tmp_path / "named", exits, max_drop=0.0, optimistic=True)
    summary = result.summary
    assert [e.mount_name for e in summary.exits[:-1]] == ["relu_0", tensor, node], "in network order"
    assert [e.mount for e in summary.exits[:-1]] == [mounts[m].tensor for m in ("relu_0", "relu_2", "relu_4")]
    assert {r.mount_name for r in summary.removed_exits} <= {"relu_0", tensor, node}, "rival heads alone"
    assert len(summary.removed_exits) == 3
    unused = [e for e in summary.exits[:-1] if e.ratio == 0]
    assert summary.never_taken and {e.name for e in unused} >= set(summary.never_taken)
    for entry in summary.exits[:-1]:
        if entry.name in summary.never_taken:
            assert entry.threshold is not None and entry.threshold > 1.0
            assert entry.accuracy is None
    assert summary.warnings[0].startswith(f"no image leaves at {summary.never_taken[0]}")
    assert headline.headline(summary).startswith(f"No image leaves at {summary.never_taken[0]} (")
    assert result.passed, "both early-exit forms agree with the flat model on all images"
    assert "<td>never</td>" in (tmp_path / "named" / "report.html").read_text()
    # The same mounts by number are tried, and dropped with figures.
    tried = api.run(DIGITS, "diana", data, tmp_path / "tried", 3, max_drop=0.0, optimistic=True)
    assert len(tried.summary.exits) < 4
    assert all(r.reason for r in tried.summary.removed_exits) and tried.summary.never_taken == ()
    assert (summary.min_gain, tried.summary.min_gain) == (None, 2.0)


@needs_torch
@pytest.mark.parametrize("exits", ["relu_2", "relu_4,relu_2"])
def test_what_an_exit_must_save_is_not_asked_of_exits_by_name(tmp_path: Path, exits: str) -> None:
    arguments = ["run", str(DIGITS), "--data", "digits", "--exits", exits, "--min-gain", "1"]
    result = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "--min-gain" in result.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("rules", [None, "zigzag"])
def test_the_rules_of_latency_are_recorded(rules: str | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = [] if rules is None else ["--rules", rules]
    call("run", DIGITS, "--target", "edge_tpu_quad", *told, "--out", out)
    summary, info = (json.loads((out / name).read_text()) for name in ("summary.json", "run.json"))
    assert summary["rules"] == info["rules"] == (rules or "exact")
    assert ("--rules zigzag" in info["command"]) is (rules is not None)


def test_the_schedule_is_that_of_all_costs_and_recorded(tmp_path: Path) -> None:
    """With rows exits and static cost less, layers add up to the last exit, and all files tell the mode."""
    found = {}
    for told in (None, "layers", "rows"):
        out = tmp_path / str(told)
        call("run", DIGITS, *([] if told is None else ["--schedule", told]), "--out", out)
        summary, info = (json.loads((out / name).read_text()) for name in ("summary.json", "run.json"))
        assert summary["schedule"] == info["schedule"] == (told or "layers")
        assert (f"--schedule {told}" in info["command"]) is (told is not None)
        layers = list(csv.DictReader((out / "layers.csv").read_text().splitlines()))
        cycles = [e["latency_cycles"] for e in summary["exits"]]
        assert sum(int(row["latency_cycles"]) for row in layers) == cycles[-1]
        assert sum(float(row["energy_pj"]) for row in layers) == pytest.approx(
            summary["exits"][-1]["energy_pj"]
        )
        trace = json.loads((out / "schedule.trace.json").read_text())
        assert [stage["end_cycle"] for stage in trace["otherData"]["stages"]] == cycles
        assert any(row["group"] for row in layers) is (told == "rows")
        assert f"{told or 'layers'}: " in (out / "report.html").read_text()
        by_model = info["static_cycles_by_cost_model"]
        assert by_model["match"] == summary["static"]["latency_cycles"]
        assert (by_model["engine"] is None) is (told == "rows"), "it has no rows"
        found[told] = [*cycles, summary["static"]["latency_cycles"]]
    assert found[None] == found["layers"]
    assert all(rows < whole for rows, whole in zip(found["rows"], found["layers"], strict=True))


@needs_torch
def test_many_cores_and_speculation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exits are without speculation, what is expected is with it; tiles of a layer lie on several cores."""
    monkeypatch.setattr(steps, "Recipe", BRIEF)
    out = tmp_path / "run"
    summary = json.loads(
        call(
            "run",
            DIGITS,
            *OPTIONS,
            "--exits",
            "relu_2",
            "--target",
            "edge_tpu_quad",
            "--speculate",
            "--out",
            out,
            "--json",
        )
    )
    exits, expected = summary["exits"], summary["expected"]
    assert expected["speculation"] is True and len(exits) > 1
    for key in ("latency_cycles", "energy_pj", "edp_j_cycles"):
        assert expected[key] == pytest.approx(sum(e["ratio"] * e["speculative"][key] for e in exits))
    assert expected["macs"] == pytest.approx(sum(e["ratio"] * e["macs"] for e in exits))
    assert exits[0]["speculative"]["pays"] and exits[0]["speculative"]["wasted_pj"] > 0
    assert exits[0]["speculative"]["energy_pj"] > exits[0]["energy_pj"]
    plain = sum(e["ratio"] * e["latency_cycles"] for e in exits)
    assert expected["latency_cycles"] < plain, "it pays for the objective"
    layers = list(csv.DictReader((out / "layers.csv").read_text().splitlines()))
    assert sum(float(r["energy_pj"]) for r in layers) == pytest.approx(exits[-1]["energy_pj"])
    assert any(int(r["tiles"]) > 1 and len(json.loads(r["cores"])) > 1 for r in layers)
    trace = json.loads((out / "schedule.trace.json").read_text())
    assert [s["end_cycle"] for s in trace["otherData"]["stages"]] == [e["latency_cycles"] for e in exits]
    assert any("tile" in e.get("args", {}) for e in trace["traceEvents"]), "tiles say which they are"
    assert trace["otherData"]["stores"] and len(trace["otherData"]["energy_pj"]) == len(exits)


@pytest.mark.parametrize("objective", [LATENCY, ENERGY], ids=str)
def test_objective_and_mount_of_the_user(tmp_path: Path, objective: Objective) -> None:
    result = api.run(DIGITS, out=tmp_path, exits="relu_2", objective=objective.name)
    assert result.summary.objective == objective
    assert [e.mount_name for e in result.summary.exits] == ["relu_2", "relu_6"]
    edp = api.run(DIGITS, out=tmp_path, exits="relu_2", objective="edp")
    assert getattr(result.summary.static, objective.key) <= getattr(edp.summary.static, objective.key)
