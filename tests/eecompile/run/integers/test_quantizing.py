"""Integers by calibration and by training: what is trained, what it is held against, what is told of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.quantization.mapping import scheme_front
from eecompile.quantization.mapping.scheme_front import SchemeFront, SchemeSearch
from eecompile.run import steps
from eecompile.run.accelerator import open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.integers import quantizing
from eecompile.run.options import RunOptions
from eecompile.run.prepare import prepare
from eecompile.training.contract import TrainingLog
from eecompile.training.graph_training import GraphTraining
from eecompile.training.integers import quantized as quantized_training
from eecompile.training.recipe import QUANTIZED, JointRecipe, Recipe
from passes.errors import InputError
from passes.integers.channel_parts import channel_parts
from passes.model.writing import save
from passes.state import state_of
from tests.eecompile.quantization.test_equalization import separable
from tests.eecompile.small_models import SKIP_NET, WEIGHTS, write_images, write_skip_net


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=128))
    monkeypatch.setattr(steps, "JointRecipe", lambda: JointRecipe(batch=16, epochs=1, bfloat16="no"))
    monkeypatch.setattr(quantizing, "QUANTIZED", replace(QUANTIZED, batch=16, rate=0.05, average=0.0))
    falling = itertools.count(0, -1)  # calibration leaves nothing to win here: what was trained is kept still
    monkeypatch.setattr(GraphTraining, "loss", lambda _: float(next(falling)))
    return tmp_path


def run(at: Path, out: str, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": 1, "head": "linear", "preprocess": "raw",
             "max_drop": 100.0}  # fmt: skip
    return api.run(at / "net.onnx", out=at / out, **{**given, **options})


def quantized(at: Path, **options: Any) -> Evidence:
    """Return what a run has found out once its network is quantized."""
    given = RunOptions(at / "net.onnx", data=str(at / "images.npz"), exits=1, head="linear",
                       preprocess="raw", **options)  # fmt: skip
    target, _ = open_target(given.target, "", None)
    prepared = prepare(given.model, target, given.objective, given.exits, given.head)
    evidence = Evidence(given, prepared, Clock(lambda _: None), at)
    for step in (steps.open_images, steps.train, quantizing.quantize):
        step(evidence)
    return evidence


def integers(graph: gs.Graph) -> dict[str, Any]:
    """Return the weights of a graph in Q/DQ form, and all its steps, by name."""
    return {
        name: np.array(t.values)
        for name, t in graph.tensors().items()
        if isinstance(t, gs.Constant) and ((t.dtype == np.uint8 and t.values.ndim > 1) or "_scale" in name)
    }


def same(one: dict[str, Any], other: dict[str, Any], names: Iterable[str]) -> list[str]:
    return [name for name in names if np.array_equal(one[name], other[name])]


def test_grids_follow_from_images_by_the_calibrator_that_was_named(files: Path) -> None:
    found = run(files, "minmax", calibration="minmax").summary.quantization
    plain = run(files, "plain").summary.quantization
    assert (found.calibration, plain.calibration) == ("minmax", "least-squares")
    told = json.loads((files / "minmax" / "run.json").read_text())
    assert told["calibration"]["calibration"] == "minmax" and "--calibration minmax" in told["command"]
    largest = np.abs(np.load(files / "images.npz")["train_x"]).max()
    steps_of = [
        onnx.numpy_helper.to_array(t)
        for t in onnx.load(files / "minmax" / "model.quant.onnx").graph.initializer
        if t.name == "image_scale"
    ]
    assert steps_of == [2.0 ** np.ceil(np.log2(largest / 127))], "what is covered by a power of two"


def test_channels_around_depthwise_layers_are_equalized_and_that_is_told(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training starts from the float weights that have the same scales."""
    save(separable(100.0, shape=(1, 3, 16, 16)), files / "net.onnx", "N")
    started: list[tuple[gs.Graph, gs.Graph]] = []

    def spy(calibrated: gs.Graph, given: gs.Graph, *others: Any, **named: Any) -> TrainingLog:  # noqa: ARG001
        started.append((calibrated, given))
        return TrainingLog("qat", [], QUANTIZED, 0, "")

    monkeypatch.setattr(quantized_training, "train_quantized", spy)
    found = quantized(files, quantize="qat", qat_epochs=1)
    told = found.calibration["equalization"]
    assert told["taken"] and len(told["scaled"]) == 2
    assert told["divergence"]["after"] < told["divergence"]["before"]
    assert len(started) == 2, "static, and the heads"
    for calibrated, given in started:
        deep, real = (
            next(node.inputs[1] for node in graph.nodes if node.attrs.get("group", 1) > 1)
            for graph in (calibrated, given)
        )
        own = next(n.inputs[1] for n in found.prepared.graph.nodes if n.attrs.get("group", 1) > 1)
        assert np.abs(real.values - own.values).max() > 0.1 * np.abs(own.values).max()
        assert deep.values.shape == real.values.shape


def test_frozen_heads_stand_on_the_backbone_of_the_static_network(files: Path) -> None:
    plain, found = quantized(files), quantized(files, quantize="qat", qat_epochs=2)
    static, heads = (found.calibration[key] for key in ("static", "training"))
    assert static["training"]["trainer"] == heads["trainer"] == "qat"
    assert len(static["training"]["epochs"]) == len(heads["epochs"]) == 2
    assert static["training"]["kept"] == heads["kept"] == "trained"
    assert set(static["training"]["epochs"][0]["accuracy"]) == {"final"}
    assert {epoch["accuracy"]["final"] for epoch in heads["epochs"]} == {
        static["training"]["epochs"][-1]["accuracy"]["final"]
    }
    mine, theirs = integers(found.quantized), integers(plain.quantized)
    assert mine.keys() == theirs.keys() and found.baseline is None
    weights = [name for name in mine if "_scale" not in name]
    assert weights and not same(mine, theirs, weights), "backbone and heads"
    assert all(
        np.array_equal(found.prepared.graph.tensors()[name].values, tensor.values)
        for name, tensor in plain.prepared.graph.tensors().items()
        if isinstance(tensor, gs.Constant)
    ), "the network in float is what it was"


def test_where_all_is_trained_both_networks_are_trained_for_integers_on_their_own(files: Path) -> None:
    found = quantized(files, train="joint", quantize="qat", qat_epochs=1)
    told = found.calibration
    assert set(told["training"]["epochs"][0]["accuracy"]) == {"exit_0", "final"}
    assert set(told["static"]["training"]["epochs"][0]["accuracy"]) == {"final"}
    alone = integers(quantized(files, quantize="qat", qat_epochs=1).quantized)
    assert found.baseline is not None
    static = integers(found.baseline.quantized)
    assert same(static, alone, static) == list(static), (
        "it has nothing of exits, and none was trained with it"
    )
    joint = integers(found.quantized)
    assert not same(joint, static, (name for name in static if "_scale" not in name))


class StoppedError(Exception):
    """The run ends here."""


@pytest.mark.slow
def test_a_run_that_was_interrupted_while_it_trains_for_integers_ends_with_the_same_files(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"quantize": "qat", "qat_epochs": 2}
    run(files, "whole", **options, cache=files / "another")

    def broken(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patched, pytest.raises(StoppedError):
        patched.setattr(quantizing, "_take_over", broken)
        run(files, "out", **options, cache=files / "kept")
    (state,) = (files / "kept").glob("training/*/quantized-static/epoch.pt")
    run(files, "out", **options, cache=files / "kept")
    assert not state.exists()
    for name in ("model.exits.onnx", "model.lowered.onnx", "summary.json"):
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quantize": "int8"}, "`quantize` cannot be 'int8'"),
        ({"quantize": "qat", "qat_epochs": 0}, "`qat_epochs` is at least 1, not 0"),
        ({"quantize": "ptq", "qat_epochs": 2}, "without `quantize` qat nothing is"),
    ],
)
def test_what_cannot_be_is_refused(files: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(files, "out", **options)


def test_a_network_with_exits_of_its_own_is_trained_for_integers(files: Path) -> None:
    api.opt(files / "net.onnx", "canonicalize,insert-exits{at=1,head=linear}", files / "exits.onnx")
    found = api.run(
        files / "exits.onnx", data=str(files / "images.npz"), out=files / "out", preprocess="raw",
        max_drop=100.0, quantize="qat", qat_epochs=1,
    )  # fmt: skip
    assert found.summary.trainer is None and found.info["calibration"]["training"]["trained"] == ["exit_0"]
    command = json.loads((files / "out" / "run.json").read_text())["command"]
    assert found.summary.quantize == "qat" and "--quantize qat" in command and "--qat-epochs 1" in command


def test_placement_and_bits_are_in_all_files_of_a_run(files: Path) -> None:
    result = run(files, "out", target="gap9", bits={"head": 4, "backbone": 8, "conv_0": 2})
    told = json.loads((files / "out" / "run.json").read_text())
    assert told["calibration"]["bits"] == result.summary.bits == {"head": 4, "backbone": 8, "conv_0": 2}
    assert set(told["calibration"]["schemes"]) == {"int2-channel", "int4-channel", "int8-channel"}
    assert "--bits head=4,backbone=8,conv_0=2" in told["command"]
    found = {layer.name: layer.bits[0] for layer in result.costs.layers if layer.layer.macs}
    heads = {name for name in found if name.startswith("exit_0/")}
    assert found.pop("conv_0") == 2 and heads
    assert {4 if name in heads else 8 for name in found} == set(found.values())
    assert {found[name] for name in heads} == {4}


def test_mixed_takes_the_cheapest_mapping_within_the_drop(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheme_front, "POINTS", 2)
    monkeypatch.setattr(scheme_front, "FEW_IMAGES", 16)
    usual = run(files, "auto").costs.total.latency_cycles
    result = run(files, "out", target="diana", placement="mixed")
    told = json.loads((files / "out" / "run.json").read_text())
    points = told["calibration"]["mapping"]["points"]
    (taken,) = [point for point in points if point["taken"]]
    assert taken["value"] == min(point["value"] for point in points), "a drop of 100 points is allowed"
    cores = {report.name: report.core for report in result.costs.layers if report.name in taken["schemes"]}
    assert "analog" in cores.values() and result.costs.total.latency_cycles < usual
    for name, core in cores.items():
        assert (core == "analog") is (taken["schemes"][name] == "ternary-analog")
    assert result.summary.placement == told["calibration"]["placement"] == "mixed"
    with pytest.raises(InputError, match="max78000 has one scheme for each layer"):
        run(files, "other", target="max78000", placement="mixed")


def test_a_layer_that_two_cores_share_is_in_parts_in_all_networks(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SKIP_NET.replace("float[8,8,3,3] w2, float[4,8] v", "float[32,8,3,3] w2, float[4,32] v")
    write_skip_net(files / "net.onnx", text, {**WEIGHTS, "w2": (32, 8, 3, 3), "v": (4, 32)})
    seen: dict[str, Any] = {}

    class Taken(SchemeSearch):
        def run(self, points: int | None = None) -> SchemeFront:  # noqa: ARG002, as its base has it
            seen.update(schedule=self.schedule, ladder=self._ladders["conv_2"])
            half = self._measured({**self._usual, "conv_2": seen["ladder"][1]}, "half")
            return SchemeFront(half, (half,), (half,), {}, (1.0,), len(self.val.y))

    monkeypatch.setattr(quantizing, "SchemeSearch", Taken)
    made = quantized(files, target="diana", placement="mixed", schedule="rows", train="joint")
    assert seen == {
        "schedule": "rows",
        "ladder": ("int8-pow2", "int8-pow2:16+ternary-analog:16", "ternary-analog"),
    }
    assert made.baseline is not None
    for graph in (made.quantized, made.lowered, made.baseline.quantized, made.baseline.lowered):
        (found,) = channel_parts(graph)
        arrays = [state_of(graph).precisions[part.name].array for part in found.parts]
        assert [array is None for array in arrays] == [True, False]
    assert made.calibration["mapping"]["points"][0]["schemes"]["conv_2"] == seen["ladder"][1]


def test_a_wish_that_cannot_be_met_ends_before_any_training(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "Recipe", None)
    with pytest.raises(InputError, match="ne16 has 2, 3, 4, 5, 6, 7, 8 bits"):
        run(files, "out", target="gap9", bits={"head": 12})


@pytest.mark.parametrize("trainer", ["frozen", "joint"])
def test_without_integers_accuracy_is_that_of_float_and_costs_are_those_of_integers(
    files: Path, trainer: str
) -> None:
    found = run(files, "float", quantize="none", train=trainer, epochs=1)
    summary = found.summary
    assert summary.quantize == "none" and summary.quantization is None
    assert [e.accuracy_quant for e in summary.exits] == [e.accuracy_float for e in summary.exits]
    assert summary.static.accuracy_quant == summary.static.accuracy_float
    expected = api.cost(files / "net.onnx").total.latency_cycles
    assert summary.static.latency_cycles == pytest.approx(expected, rel=0.01), "in integers, as `cost` has it"
    assert "nothing is quantized" in summary.warnings[0] and "No core of diana" in summary.warnings[0]
    rounding = {"QuantizeLinear", "QLinearConv"}
    ops = {node.op_type for node in onnx.load(files / "float" / "model.lowered.onnx").graph.node}
    assert found.passed and not ops & rounding


@pytest.mark.parametrize(
    "option", [{"placement": "analog"}, {"bits": {"head": 4}}, {"calibration": "minmax"}, {"qat_epochs": 2}]
)
def test_what_says_which_integers_is_refused_without_any(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(option))}`"):
        RunOptions(Path("net.onnx"), quantize="none", **option)
