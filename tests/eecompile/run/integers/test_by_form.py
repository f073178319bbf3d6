"""What a run tells of float, calibrated and trained exits is what onnxruntime finds in its files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.data.sources import load_data
from eecompile.exits.answers import answers
from eecompile.run import steps
from eecompile.run.integers import quantizing
from eecompile.run_files.summary import load_summary
from eecompile.runtime.preprocess import Preprocess
from eecompile.training.recipe import QUANTIZED, Recipe
from passes.model.graph import load
from passes.state import state_of
from tests.eecompile.small_models import write_images, write_skip_net


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("forms")
    model, images = write_skip_net(at / "net.onnx"), write_images(at / "images.npz")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "Recipe", lambda: Recipe(samples=128))
        patched.setattr(quantizing, "QUANTIZED", replace(QUANTIZED, batch=16, rate=0.05, average=0.0))
        api.run(
            model, data=str(images), out=at / "run", exits=1, head="linear", preprocess="raw",
            max_drop=100.0, optimistic=True, quantize="qat", qat_epochs=1,
        )  # fmt: skip
    return at / "run"


def preprocess_of(out: Path) -> Preprocess:
    return Preprocess.from_json(json.loads((out / "run.json").read_text())["preprocess"])


def test_every_form_is_told_for_every_exit_and_split(out: Path) -> None:
    found = load_summary(out).quantization
    assert found is not None and (found.method, found.epochs) == ("qat", 1)
    assert found.schemes == ("int8-pow2",) and found.calibration_images > 0
    keys = [(row.split, row.exit, row.form) for row in found.exits]
    assert keys == [
        (split, name, form)
        for split in ("val", "test")
        for name in ("exit_0", "final")
        for form in ("float", "ptq", "qat")
    ]
    written = list(csv.DictReader((out / "quantization.csv").read_text().splitlines()))
    assert [(row["split"], row["exit"], row["form"]) for row in written] == keys
    assert "Quantized by qat over 1 epoch" in (out / "report.html").read_text()


@pytest.mark.parametrize(("form", "file"), [("float", "exits"), ("qat", "quant")])
def test_what_is_told_of_a_form_is_what_its_file_answers(out: Path, form: str, file: str) -> None:
    summary, graph = load_summary(out), load(out / f"model.{file}.onnx")
    data = load_data(str(out.parent / "images.npz"))
    thresholds = [np.float32(e.threshold) for e in summary.exits[:-1] if e.threshold is not None]
    plain = load(out / "model.exits.onnx")
    assert summary.quantization is not None
    for split in ("val", "test"):
        seen, float_seen = (answers(g, data.split(split), preprocess_of(out)) for g in (graph, plain))
        where, _ = seen.leaving(thresholds)
        for number, item in enumerate(state_of(graph).exits):
            (told,) = [
                row
                for row in summary.quantization.exits
                if (row.split, row.exit, row.form) == (split, item.name, form)
            ]
            assert told.accuracy == pytest.approx(seen.correct[number].mean())
            assert told.ratio == pytest.approx((where == number).mean())
            changed = seen.logits[number].argmax(1) != float_seen.logits[number].argmax(1)
            assert told.answers_changed == pytest.approx(changed.mean())
            if number == 0:
                shift = np.abs(seen.confidence[0] - float_seen.confidence[0]).mean()
                assert told.confidence == pytest.approx(seen.confidence[0].mean(), abs=1e-5)
                assert told.confidence_shift == pytest.approx(shift, abs=1e-5)


def test_thresholds_are_chosen_on_what_is_delivered(out: Path) -> None:
    """Between two confidences of the quantized network on val, and told for the form of the files."""
    summary, graph = load_summary(out), load(out / "model.quant.onnx")
    seen = answers(graph, load_data(str(out.parent / "images.npz")).val, preprocess_of(out))
    delivered: Any = [row for row in summary.quantization.exits if row.form == "qat" and row.split == "test"]  # type: ignore[union-attr]
    assert [row.ratio for row in delivered] == [e.ratio for e in summary.exits]
    assert [row.accuracy for row in delivered] == [e.accuracy_lowered for e in summary.exits]
    threshold, confidences = summary.exits[0].threshold, np.sort(seen.confidence[0])
    midpoints = (confidences[:-1] + confidences[1:]) / 2
    ends = (0.0, float(confidences[0]))
    assert threshold is not None
    assert min(abs(np.append(midpoints, ends) - threshold)) < 1e-6
