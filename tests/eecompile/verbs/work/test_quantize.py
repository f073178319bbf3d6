"""``quantize``: the files it writes, the figures it tells of them, and the layers it leaves in float."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.runtime.sessions import session
from eecompile.training.recipe import QUANTIZED
from eecompile.verbs.work import quantize as verb
from eecompile.verbs.work.quantize import QuantizeResult
from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.model.graph import load
from passes.model.writing import save
from passes.registry import parse_pipeline
from passes.state import state_of
from tests.eecompile.quantization.test_equalization import separable
from tests.eecompile.small_models import write_skip_net

ALL = ("conv_0", "conv_1", "add_0", "conv_2", "globalaveragepool_0", "gemm_0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, and images labelled by its own answers: integers alone lose any."""
    folder = tmp_path_factory.mktemp("quantize")
    rng = np.random.default_rng(1)
    model = onnx.load(write_skip_net(folder / "net.onnx"))
    some = rng.normal(0, 1, (50, 3, 16, 16)).astype(np.float32)
    runner = session(model)
    mean = np.mean([np.log(runner.run(None, {"image": i[None]})[0][0]) for i in some], axis=0)
    model.graph.initializer.append(
        numpy_helper.from_array(-mean, "offset")
    )  # all classes are near each other
    next(node for node in model.graph.node if node.op_type == "Gemm").input.append("offset")
    onnx.save(model, folder / "net.onnx")
    runner = session(model)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 64), ("val", 300), ("test", 100)):
        x = rng.normal(0, 1, (count, 3, 16, 16)).astype(np.float32)
        arrays[f"{split}_x"] = x
        arrays[f"{split}_y"] = np.array([runner.run(None, {"image": i[None]})[0].argmax() for i in x])
    arrays["test_y"][:30] = (arrays["test_y"][:30] + 1) % 4
    np.savez(folder / "images.npz", **arrays)
    return folder


def quantize(files: Path, out: str, **options: Any) -> QuantizeResult:
    model, images = files / "net.onnx", str(files / "images.npz")
    return api.quantize(model, images, out=files / out, preprocess="raw", **options)


@pytest.fixture(scope="module")
def plain(files: Path) -> QuantizeResult:
    return quantize(files, "plain")


def right(model: Path, files: Path, split: str) -> np.ndarray:
    runner, images = session(model), np.load(files / "images.npz")
    name = runner.get_inputs()[0].name
    (logits,) = runner.run(None, {name: images[f"{split}_x"]})
    return np.asarray(logits.argmax(axis=1) == images[f"{split}_y"])


def test_accuracies_are_those_of_the_files(plain: QuantizeResult, files: Path) -> None:
    assert sorted(path.name for path in plain.out.iterdir()) == [
        "model.lowered.onnx", "model.quant.onnx", "quantize.json", "run.log",
    ]  # fmt: skip
    (final,) = plain.exits
    assert (final.name, final.val.accuracy_float, final.test.accuracy_float) == ("final", 1.0, 0.7)
    for split, seen in (("val", final.val), ("test", final.test)):
        found = right(plain.out / "model.lowered.onnx", files, split)
        assert (seen.images, seen.accuracy_quant) == (len(found), found.mean())
        assert seen.drop == pytest.approx(100 * (seen.accuracy_float - seen.accuracy_quant))
        assert seen.quant_ci95[0] < seen.accuracy_quant < seen.quant_ci95[1]
        assert seen.drop_ci95[0] <= seen.drop <= seen.drop_ci95[1]
    assert right(plain.out / "model.quant.onnx", files, "test").mean() == final.test.accuracy_quant
    assert json.loads((plain.out / "quantize.json").read_text()) == json.loads(json.dumps(plain.to_json()))


def test_every_layer_is_in_the_table_and_the_worst_are_suggested(plain: QuantizeResult) -> None:
    assert tuple(entry.layer for entry in plain.sensitivity) == ALL
    noise = {entry.layer: entry.only.noise for entry in plain.sensitivity}
    assert plain.suggested == tuple(sorted(noise, key=lambda name: -noise[name])[: len(plain.suggested)])
    assert 0.5 <= plain.share <= 1
    assert sum(noise[name] for name in plain.suggested[:-1]) < sum(noise.values()) / 2


def test_layers_that_are_named_stay_in_float(files: Path, plain: QuantizeResult) -> None:
    found = quantize(files, "kept", keep_float=["conv_1", "gemm_0"], calibration="minmax")
    assert found.kept_float == ("conv_1", "gemm_0")
    assert {entry.layer for entry in found.sensitivity} == {
        "conv_0",
        "add_0",
        "conv_2",
        "globalaveragepool_0",
    }
    before, after = (onnx.load(out / "model.lowered.onnx") for out in (plain.out, found.out))
    assert [[n.op_type for n in m.graph.node].count("QLinearConv") for m in (before, after)] == [3, 2]
    assert [[n.op_type for n in m.graph.node].count("Gemm") for m in (before, after)] == [0, 1]
    given = {t.name: numpy_helper.to_array(t) for t in onnx.load(files / "net.onnx").graph.initializer}
    weights = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    assert np.array_equal(weights["w1"], given["w1"]) and "w0" not in weights
    assert "conv_1, gemm_0 stay in float, and no core of diana computes in float" in found.notes[-1]
    assert json.loads((found.out / "quantize.json").read_text())["calibration"]["calibration"] == "minmax"


def test_auto_keeps_as_few_as_hold_the_drop(files: Path, plain: QuantizeResult) -> None:
    lost = plain.exits[0].val.drop
    assert lost > 0.5, "else this tests nothing"
    found = quantize(files, "auto", keep_float="auto", max_drop=lost / 2)
    order = [entry.layer for entry in sorted(found.sensitivity, key=lambda e: -e.only.noise)]
    assert found.kept_float == tuple(order[: len(found.kept_float)]) != ()
    assert found.exits[0].val.drop <= lost / 2
    tried = {len(kept): drop for kept, drop in found.tried}
    assert tried[0] == pytest.approx(lost)
    assert tried[len(found.kept_float) - 1] > lost / 2, "one fewer was tried and was not enough"
    assert quantize(files, "auto", keep_float="auto", max_drop=100.0).kept_float == ()


def test_a_network_with_exits_has_accuracies_of_each(files: Path) -> None:
    graph = load(files / "net.onnx")
    parse_pipeline("canonicalize,insert-exits{at=1}")(graph)
    recognise_exits(graph)
    save(graph, files / "exits.onnx")
    found = api.quantize(
        files / "exits.onnx", str(files / "images.npz"), "gap9", out=files / "e", preprocess="raw"
    )
    assert [item.name for item in found.exits] == ["exit_0", "final"]
    assert {entry.layer for entry in found.sensitivity} > {"conv_0"}
    assert any(entry.layer.startswith("exit_0/") for entry in found.sensitivity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_float": "conv_7"}, "`keep_float` names 'conv_7', and no layer is called so\ndid you mean"),
        ({"keep_float": []}, "`keep_float` names no layers"),
        ({"keep_float": "conv_0", "max_drop": 1.0}, "`max_drop` says how many layers"),
        ({"keep_float": "auto", "max_drop": -1.0}, "`max_drop` -1.0 is not a number of points"),
        ({"calibration": "best"}, "`calibration` cannot be 'best'"),
        ({"quantize": "best"}, "`quantize` cannot be 'best'"),
        ({"qat_epochs": 2}, "`qat_epochs` says how long is trained for integers, and without `quantize` qat"),
        ({"quantize": "qat", "qat_epochs": 0}, "`qat_epochs` is at least 1, not 0"),
        (
            {"keep_float": ALL},
            "`keep_float` names all layers: nothing is left",
        ),
    ],
)
def test_what_cannot_be_is_refused(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as told:
        quantize(files, "refused", **options)
    assert str(told.value).startswith(message)
    assert not (files / "refused").exists()


def test_integers_without_grids_and_no_images_are_refused(files: Path, plain: QuantizeResult) -> None:
    with pytest.raises(InputError, match=r"is quantized already, .* without naming their scales"):
        api.quantize(plain.out / "model.lowered.onnx", str(files / "images.npz"), out=files / "refused")
    with pytest.raises(InputError, match="`data` is missing"):
        api.quantize(files / "net.onnx")


def test_what_is_printed_can_be_pasted(files: Path) -> None:
    arguments = [
        "quantize",
        files / "net.onnx",
        "-d",
        files / "images.npz",
        "--preprocess",
        "raw",
        "-o",
        files / "p",
    ]
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.stderr
    (line,) = (row for row in result.stdout.splitlines() if row.startswith("--keep-float "))
    again = CliRunner().invoke(cli.app, [*map(str, arguments), *line.split()])
    assert again.exit_code == 0
    assert f"in float: {line.split()[1].replace(',', ', ')}" in " ".join(again.stdout.split())
    assert "100.0 [" in again.stdout


def test_equalized_channels_are_told_and_recorded(files: Path, plain: QuantizeResult, tmp_path: Path) -> None:
    assert plain.equalization is None
    assert json.loads((plain.out / "quantize.json").read_text())["calibration"]["equalization"] is None
    save(separable(100.0, shape=(1, 3, 16, 16)), tmp_path / "net.onnx", "N")
    found = api.quantize(
        tmp_path / "net.onnx", str(files / "images.npz"), out=tmp_path / "out", preprocess="raw"
    )
    assert any("channels around depthwise layers are equalized" in note for note in found.notes)
    told = json.loads((found.out / "quantize.json").read_text())["calibration"]["equalization"]
    assert told["taken"] and told["sqnr_db"]["after"] > told["sqnr_db"]["before"]


def test_bits_and_placement_reach_the_layers(files: Path) -> None:
    narrow = quantize(files, "narrow", target="gap9", bits={"conv_0": 3})
    assert narrow.schemes == ("int3-channel", "int8-channel")
    known = state_of(load(narrow.out / "model.quant.onnx")).precisions
    assert sorted({p.weights.bits for p in known.values() if p.weights is not None}) == [3, 8]
    analog = quantize(files, "analog", target="diana", placement="analog")
    assert "ternary-analog" in analog.schemes
    with pytest.raises(InputError, match="`placement` mixed chooses"):
        quantize(files, "mixed", target="diana", placement="mixed")


def test_the_front_is_measured_written_and_told(files: Path) -> None:
    found = quantize(files, "front", target="gap9", frontier=True, bits={"conv_0": 8})
    assert found.front and (found.out / "front.svg").read_text().startswith("<svg")
    rows = list(csv.DictReader((found.out / "front.csv").read_text().splitlines()))
    assert [row["latency_cycles"] for row in rows] == [str(row["latency_cycles"]) for row in found.front]
    best = [row for row in found.front if row["front"]]
    assert all(row["accuracy_test"] is not None for row in best)
    assert not any("conv_0=" in row["changed"] for row in found.front), "what is told by name is not searched"
    plain = quantize(files, "no_front", target="gap9")
    assert plain.front == () and not (plain.out / "front.csv").exists()


def test_it_is_trained_for_its_integers_and_both_forms_are_told(
    files: Path, plain: QuantizeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from eecompile.training.graph_training import GraphTraining

    falling = itertools.count(0, -1)  # calibration leaves nothing to win here: what was trained is kept still
    monkeypatch.setattr(GraphTraining, "loss", lambda _: float(next(falling)))
    monkeypatch.setattr(verb, "QUANTIZED", replace(QUANTIZED, batch=16, rate=0.05, average=0.0))
    found = quantize(files, "qat", quantize="qat", qat_epochs=1)
    assert (found.training["kept"], len(found.training["epochs"])) == ("trained", 1)
    assert found.calibrated == plain.exits, "what it was before"
    assert right(found.out / "model.lowered.onnx", files, "val").mean() == found.exits[0].val.accuracy_quant
    files_of = (onnx.load(result.out / "model.quant.onnx") for result in (plain, found))
    before, after = ({t.name: numpy_helper.to_array(t) for t in m.graph.initializer} for m in files_of)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert {"w0_quantized", "w1_quantized"} <= {*moved}
    told = json.loads((found.out / "quantize.json").read_text())
    assert (told["quantize"], told["qat_epochs"], told["training"]["trainer"]) == ("qat", 1, "qat")
    assert told["exits_calibrated"][0]["val"]["accuracy_quant"] == plain.exits[0].val.accuracy_quant


def test_without_torch_training_for_integers_ends_before_anything_is_written(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="training needs PyTorch, which is not installed"):
        quantize(files, "no_torch", quantize="qat")
    assert not (files / "no_torch").exists()
