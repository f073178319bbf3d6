"""A run on a network that came quantized: its integers are in its files, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from passes.errors import InputError
from tests.passes.quantized_nets import CLASSES, QuantizedNet, images, with_logits


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=64))
    onnx.save(QuantizedNet().model(), tmp_path / "net.onnx")
    x, y = images(96), np.arange(96) % CLASSES
    parts = {"train": slice(0, 32), "val": slice(32, 64), "test": slice(64, 96)}
    arrays: dict[str, Any] = {}
    for name, part in parts.items():
        arrays |= {f"{name}_x": x[part], f"{name}_y": y[part]}
    np.savez(tmp_path / "images.npz", **arrays)
    return tmp_path


def run(at: Path, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": "relu_0", "head": "linear", "preprocess": "raw",
             "max_drop": 100.0, "target": "diana"}  # fmt: skip
    return api.run(at / "net.onnx", out=at / "run", **{**given, **options})


def test_the_final_exit_answers_to_the_bit_as_the_file_of_the_user(files: Path) -> None:
    found = run(files)
    assert found.passed
    told = json.loads((files / "run" / "run.json").read_text())
    assert told["calibration"]["kept"] is True
    assert all("exit_0" in name for name in told["calibration"]["rounding"])
    assert any("integers are kept" in warning for warning in found.summary.warnings)
    theirs = onnxruntime.InferenceSession(with_logits(onnx.load(files / "net.onnx")).SerializeToString())
    for name in ("quant", "lowered"):
        ours = onnxruntime.InferenceSession(str(files / "run" / f"model.{name}.onnx"))
        outputs = [output.name for output in ours.get_outputs()]
        assert len(outputs) == 2
        for image in images(96):
            *_, final = ours.run(outputs, {"image": image[None]})
            assert np.array_equal(final, theirs.run(None, {"image": image[None]})[0])
    again = api.run(
        files / "run" / "model.quant.onnx", data=str(files / "images.npz"), preprocess="raw",
        out=files / "again", max_drop=100.0,
    )  # fmt: skip
    assert again.summary.static.accuracy_quant == found.summary.static.accuracy_quant
    assert [e.accuracy_quant for e in again.summary.exits] == [e.accuracy_quant for e in found.summary.exits]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "joint"}, "`train` joint trains weights"),
        ({"quantize": "qat"}, "`quantize` qat changes its integers"),
        ({"placement": "analog"}, "`placement` says in which numbers"),
        ({"prune": {"cycles": -0.1}}, "`prune` takes weights away"),
        ({"bits": {"backbone": 4}, "target": "gap9"}, "`bits` of 'backbone' are those of the file"),
        ({"bits": {"conv_0": 4}, "target": "gap9"}, "`bits` of 'conv_0' are those of the file"),
    ],
)
def test_what_would_change_integers_is_refused(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(files, **options)
    assert "requantize" in caught.value.hint and not (files / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_float": "conv_0"}, "`keep_float`"), ({"frontier": True}, "`frontier`"),
        ({"bits": {"conv_0": 4}}, "`bits`"), ({"placement": "digital"}, "`placement`"),
        ({"calibration": "minmax"}, "`calibration`"), ({"quantize": "qat"}, "`quantize`"),
    ],
)  # fmt: skip
def test_so_is_it_by_the_verb_that_only_measures_and_lowers(
    files: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"with {message} they would not be"):
        api.quantize(files / "net.onnx", data=str(files / "images.npz"), preprocess="raw", **options)


def test_the_verb_measures_and_lowers(files: Path) -> None:
    given: dict[str, Any] = {"data": str(files / "images.npz"), "preprocess": "raw"}
    kept = api.quantize(files / "net.onnx", out=files / "kept", **given)
    anew = api.quantize(files / "net.onnx", out=files / "anew", requantize=True, **given)
    assert not kept.rounding and anew.rounding
    assert any("integers are kept" in note for note in kept.notes)
    theirs = onnxruntime.InferenceSession(with_logits(onnx.load(files / "net.onnx")).SerializeToString())
    x = images(40)
    found = {
        name: onnxruntime.InferenceSession(str(files / name / "model.lowered.onnx")).run(None, {"image": x})[
            0
        ]
        for name in ("kept", "anew")
    }
    expected = np.concatenate([theirs.run(None, {"image": image[None]})[0] for image in x])
    assert np.array_equal(found["kept"], expected) and not np.array_equal(found["anew"], expected)
