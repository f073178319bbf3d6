"""`run` with `prune`: what is pruned, what it is held against, what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.run import pruning, steps
from eecompile.run.integers import quantizing
from eecompile.training.recipe import PRUNED, QUANTIZED, JointRecipe, Recipe
from passes.errors import InputError, NoSolutionError
from passes.model.graph import load
from tests.eecompile.small_models import write_images, write_skip_net


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=128))
    monkeypatch.setattr(steps, "JointRecipe", lambda: JointRecipe(batch=16, epochs=1, bfloat16="no"))
    monkeypatch.setattr(quantizing, "QUANTIZED", replace(QUANTIZED, batch=16))
    monkeypatch.setattr(pruning, "PRUNED", replace(PRUNED, batch=16, bfloat16="no"))
    return tmp_path


def run(at: Path, out: str, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": "relu_0", "head": "linear", "preprocess": "raw",
             "max_drop": 100.0, "objective": "latency", "target": "gap9"}  # fmt: skip
    return api.run(at / "net.onnx", out=at / out, **{**given, **options})


@pytest.mark.parametrize(
    "options",
    [{"train": "joint"}, {"quantize": "qat", "qat_epochs": 1}],
)
def test_static_is_the_network_as_it_was_given(files: Path, options: dict[str, Any]) -> None:
    plain = run(files, "plain", **options).summary
    found = run(files, "pruned", prune={"cycles": -0.2}, prune_epochs=1, **options)
    summary, told = found.summary, json.loads((files / "pruned" / "run.json").read_text())
    assert summary.static == plain.static, "accuracies, costs: nothing of pruning is in it"
    assert plain.pruned is None and summary.static_trained is None
    pruned = summary.pruned
    assert pruned.latency_cycles <= 0.8 * summary.static.latency_cycles
    assert pruned.macs < summary.static.macs
    assert pruned.accuracy_quant == summary.exits[-1].accuracy_lowered
    saved = 1 - summary.expected.latency_cycles / summary.static.latency_cycles
    assert summary.saving.latency == pytest.approx(saved)
    assert told["pruning"]["goal"] == "cycles=-20%"
    assert told["pruning"]["after"] <= 0.8 * told["pruning"]["before"]
    assert len(told["pruning"]["rounds"][-1]["training"]["epochs"]) == 1
    assert "--prune cycles=-20% --prune-epochs 1" in told["command"]
    smaller, whole = (load(files / name / "model.exits.onnx") for name in ("pruned", "plain"))
    assert [n.op for n in smaller.nodes] == [n.op for n in whole.nodes]
    assert smaller.nodes[0].inputs[1].shape != whole.nodes[0].inputs[1].shape
    sizes = [(files / name / "model.exits.onnx").stat().st_size for name in ("pruned", "plain")]
    assert sizes[0] < sizes[1]
    assert found.passed


def test_what_cannot_be_reached_is_told(files: Path) -> None:
    with pytest.raises(NoSolutionError, match=r"pruning can save \d+\.\d % at most on this schedule"):
        run(files, "out", prune={"energy": -0.99})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune": {"cycles": 30}}, "`prune` cannot be"),
        ({"prune": {"cycles": -0.2}, "train": "scratch"}, "scratch draws new ones"),
        ({"prune": {"cycles": -0.2}, "prune_epochs": 0}, "`prune_epochs` is at least 1, not 0"),
        ({"prune_epochs": 1}, "without `prune` nothing is"),
        ({"prune": {"cycles": -0.2}, "data": None, "preprocess": None, "max_drop": None}, "without `data`"),
    ],
)
def test_what_changes_nothing_is_refused(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(files, "out", **options)


def test_a_network_that_brings_exits_is_refused(files: Path) -> None:
    run(files, "out")
    with pytest.raises(InputError, match="brings exits of its own"):
        api.run(
            files / "out" / "model.exits.onnx", "gap9", str(files / "images.npz"), files / "again",
            prune={"cycles": -0.2},
        )  # fmt: skip
