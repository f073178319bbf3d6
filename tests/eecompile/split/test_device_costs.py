"""Costs of parts add up to those of the schedule of the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eecompile.run_files.summary import load_summary
from eecompile.split.device_costs import device_costs
from passes.errors import InputError
from passes.model.graph import load
from tests.eecompile.split.small_split import small_run


def test_stages_and_heads_add_up_to_the_paths_of_the_run() -> None:
    run = small_run()
    summary = load_summary(run)
    costs = device_costs(run, load(run / "model.lowered.onnx"), summary, None)
    for number, path in enumerate(summary.exits[:-1]):
        found = costs.until(costs.reached[number], range(number + 1))
        assert found == pytest.approx((path.latency_s, 1e-12 * path.energy_pj))
    early, whole = range(len(summary.exits) - 1), len(costs.backbone)
    final, static = summary.exits[-1], summary.static
    assert costs.until(whole, early) == pytest.approx((final.latency_s, 1e-12 * final.energy_pj))
    assert costs.until(whole, ()) == pytest.approx((static.latency_s, 1e-12 * static.energy_pj))
    assert costs.share_after(0) == 1 and costs.share_after(whole) == 0


def test_cuts_lie_between_layers_of_the_schedule() -> None:
    run = small_run()
    summary = load_summary(run)
    costs = device_costs(run, load(run / "model.lowered.onnx"), summary, 1e6)
    names = [place.name for place in costs.cuts]
    assert names == ["input", "conv_0", "add_0", "conv_2", "globalaveragepool_0"]
    assert [place.layers for place in costs.cuts] == [0, 1, 3, 4, 5]
    assert costs.cuts[1].shape == (1, 8, 16, 16) and costs.cuts[1].dtype == "uint8"
    assert costs.until(len(costs.backbone), ())[0] == pytest.approx(summary.static.latency_cycles / 1e6)


def test_layers_that_overlap_are_scaled_to_their_stage(tmp_path: Path) -> None:
    run = shutil.copytree(small_run(), tmp_path / "run")
    summary = load_summary(run)
    graph = load(run / "model.lowered.onnx")
    usual = device_costs(run, graph, summary, None)
    exits = (
        summary.exits[0].model_copy(update={"latency_cycles": summary.exits[0].latency_cycles / 2}),
        *summary.exits[1:],
    )
    half = device_costs(run, graph, summary.model_copy(update={"exits": exits}), 1e6)
    full = device_costs(run, graph, summary, 1e6)
    assert half.until(usual.reached[0], (0,))[0] == pytest.approx(full.until(usual.reached[0], (0,))[0] / 2)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    run = shutil.copytree(small_run(), tmp_path / "run")
    summary, graph = load_summary(run), load(run / "model.lowered.onnx")
    clockless = [path.model_copy(update={"latency_s": None}) for path in summary.exits]
    with pytest.raises(InputError, match="has no clock"):
        device_costs(run, graph, summary.model_copy(update={"exits": tuple(clockless)}), None)
    (run / "layers.csv").write_text("name,exit\nconv_0,nowhere\n")
    with pytest.raises(InputError, match="cannot be read"):
        device_costs(run, graph, summary, None)
    (run / "layers.csv").unlink()
    with pytest.raises(InputError, match=r"has no layers\.csv"):
        device_costs(run, graph, summary, None)
