"""Runs that train more than heads: what they are held against, and what interrupted ones leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile import api
from eecompile.run import steps
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.integers import quantizing
from eecompile.run.options import RunOptions
from eecompile.run.prepare import prepare
from eecompile.training.recipe import JointRecipe, Recipe
from passes.errors import InputError, NoSolutionError
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.small_models import write_images, write_skip_net
from tests.passes.exits.test_added_head import signal
from tests.passes.token_nets import channels_last

BRIEF = {"batch": 16, "bfloat16": "no"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_skip_net(tmp_path / "net.onnx")
    write_images(tmp_path / "images.npz")
    monkeypatch.setattr(steps, "Recipe", lambda: Recipe(samples=128))
    monkeypatch.setattr(steps, "JointRecipe", lambda: JointRecipe(**BRIEF))  # type: ignore[arg-type]
    monkeypatch.setattr(steps, "FRESH", JointRecipe(teacher_share=0, **BRIEF))  # type: ignore[arg-type]
    return tmp_path


def run(at: Path, out: str, **options: Any) -> Any:
    given = {"data": str(at / "images.npz"), "exits": 1, "preprocess": "raw", "max_drop": 100.0}
    return api.run(at / "net.onnx", out=at / out, **{**given, **options})


def test_static_is_the_network_as_it_was_given(files: Path) -> None:
    frozen = run(files, "frozen").summary
    result = run(files, "joint", train="joint", epochs=2, head="linear", recycle=False)
    joint, told = result.summary, json.loads((files / "joint" / "run.json").read_text())["training"]
    assert joint.static == frozen.static
    assert (joint.trainer, frozen.trainer, frozen.static_trained) == ("joint", "frozen", None)
    assert joint.static_trained is not None
    assert joint.static_trained.accuracy_float == joint.exits[-1].accuracy_float
    assert joint.static_trained.macs == joint.static.macs
    assert joint.drop is not None and joint.expected is not None
    expected = 100 * (joint.static.accuracy_quant - joint.expected.accuracy)
    assert joint.drop.points == pytest.approx(expected)
    assert (
        told["trainer"] == "joint" and len(told["epochs"]) == 2 and told["accuracy_on"] == "val (32 images)"
    )
    assert set(told["epochs"][0]["accuracy"]) == {"exit_0", "final"}
    trained, given = (onnx.load(files / name / "model.exits.onnx") for name in ("joint", "frozen"))
    weights = [
        {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer} for model in (trained, given)
    ]
    assert not np.array_equal(weights[0]["w1"], weights[1]["w1"])


@pytest.mark.parametrize(
    ("options", "recycles"),
    [
        ({"train": "joint"}, True),
        ({"train": "joint", "recycle": False}, False),
        ({}, False),
        ({"recycle": True}, True),
        ({"train": "joint", "confidence": "gate"}, False),
    ],
)
def test_exits_build_on_answers_where_all_is_trained_or_as_told(
    files: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], recycles: bool
) -> None:
    """The weight that val would give is made one, so that it is there whatever was learnt."""
    monkeypatch.setattr(steps, "carried_on", lambda *_: {(0, 1): 1.0})
    found = run(files, "out", head="linear", epochs=1, **options)
    assert found.info["recycled"] == [1.0 if recycles else 0.0]
    own = [t.name for t in onnx.load(files / "out" / "model.lowered.onnx").graph.output]
    model = onnx.load(files / "out" / "model.quant.onnx")
    ops = [node.op_type for node in model.graph.node if node.name.startswith("final/")]
    assert ops == (["Mul", "Add"] if recycles else []) and len(own) == 2
    static, final = found.summary.static_trained or found.summary.static, found.summary.exits[-1]
    if not recycles:
        assert static.accuracy_quant == final.accuracy_quant
    assert found.passed, "files answer as the flat network does"


def test_a_rule_that_is_fitted_and_taking_over_answers_exclude_each_other(files: Path) -> None:
    with pytest.raises(InputError, match="`recycle` changes logits, and 'gate', by which exit_0 decides"):
        run(files, "out", confidence="gate", recycle=True)
    assert not (files / "out").exists()


@pytest.mark.slow
def test_from_scratch_static_is_trained_alone_and_weights_may_be_absent(files: Path) -> None:
    model = onnx.load(files / "net.onnx")
    other = onnx.load(files / "net.onnx")
    for tensor in other.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values * 3 + 1, tensor.name))
    first = run(files, "first", train="scratch", epochs=2, preprocess=None)
    onnx.save(other, files / "net.onnx")
    second = run(files, "second", train="scratch", epochs=2, preprocess=None)
    assert first.summary.static == second.summary.static, "nothing of the weights that were given is used"
    assert first.summary.exits == second.summary.exits
    told = first.info["training"]
    assert told["trainer"] == "scratch" and len(told["static"]["epochs"]) == len(told["epochs"]) == 2
    assert set(told["static"]["epochs"][0]["accuracy"]) == {"final"}
    assert first.info["preprocess"]["rule"].startswith("mean=") or first.info["preprocess"]["rule"] == "raw"
    onnx.save(model, files / "net.onnx")


@pytest.mark.parametrize(
    ("network", "mount", "tried"),
    [
        (signal, "relu_0", ["conv", "conv{size=16,modules=2}", "conv{size=32,modules=3}"]),
        (channels_last, "add_1", ["linear", "conv"]),
    ],
)
def test_heads_beside_auto_go_by_how_the_mount_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: Callable[[], onnx.ModelProto],
    mount: str,
    tried: list[str],
) -> None:
    """A signal [N, C, L] has a spatial axis, tokens [N, H, W, C] have none."""
    onnx.save(network(), tmp_path / "net.onnx")
    prepared = prepare(tmp_path / "net.onnx", load_target("gap9"), EDP, mount, "auto")
    options = RunOptions(tmp_path / "net.onnx", train="joint")
    evidence = Evidence(options, prepared, Clock(lambda _: None), tmp_path)
    evidence.dataset = SimpleNamespace(train=None, val=None)  # type: ignore[assignment]
    evidence.tried = SimpleNamespace(preprocess=None)  # type: ignore[assignment]

    def stop(graph: gs.Graph, *_: object, **__: object) -> None:
        raise StoppedError(*(e.head_name for e in state_of(graph).exits[:-1]))

    monkeypatch.setattr("eecompile.training.joint.train_jointly", stop)
    with pytest.raises(StoppedError) as stopped:
        steps.train(evidence)
    assert list(stopped.value.args) == tried


class StoppedError(Exception):
    """The run ends here."""


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["scratch", "frozen"])
def test_a_run_that_was_interrupted_ends_with_the_same_files(
    files: Path, trainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"train": trainer, "epochs": 2, "head": "linear"}
    run(files, "whole", **options, cache=files / "another")
    told: list[str] = []

    def broken(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patched, pytest.raises(StoppedError):
        patched.setattr(quantizing, "calibrate", broken)
        run(files, "out", **options, cache=files / "kept", progress=told.append)
    assert f"what was done so far is kept in {files / 'kept'}" in told[-1]
    assert not (files / "out").exists()
    run(files, "out", **options, cache=files / "kept")
    assert json.loads((files / "out" / "run.json").read_text())["from_cache"] == ["train"]
    for name in ("model.exits.onnx", "model.lowered.onnx", "summary.json"):
        assert (files / "out" / name).read_bytes() == (files / "whole" / name).read_bytes(), name


def test_a_limit_that_training_broke_is_no_solution_and_what_was_trained_is_kept(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On val and test static is always right; what is trained learns to answer the class behind."""
    data = dict(np.load(files / "images.npz"))
    session = ort.InferenceSession(str(files / "net.onnx"))
    for part, further in (("train", 1), ("val", 0), ("test", 0)):
        answers = [session.run(None, {"image": x[None]})[0].argmax() for x in data[f"{part}_x"]]
        data[f"{part}_y"] = (np.array(answers) + further) % 4
    np.savez(files / "images.npz", **data)
    wild = JointRecipe(rate=0.1, teacher_share=0.0, final_teacher_share=0.0, **BRIEF)  # type: ignore[arg-type]
    monkeypatch.setattr(steps, "JointRecipe", lambda: wild)
    options = {"train": "joint", "epochs": 3, "max_drop": 0.0, "optimistic": True}
    with pytest.raises(NoSolutionError, match="points less accurate on val than static"):
        run(files, "out", **options)
    found = run(files, "out", **{**options, "max_drop": 100.0})
    assert found.passed and found.info["from_cache"] == ["train", "quantize", "evaluate"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": "jiont"}, "`train` cannot be 'jiont'"),
        ({"train": "joint", "epochs": 0}, "`epochs` is at least 1, not 0"),
        (
            {"data": None, "preprocess": None, "max_drop": None, "train": "joint"},
            "`train` says what is trained",
        ),
        ({"data": None, "preprocess": None, "max_drop": None, "epochs": 3}, "`epochs` says how often"),
        ({"data": None, "preprocess": None, "max_drop": None, "cache": "kept"}, "`cache` is where"),
    ],
)
def test_what_cannot_be_is_refused(files: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(files, "out", **options)


def test_heads_that_a_network_brings_are_not_trained_for_so_many_epochs(files: Path) -> None:
    api.opt(files / "net.onnx", "canonicalize,insert-exits{at=1,head=linear}", files / "exits.onnx")
    with pytest.raises(InputError, match="nothing is trained"):
        api.run(files / "exits.onnx", data=str(files / "images.npz"), out=files / "out", epochs=3)
