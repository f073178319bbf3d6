"""A run that is tuned anew is the run with other options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.run import steps
from eecompile.run.kept import whole
from eecompile.training.recipe import Recipe
from passes.errors import InputError, NoSolutionError
from tests.eecompile.small_models import write_images, write_skip_net

FILES = (
    "summary.json", "model.exits.onnx", "model.quant.onnx", "model.lowered.onnx", "model.dynamic.onnx",
    "samples.npz", "exits.csv", "layers.csv", "quantization.csv", "schedule.trace.json", "kept.zip",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def brief() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "Recipe", lambda: Recipe(samples=128))
        yield


def run(at: Path, out: str, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": 2, "preprocess": "raw"}
    return api.run(
        at / "net.onnx", out=at / out, **{"cache": at / "cache", "max_drop": 5.0, **given, **options}
    )


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one_run")
    write_skip_net(folder / "net.onnx")
    write_images(folder / "images.npz")
    run(folder, "first")
    return folder


def unlike(one: Path, other: Path, but: tuple[str, ...] = ()) -> list[str]:
    """Return the files of two run directories that differ."""
    return [n for n in FILES if n not in but and (one / n).read_bytes() != (other / n).read_bytes()]


@pytest.mark.parametrize(
    "changed",
    [
        {"max_drop": 100.0},
        {"max_drop": 30.0, "optimistic": True},
        {"min_gain": 0.0, "max_drop": 60.0},
        {"max_final_ratio": 0.5, "max_drop": 100.0},
        {"max_cost_ratio": 0.9, "max_drop": 100.0},
        {"max_latency": 1.0},
    ],
)
def test_from_its_directory_alone_a_run_is_what_it_would_have_been(
    one_run: Path, tmp_path: Path, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(one_run / "first", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert api.retune("moved", **changed).passed
    run(one_run, "other", **changed)
    # the zip file tells where the run is
    assert unlike(tmp_path / "moved-retuned", one_run / "other", but=("kept.zip",)) == []


def test_tuned_twice_it_is_as_tuned_once(one_run: Path, tmp_path: Path) -> None:
    api.retune(one_run / "first", tmp_path / "one", max_drop=100.0)
    api.retune(one_run / "first", tmp_path / "two", max_drop=30.0)
    before = json.loads((tmp_path / "two" / "summary.json").read_text())["max_drop"]
    api.retune(tmp_path / "two", tmp_path / "two", max_drop=100.0)
    assert before == 30.0 and unlike(tmp_path / "one", tmp_path / "two", but=("kept.zip",)) == []
    command = json.loads((tmp_path / "two" / "run.json").read_text())["command"]
    assert "eecompile run" in command and "--max-drop 100.0" in command


@pytest.mark.parametrize(
    "options",
    [
        {"quantize": "qat", "qat_epochs": 1},
        {"prune": {"cycles": -0.05}, "prune_epochs": 1},
        {"head": ["linear", "conv"]},
    ],
)
def test_so_is_one_that_was_trained_or_pruned(one_run: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    run(one_run, "trained", **options)
    api.retune(one_run / "trained", tmp_path / "out", max_drop=100.0)
    run(one_run, "again", **options, max_drop=100.0)
    assert unlike(tmp_path / "out", one_run / "again", but=("kept.zip",)) == []


def test_files_are_proved_on_the_images_that_were_kept(
    one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(whole, "MOST_BYTES", 10 * 3 * 16 * 16 * 4)  # of 32 images of float32
        run(one_run, "few")
    found = api.retune(one_run / "few", tmp_path / "out", max_drop=100.0)
    assert found.info["agreement"]["images"] == 10 and found.passed
    assert "on 10 of 32 test images" in " ".join(found.summary.warnings)
    whole_run = run(one_run, "whole", max_drop=100.0).summary
    assert found.summary.expected == whole_run.expected and found.summary.drop == whole_run.drop
    shown = np.load(tmp_path / "out" / "samples.npz")["shown_index"]
    kept = whole.read_kept(tmp_path / "out").arrays["test_images_at"]
    assert len(kept) == 10 and set(shown.tolist()) <= set(kept.tolist())


def test_what_cannot_be_is_refused(one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of = shutil.copytree(one_run / "first", tmp_path / "run")
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "nothing is told that .* shall have otherwise"),
        ({"max_drop": -1.0}, "`max_drop` -1.0 is not a number of points"),
    ]
    for changed, said in refused:
        with pytest.raises(InputError, match=said):
            api.retune(run_of, **changed)
    with pytest.raises(NoSolutionError):
        api.retune(run_of, max_latency=1e-9)
    assert not (tmp_path / "run-retuned").exists()
    with pytest.raises(InputError, match="is no run directory"):
        api.retune(tmp_path, max_drop=2.0)
    data = (run_of / "kept.zip").read_bytes()
    (run_of / "kept.zip").write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"kept\.zip cannot be read"):
        api.retune(run_of, max_drop=2.0)
    (run_of / "kept.zip").unlink()
    with pytest.raises(InputError, match="keeps nothing to choose among"):
        api.retune(run_of, max_drop=2.0)
    with monkeypatch.context() as patched:
        patched.setattr(whole, "MOST_ANSWERS", 10)
        run(one_run, "large")
    with pytest.raises(InputError, match="keeps nothing to choose among"):
        api.retune(one_run / "large", max_drop=2.0)
    run(one_run, "named", exits=["relu_0"])
    with pytest.raises(InputError, match="were given: all stay"):
        api.retune(one_run / "named", min_gain=1.0)
