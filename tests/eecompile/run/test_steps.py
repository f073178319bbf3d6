"""The steps of the main job as a list: each finds out what is said of it, from what came before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run.prepare import prepare
from eecompile.run.steps import COST_STEPS, STEPS
from passes.errors import NoSolutionError
from targets.contract.registry import load_target
from targets.objective import EDP, ENERGY
from tests.eecompile.small_models import write_skip_net
from tests.needs import needs_torch

GIVEN = {
    "options",
    "prepared",
    "clock",
    "work",
    "checkpoints",
    "finished",
    "pruned",
    "taken",
    "model_sha256",
    "test_at",
}
# What each step finds out, in this order.
FOUND = {
    "data": {"dataset", "tried"},
    "train": {"training"},
    "quantize": {"quantized", "lowered", "calibration", "baseline", "calibrated"},
    "evaluate": {"val", "float_test", "quant_test", "lowered_test", "seen"},
    "choose exits and thresholds": {"chosen", "costs", "static", "notes", "guarantee", "proxies"},
    "write and prove": {"forms", "agreement", "measured"},
    "cost by other models of the chip": {"recosted"},
    "put the figures together": {"summary", "info"},
    "write the report": set(),
}


def evidence(model: Path, work: Path, name: str = "diana", **options: object) -> Evidence:
    work.mkdir()
    target = load_target(name)
    prepared = prepare(model, target, EDP, 1, "linear")
    given = RunOptions(model, **options)  # type: ignore[arg-type]
    return Evidence(given, prepared, Clock(lambda _: None), work)


@needs_torch
def test_figures_are_for_the_best_point_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eecompile.run import steps
    from eecompile.training.recipe import Recipe
    from tests.eecompile.small_models import write_images

    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=128))
    images, model = str(write_images(tmp_path / "images.npz")), write_skip_net(tmp_path / "model.onnx")
    given = {"data": images, "preprocess": "raw", "objective": ENERGY}
    found = evidence(model, tmp_path / "work", "gap9", **given, max_latency=1.0)
    for step in STEPS:
        step.run(found)
    summary = found.summary
    assert summary.point == "0.65V", "it takes less energy, and a second is long"
    slow = next(point for point in summary.operating_points if point.name == summary.point)
    assert summary.exits[-1].energy_pj == slow.total.energy_pj and summary.saving is not None
    assert found.static.point == found.costs.point and summary.static.latency_s is not None
    assert summary.static.latency_s == pytest.approx(summary.static.latency_cycles / slow.clock_hz)
    found.options = RunOptions(model, **given, max_latency=1e-9)  # type: ignore[arg-type]
    with pytest.raises(NoSolutionError, match="the bound is 1e-09 s"):
        steps.choose(found)


@needs_torch
def test_each_step_finds_out_what_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eecompile.run import steps
    from eecompile.training.recipe import Recipe
    from tests.eecompile.small_models import write_images

    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=128))
    images = write_images(tmp_path / "images.npz")
    model = write_skip_net(tmp_path / "model.onnx")
    found = evidence(model, tmp_path / "work", data=str(images), preprocess="raw")
    assert [step.name for step in STEPS] == list(FOUND)
    for step in STEPS:
        before = set(vars(found))
        step.run(found)
        assert set(vars(found)) - before == FOUND[step.name], step.name
    assert set(vars(found)) == set(get_type_hints(Evidence)), "and together all there is"
    assert found.summary.dataset is not None and (tmp_path / "work" / "report.html").exists()
    # Files are held against the network they are made of: Q/DQ that is not fused rounds otherwise.
    for name, complete in (("quant_test", True), ("lowered_test", False)):
        answered = getattr(found, name)
        setattr(found, name, replace(answered, logits=[-z for z in answered.logits]))
        found.work = tmp_path / name
        found.work.mkdir()
        steps.deliver(found)
        assert found.agreement.complete == complete


def test_a_step_cannot_use_what_no_step_before_it_found(tmp_path: Path) -> None:
    found = evidence(write_skip_net(tmp_path / "model.onnx"), tmp_path / "work", data="digits")
    for step in STEPS[1:]:
        with pytest.raises(AttributeError):
            step.run(found)
    assert set(vars(found)) <= GIVEN | {"training"}


def test_without_images_costs_alone_are_put_together(tmp_path: Path) -> None:
    found = evidence(write_skip_net(tmp_path / "model.onnx"), tmp_path / "work")
    for step in COST_STEPS:
        step.run(found)
    assert found.summary.dataset is None and found.costs is found.prepared.costs
    assert found.static.total.latency_cycles < found.costs.total.latency_cycles
    with pytest.raises(ValueError, match="do not open any"):
        STEPS[0].run(found)
