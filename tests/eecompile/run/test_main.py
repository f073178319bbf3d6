"""The main job on the embedded example: every file and every figure of the run directory, by other means."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from eecompile import api
from eecompile.cli import main as cli
from eecompile.data.sources import load_data
from eecompile.deployment.proof import Agreement
from eecompile.run import steps
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.runtime.preprocess import Preprocess
from eecompile.wording import headline
from passes.errors import InputError
from passes.exits.chain import set_thresholds
from passes.model.graph import load
from passes.model.writing import save
from passes.state import state_of
from tests.documents import valid
from tests.eecompile.run.brief_run import BRIEF, DIGITS, OPTIONS, ROOT, call
from tests.needs import WHY_TORCH, needs_torch

Array = NDArray[Any]

MODELS = ("exits", "quant", "lowered", "dynamic")
FILES = {
    "run.json", "run.log", "summary.json", "exits.csv", "layers.csv", "quantization.csv",
    "schedule.trace.json", "report.html", "samples.npz", "stages", "kept.zip",
    "overlay.json", "overlay", "model.annotated.onnx", "model.static.onnx",
    *(f"model.{name}.onnx" for name in MODELS),
}  # fmt: skip
COSTS = ("macs", "latency_cycles", "latency_s", "energy_pj", "edp_js", "edp_j_cycles")


@dataclass(frozen=True)
class Run:
    """A finished run, and the images it was reported on, as its files take them."""

    out: Path
    summary: dict[str, Any]
    answer: dict[str, Any]
    images: Array
    labels: Array

    def model(self, name: str) -> onnx.ModelProto:
        return onnx.load(self.out / f"model.{name}.onnx")

    def logits(self, name: str) -> Array:
        """Return the logits of every exit of a flat model on every test image, [exits, N, classes]."""
        session = ort.InferenceSession(self.out / f"model.{name}.onnx", providers=["CPUExecutionProvider"])
        names = [entry["output"] for entry in exits_of(self.model(name))]
        return np.stack(session.run(names, {session.get_inputs()[0].name: self.images}))

    @property
    def thresholds(self) -> list[np.float32]:
        return [np.float32(e["threshold"]) for e in self.summary["exits"][:-1]]


def exits_of(model: onnx.ModelProto) -> list[dict[str, Any]]:
    (text,) = [p.value for p in model.metadata_props if p.key == "eecompile.exits"]
    found: list[dict[str, Any]] = json.loads(text)
    return found


def softmax_top(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    top: Array = powers.max(axis=-1) / powers.sum(axis=-1)
    return top


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("torch", reason=WHY_TORCH)
    out = tmp_path_factory.mktemp("pipeline") / "new" / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "Recipe", BRIEF)
        answer = json.loads(call("run", DIGITS, *OPTIONS, "--out", out, "--json"))
    info = json.loads((out / "run.json").read_text())
    test = load_data("digits").test
    images = Preprocess.from_json(info["preprocess"]).apply(test.x)
    return Run(out, json.loads((out / "summary.json").read_text()), answer, images, test.y)


def test_every_file_is_there(run: Run) -> None:
    assert {p.name for p in run.out.iterdir()} == FILES
    assert sorted(p.name for p in (run.out / "stages").iterdir()) == [f"stage_{k}.onnx" for k in range(3)]
    json.loads((run.out / "schedule.trace.json").read_text())
    assert (run.out / "report.html").read_text().startswith("<!doctype html>")


def test_answer_is_the_summary(run: Run) -> None:
    assert run.answer == {**run.summary, "out": str(run.out), "passed": True}


def test_its_documents_fit_their_schemas(run: Run) -> None:
    valid("run", run.answer)
    valid("summary", run.summary)
    valid("run-info", json.loads((run.out / "run.json").read_text()))
    valid("trace", json.loads((run.out / "schedule.trace.json").read_text()))


def test_models_pass_the_full_checker(run: Run) -> None:
    for path in run.out.rglob("*.onnx"):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert {o.domain: o.version for o in model.opset_import} == {"": 21}, path.name
        assert model.ir_version == 10, path.name


def test_views_tell_the_costs_of_the_layers(run: Run) -> None:
    with (run.out / "layers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    (shown,) = json.loads((run.out / "overlay/lowered/energy.json").read_text()).values()
    in_nodes = {row["name"]: float(row["energy_pj"]) for row in rows if "." not in row["name"]}
    assert {found["value"] for found in shown["results"].values()} == set(in_nodes.values())
    model = run.model("annotated")
    told = [{p.key: p.value for p in node.metadata_props} for node in model.graph.node]
    mains = {found["eecompile.part_of"]: found for found in told if "eecompile.energy_pj" in found}
    assert {name: float(found["eecompile.energy_pj"]) for name, found in mains.items()} == pytest.approx(
        in_nodes
    )
    assert {name: found["eecompile.core"] for name, found in mains.items()} == {
        row["name"]: row["core"] for row in rows if row["name"] in in_nodes
    }
    one = replace(run, images=run.images[:1])
    assert np.array_equal(one.logits("annotated"), one.logits("lowered"))
    (given,) = json.loads((run.out / "overlay.json").read_text()).values()
    assert set(given["results"]) < {node.name for node in onnx.load(DIGITS).graph.node}


def test_exits_travel_in_the_models(run: Run) -> None:
    for name in ("exits", "quant", "lowered"):
        found = exits_of(run.model(name))
        assert [e["name"] for e in found] == ["exit_0", "exit_1", "final"]
        assert [e["output"] for e in found] == [o.name for o in run.model(name).graph.output]
        assert [e["threshold"] for e in found] == [e["threshold"] for e in run.summary["exits"]]
        assert {e["confidence"] for e in found} == {"max_softmax"}
    assert [e["mount"] for e in exits_of(run.model("exits"))] == [e["mount"] for e in run.summary["exits"]]


def test_summary_adds_up(run: Run) -> None:
    summary = run.summary
    exits, expected, static = summary["exits"], summary["expected"], summary["static"]
    ratios = np.array([e["ratio"] for e in exits])
    assert ratios.sum() == pytest.approx(1, abs=1e-12)
    assert (ratios > 0.02).all(), "else the tests below see only one way through the network"
    for key in COSTS:
        values = [e[key] for e in exits]
        assert expected[key] == pytest.approx(float(ratios @ np.array(values))), key
        assert values == sorted(set(values)), f"{key} must grow from exit to exit"
        assert static[key] < exits[-1][key], f"{key} of static must be without the heads"
    for entry in [*exits, static]:
        assert entry["edp_j_cycles"] == pytest.approx(entry["energy_pj"] * 1e-12 * entry["latency_cycles"])
        assert entry["edp_js"] == pytest.approx(entry["energy_pj"] * 1e-12 * entry["latency_s"])
    assert expected["edp_of_means_js"] == pytest.approx(expected["energy_pj"] * 1e-12 * expected["latency_s"])
    for key, of in (
        ("macs", "macs"), ("latency", "latency_cycles"), ("energy", "energy_pj"), ("edp", "edp_j_cycles")
    ):  # fmt: skip
        assert summary["saving"][key] == pytest.approx(1 - expected[of] / static[of]), key
    assert [e["threshold"] is None for e in exits] == [False, False, True]
    drop = summary["drop"]
    assert drop["points"] == pytest.approx(100 * (static["accuracy_quant"] - expected["accuracy"]))
    assert drop["ci95"][0] <= drop["points"] <= drop["ci95"][1]
    assert expected["accuracy_ci95"][0] <= expected["accuracy"] <= expected["accuracy_ci95"][1]
    assert summary["dataset"] == {"name": "digits", "train": 898, "val": 449, "test": 450}


def test_tables_say_what_the_summary_says(run: Run) -> None:
    rows = list(csv.DictReader((run.out / "exits.csv").read_text().splitlines()))
    assert [r["name"] for r in rows] == [e["name"] for e in run.summary["exits"]]
    assert [float(r["energy_pj"]) for r in rows] == [e["energy_pj"] for e in run.summary["exits"]]
    layers = list(csv.DictReader((run.out / "layers.csv").read_text().splitlines()))
    last = run.summary["exits"][-1]
    assert sum(int(r["macs"]) for r in layers) == last["macs"]
    assert sum(float(r["energy_pj"]) for r in layers) == pytest.approx(last["energy_pj"])
    assert all(json.loads(r["origin"]) for r in layers if r["exit"] == "")


def test_accuracies_are_those_of_the_files(run: Run) -> None:
    right = {name: run.logits(name).argmax(axis=2) == run.labels for name in ("exits", "quant", "lowered")}
    for number, entry in enumerate(run.summary["exits"]):
        assert entry["accuracy_float"] == right["exits"][number].mean()
        assert entry["accuracy_quant"] == right["quant"][number].mean()
        assert entry["accuracy_lowered"] == right["lowered"][number].mean()
    assert run.summary["static"]["accuracy_float"] == right["exits"][-1].mean()
    assert run.summary["static"]["accuracy_quant"] == right["quant"][-1].mean()


def test_early_exit_files_agree_with_the_flat_model_on_every_image(run: Run) -> None:
    """The rule of the design, written anew in numpy on model.quant.onnx, against both early-exit forms."""
    logits = run.logits("quant")
    confidence = softmax_top(logits)
    confident = confidence[:-1].astype(np.float32) >= np.array(run.thresholds)[:, None]
    where = np.where(confident.any(axis=0), confident.argmax(axis=0), len(confident))
    images = np.arange(len(run.labels))
    np.testing.assert_array_equal(np.bincount(where) / len(where), [e["ratio"] for e in run.summary["exits"]])
    taken = logits[where, images]

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    dynamic = ort.InferenceSession(run.out / "model.dynamic.onnx", options)
    stages = [
        ort.InferenceSession(run.out / "stages" / f"stage_{k}.onnx", options) for k in range(len(logits))
    ]
    for index in images:
        image = run.images[index : index + 1]
        scores, left_at, sure = dynamic.run(
            ["logits", "exit", "confidence"], {dynamic.get_inputs()[0].name: image}
        )
        np.testing.assert_array_equal(scores[0], taken[index])
        assert left_at[0] == where[index]
        assert sure[0] == pytest.approx(confidence[where[index], index], rel=1e-5)

        carried: Any = image
        for number, stage in enumerate(stages):
            scores, sure, *carried = stage.run(None, {stage.get_inputs()[0].name: _one(carried)})
            if number == len(stages) - 1 or sure[0] >= run.thresholds[number]:
                break
        np.testing.assert_array_equal(scores[0], taken[index])
        assert number == where[index]

    right = taken.argmax(axis=1) == run.labels
    assert run.summary["expected"]["accuracy"] == right.mean()
    for number, entry in enumerate(run.summary["exits"]):
        assert entry["accuracy"] == right[where == number].mean()


def _one(carried: Any) -> Array:
    """Return the one tensor a stage reads: the image, or what the stage before handed on."""
    if isinstance(carried, list):
        (carried,) = carried
    result: Array = carried
    return result


def test_early_exit_files_have_the_agreed_form(run: Run) -> None:
    session = ort.InferenceSession(run.out / "model.dynamic.onnx")
    (given,) = session.get_inputs()
    assert (given.type, given.shape) == ("tensor(float)", [1, 1, 8, 8])
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("logits", "tensor(float)", [1, 10]),
        ("exit", "tensor(int64)", [1]),
        ("confidence", "tensor(float)", [1]),
    ]
    assert any(node.op_type == "If" for node in run.model("dynamic").graph.node)
    first = ort.InferenceSession(run.out / "stages" / "stage_0.onnx").get_inputs()
    assert [(i.type, i.shape) for i in first] == [("tensor(float)", ["N", 1, 8, 8])]


def test_run_says_how_it_was_made(run: Run) -> None:
    info = json.loads((run.out / "run.json").read_text())
    assert info["options"]["model"] == str(DIGITS)
    assert info["command"].startswith(f"eecompile run {DIGITS} --target diana --data digits --out {run.out}")
    assert info["seeds"] == {"seed": 0}
    assert info["command"] in (run.out / "report.html").read_text()
    assert len(info["model_sha256"]) == 64
    assert {"eecompile", "onnxruntime", "torch"} <= info["versions"].keys()
    assert info["training"]["trained"] == ["exit_0", "exit_1"]
    agreement = info["agreement"]
    assert set(agreement.values()) == {len(run.labels)}, "both early-exit forms were proved on every image"
    assert info["measured"]["static_ms"] > 0


def test_another_process_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    """In a process with another hash seed, over an earlier run: replaced, beside what is the user's."""
    out = tmp_path / "out"
    (out / "stages").mkdir(parents=True)
    (out / "stages" / "stage_7.onnx").write_text("of an earlier run")
    (out / "summary.json").write_text("of an earlier run")
    (out / "notes.txt").write_text("the user's")
    code = (
        "from tests.eecompile.run.brief_run import BRIEF; import eecompile.run.steps as job\n"
        "job.Recipe = BRIEF; from eecompile.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(DIGITS), *OPTIONS, "-o", str(out)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "4711", "COLUMNS": "80"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {p.name for p in out.iterdir()} == {*FILES, "notes.txt"}
    assert (out / "notes.txt").read_text() == "the user's"
    measured = {"run.json", "run.log", "report.html", "kept.zip"}  # they hold wall times, or where they lie
    for path in (p for p in run.out.rglob("*") if p.is_file() and p.name not in measured):
        again = out / path.relative_to(run.out)
        assert again.read_bytes() == path.read_bytes(), path.name
    assert [p.name for p in (out / "stages").iterdir()] == [p.name for p in (run.out / "stages").iterdir()]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "exit_1" in done.stdout
    assert "write and prove" in done.stderr


def test_files_reopened_cost_the_same(run: Run) -> None:
    for name in ("exits", "lowered"):
        costs = json.loads(call("cost", run.out / f"model.{name}.onnx", "--objective", "latency", "--json"))
        assert [e["name"] for e in costs["exits"]] == [e["name"] for e in run.summary["exits"]]
        for key in COSTS:
            want = [e[key] for e in run.summary["exits"]]
            assert [e[key] for e in costs["exits"]] == pytest.approx(want), (name, key)


def test_files_reopened_show_their_exits(run: Run) -> None:
    found = json.loads(call("inspect", run.out / "model.exits.onnx", "--json"))
    want = [(e["name"], e["mount"], e["threshold"]) for e in run.summary["exits"]]
    assert [(e["name"], e["mount"], e["threshold"]) for e in found["exits"]] == want
    assert f"{run.thresholds[0]:.4f}" in call("inspect", run.out / "model.exits.onnx")


def test_exits_of_the_network_are_kept_with_their_heads(run: Run, tmp_path: Path) -> None:
    """A run on a network with exits trains nothing, and chooses thresholds anew."""
    given = run.out / "model.exits.onnx"
    result = api.run(given, data="digits", out=tmp_path, max_drop=0.0, objective="latency", optimistic=True)
    assert result.info["training"] == {"trainer": None, "trained": [], "epochs": []}
    for entry, before in zip(result.summary.exits, run.summary["exits"], strict=True):
        assert entry.accuracy_float == before["accuracy_float"]
        assert entry.threshold == before["threshold"]
        assert entry.head == ("" if entry.name == "final" else "linear"), "as the file records it"
    weights = {t.name: t.raw_data for t in run.model("exits").graph.initializer}
    again = {t.name: t.raw_data for t in onnx.load(tmp_path / "model.exits.onnx").graph.initializer}
    assert again == weights
    lenient = api.run(given, data="digits", out=tmp_path, max_drop=20.0, objective="latency", optimistic=True)
    assert lenient.summary.exits[0].threshold != run.summary["exits"][0]["threshold"]


def test_thresholds_of_the_network_may_be_kept(run: Run, tmp_path: Path) -> None:
    """Also those that would not be chosen: with the drop that is allowed without being told."""
    given = load(run.out / "model.exits.onnx")
    set_thresholds(given, [0.25] * (len(state_of(given).exits) - 1))
    model = save(given, tmp_path / "net.onnx", "N")
    result = api.run(model, data="digits", out=tmp_path / "kept", keep_thresholds=True)
    summary = result.summary
    assert {e.threshold for e in summary.exits[:-1]} == {0.25} and summary.kept_thresholds
    assert summary.never_taken == () and summary.proxies == ()
    assert "allowed accuracy drop" not in (tmp_path / "kept" / "report.html").read_text()
    where = [e.ratio for e in summary.exits]
    assert where == pytest.approx(leaving_by_hand(tmp_path / "kept" / "model.quant.onnx", run.images))
    assert result.passed


def leaving_by_hand(model: Path, images: Array) -> list[float]:
    """Return the share of images that leave at each exit where the largest probability is .25 or more."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: images})
    sure = np.stack([softmax_top(found) >= 0.25 for found in logits])
    sure[-1] = True
    counts = np.bincount(sure.argmax(axis=0), minlength=len(logits))
    return [float(count) / len(images) for count in counts]


@needs_torch
def test_thresholds_that_are_not_there_are_not_kept(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"brings, and .*digits_resnet.onnx has none"):
        api.run(DIGITS, data="digits", out=tmp_path / "out", keep_thresholds=True)
    given = load(run.out / "model.exits.onnx")
    exits = state_of(given).exits
    state_of(given).exits = [replace(exits[0], threshold=None), *exits[1:]]
    with pytest.raises(InputError, match=r"brings, and exit_0 of .*net.onnx has none"):
        api.run(save(given, tmp_path / "net.onnx"), data="digits", out=tmp_path / "out", keep_thresholds=True)
    assert not (tmp_path / "out").exists()


def test_files_that_disagree_fail_the_run_but_stay(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prove(*_: object) -> tuple[Agreement, dict[str, Any]]:
        return Agreement(450, 450, 449, 450, 450), {}

    monkeypatch.setattr(steps, "prove", prove)
    options = ["--data", "digits", "--out", tmp_path / "out", "--json"]
    result = CliRunner().invoke(cli.app, ["run", str(run.out / "model.exits.onnx"), *map(str, options)])
    assert result.exit_code == 1
    told = "early-exit files and flat model disagree"
    different = "dynamic exit the same on 449 of 450 test images"
    assert result.stderr.endswith(f"error: {told}\n  {different}\n")
    document = json.loads(result.stdout)
    assert document["passed"] is False
    assert f"{told}: {different}" in document["warnings"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES


def test_without_data_there_are_costs_and_no_models(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = json.loads(call("run", DIGITS, "--out", out, "--json"))
    assert not list(out.rglob("*.onnx"))
    assert {p.name for p in out.iterdir()} == {
        f
        for f in FILES
        if "model" not in f and f not in ("stages", "samples.npz", "kept.zip", "quantization.csv")
    }
    for key in ("dataset", "expected", "drop", "saving"):
        assert document[key] is None
    assert [e["mount_name"] for e in document["exits"]] == ["relu_2", "relu_4", "relu_6"]
    assert all(e["accuracy"] is e["ratio"] is e["threshold"] is None for e in document["exits"])
    assert document["static"]["macs"] == run.summary["static"]["macs"]
    assert "no accuracy is claimed" in call("run", DIGITS, "--out", out)


@pytest.mark.parametrize("name", ["stages/stage_0.onnx", "stages/stage_2.onnx"])
def test_stages_are_refused_as_input(run: Run, tmp_path: Path, name: str) -> None:
    for options in (["run", "--out", tmp_path / "out"], ["cost"]):
        result = CliRunner().invoke(cli.app, [*map(str, options), str(run.out / name)])
        assert result.exit_code == 2
        assert "give the flat network (model.exits.onnx)" in result.stderr
    assert "Not found out" in call("inspect", run.out / name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.lowered.onnx", "multiplies integers without naming their scales"),
        ("model.dynamic.onnx", "multiplies integers"),
    ],
)
def test_integers_without_grids_are_refused_with_data(
    run: Run, tmp_path: Path, name: str, reason: str
) -> None:
    options = ["--data", "digits", "--out", tmp_path / "out"]
    result = CliRunner().invoke(cli.app, ["run", str(run.out / name), *map(str, options)])
    assert result.exit_code == 2
    assert f"{name} is quantized already, " in result.stderr and reason in result.stderr
    assert not list(tmp_path.iterdir())


@needs_torch
def test_wrong_labels_and_few_images_are_said_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels drawn at random: near chance, so no image count makes the savings mean anything."""
    digits, rng = load_data("digits"), np.random.default_rng(0)
    splits = {"train": digits.train, "val": digits.val, "test": digits.test}
    arrays: dict[str, Any] = {f"{name}_x": split.x[:60] for name, split in splits.items()}
    arrays |= {f"{name}_y": rng.permutation(np.arange(60) % 10) for name in splits}
    np.savez(tmp_path / "random.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    result = api.run(run.out / "model.exits.onnx", data="random.npz", out="out")
    summary = result.summary
    assert "near chance" in summary.warnings[0]
    assert any(w.startswith("val has only 60 images: one image is 1.7 points") for w in summary.warnings)
    assert headline.headline(summary).startswith("Accuracy is near chance (")
    assert "than without" not in headline.headline(summary)


def test_a_session_answers_as_the_compiler_at_every_batch_size(run: Run) -> None:
    """Label, exit and confidence are those of the flat integer network and the thresholds, image by image."""
    logits = run.logits("lowered")
    sure = softmax_top(logits)[:-1]
    limits = np.array(run.thresholds)[:, None]
    left_at = np.vstack([sure >= limits, np.ones(len(run.labels), np.bool_)]).argmax(axis=0)
    chosen = logits[left_at, np.arange(len(left_at))]
    assert np.abs(sure - limits).min() > 1e-6, "no image lies at a threshold, where digits would count"
    assert set(left_at) == {0, 1, 2}
    stored = load_data("digits").test.x
    rng = np.random.default_rng(0)
    sessions = (EarlyExitSession(run.out), EarlyExitSession(run.out / "model.dynamic.onnx"))
    assert [session.batched for session in sessions] == [True, False]
    for size in range(1, 65):
        images = rng.integers(0, len(stored), size)
        for session in sessions:
            found = session.run(stored[images])
            np.testing.assert_array_equal(found.exit, left_at[images])
            np.testing.assert_array_equal(found.label, chosen[images].argmax(axis=1))
            np.testing.assert_array_equal(found.logits, chosen[images])
    whole = sessions[0].run(stored)
    np.testing.assert_array_equal(whole.exit, left_at)
    np.testing.assert_array_equal(whole.logits, chosen)
    ratios = [item["ratio"] for item in run.summary["exits"]]
    np.testing.assert_allclose(np.bincount(whole.exit) / len(stored), ratios)
