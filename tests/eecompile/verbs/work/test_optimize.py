"""Passes on a network: what each did, what is written, what is refused, and in which order things happen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from eecompile.verbs.work.optimize import OptResult, StepResult, optimize
from eecompile.verbs.work.same_answers import Check
from passes.errors import InputError, PassError
from passes.model.graph import load
from passes.model.writing import save
from passes.state import Decline, state_of
from tests.eecompile.quantization.test_equalization import images as some_images
from tests.eecompile.quantization.test_equalization import separable
from tests.eecompile.small_models import SKIP_NET, skip_net, write_skip_net
from tests.passes.model.test_writing import shape_only
from tests.passes.net_builder import NetBuilder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_skip_net(tmp_path_factory.mktemp("model") / "net.onnx")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical network of one convolution, fit for the images."""
    net = NetBuilder((1, 2, 4, 4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.op("Relu", net.conv("x", 2, 3))))
    path = tmp_path_factory.mktemp("tiny") / "net.onnx"
    onnx.save(net.model(net.op("Gemm", pooled, net.normal(4, 3), net.normal(4), transB=1)), path)
    opt(path, "canonicalize", out=path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for name, count in (("train", 12), ("val", 8), ("test", 8)):
        arrays[f"{name}_x"] = rng.normal(size=(count, 2, 4, 4)).astype(np.float32)
        arrays[f"{name}_y"] = np.arange(count) % 4
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, **arrays)
    return str(path)


def opt(model: Path, pipeline: str, **options: Any) -> OptResult:
    """Run a pipeline with all options at their defaults but those given."""
    defaults: dict[str, Any] = {
        "out": None, "data": None, "preprocess": "raw", "target": None, "verify_each": False,
        "save_stages": None, "seed": 0, "progress": lambda _: None,
    }  # fmt: skip
    return optimize(model, pipeline, **{**defaults, **options})


def test_each_pass_says_what_it_did_in_order(model: Path) -> None:
    said: list[str] = []
    found = opt(
        model, "canonicalize,fuse-layers,canonicalize,insert-exits{at=1,head=linear}", progress=said.append
    )
    assert said == [step.text for step in found.steps]
    assert said == ["canonicalize", "fuse-layers", "canonicalize", "insert-exits{at=1,head=linear}"]
    # The Softmax is set apart; layers are notes on nodes; there is nothing left to do; a head is added.
    counts = [(step.nodes_before, step.nodes_after) for step in found.steps]
    assert counts[:3] == [(11, 10), (10, 10), (10, 10)]
    assert counts[3][0] == 10 < counts[3][1]
    assert [step.changed for step in found.steps] == [True, True, False, True]
    assert all(step.check is None for step in found.steps), "nothing was verified"
    assert (found.model, found.out, found.stages, found.notes) == (str(model), None, (), ())


def test_what_is_left_alone_is_told_with_the_reason(tmp_path: Path) -> None:
    text = SKIP_NET.replace("g = Relu(f)", "x = MaxPool<kernel_shape=[2,2]>(f) g = Relu(x)")
    found = opt(write_skip_net(tmp_path / "net.onnx", text), "canonicalize,fuse-layers")
    told = "MaxPool does no arithmetic an activation could join"
    assert found.declined == (Decline("fuse-layers", "relu_2", told),)


def test_files_are_the_network_after_each_pass_and_after_all(model: Path, tmp_path: Path) -> None:
    out, stages = tmp_path / "new" / "out.onnx", tmp_path / "stages"
    found = opt(model, "canonicalize,insert-exits{at=1},canonicalize", out=out, save_stages=stages)
    assert found.out == out
    names = ["00-canonicalize.onnx", "01-insert-exits.onnx", "02-canonicalize.onnx"]
    assert found.stages == tuple(stages / name for name in names)
    assert sorted(stages.iterdir()) == sorted(found.stages)
    nodes = [len(onnx.load(path).graph.node) for path in found.stages]
    assert nodes == [step.nodes_after for step in found.steps]
    assert onnx.load(out) == onnx.load(found.stages[-1])
    assert [e.name for e in state_of(load(out)).exits] == ["exit_0", "final"]


def test_without_places_nothing_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opt(model, "canonicalize", verify_each=True)
    assert not list(tmp_path.iterdir())


def test_a_pass_that_fails_leaves_no_folder_behind(model: Path, tmp_path: Path) -> None:
    with pytest.raises(PassError, match="no calibrated ranges"):
        opt(model, "quantize", out=tmp_path / "a" / "out.onnx", save_stages=tmp_path / "b" / "c")
    assert not list(tmp_path.iterdir())


def test_verification_tells_each_pass_its_verdict(model: Path) -> None:
    found = opt(model, "canonicalize,fuse-layers", verify_each=True)
    checks = [step.check for step in found.steps]
    assert all(check is not None and check.outputs == ("logits",) for check in checks)
    assert all(check is not None and check.verdict in ("equal", "close") for check in checks)
    assert found.passed and found.failure == ""


def test_images_calibrate_by_the_schemes_of_the_target_just_before_the_first_quantize(
    tiny: Path, images: str
) -> None:
    said: list[str] = []
    found = opt(tiny, "canonicalize,quantize,quantize", data=images, progress=said.append)
    rule, doubt, calibrated = found.notes
    assert rule == "preprocessing raw"
    assert "near chance" in doubt, "what the images themselves give reason to say"
    assert calibrated == "calibrated on 12 training images, schemes of diana: int8-pow2"
    assert said == [f"reading {images}", "canonicalize", "quantize", "quantize"]
    assert [step.changed for step in found.steps] == [False, True, False]
    other = opt(tiny, "quantize", data=images, target="gap9")
    assert other.notes[-1] == "calibrated on 12 training images, schemes of gap9: int8-channel"


def test_equalized_channels_are_told(tmp_path: Path) -> None:
    save(separable(100.0), tmp_path / "net.onnx", "N")
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        arrays |= {f"{split}_x": some_images(12, 1), f"{split}_y": np.arange(12) % 4}
    np.savez(tmp_path / "images.npz", **arrays)
    found = opt(tmp_path / "net.onnx", "quantize", data=str(tmp_path / "images.npz"))
    assert "channels around depthwise layers are equalized" in found.notes[-2]


def test_what_quantize_is_compared_with_are_the_weights_before_they_are_rounded(
    tiny: Path, images: str
) -> None:
    """Whether it is the first pass or not: canonicalize finds nothing to do."""
    (first,) = opt(tiny, "quantize", data=images, verify_each=True).steps
    canonical, second = opt(tiny, "canonicalize,quantize", data=images, verify_each=True).steps
    assert first.check is not None and first.check.verdict == "quantized"
    assert canonical.check is not None and canonical.check.verdict == "equal"
    assert second.check == first.check


def test_passes_are_verified_on_the_images_or_on_what_the_seed_draws(tmp_path: Path, images: str) -> None:
    """Folding a batch normalization rounds; by how much depends on what is seen."""
    net = NetBuilder((1, 2, 4, 4))
    x = net.op("Relu", net.batchnorm(net.conv("x", 2, 3), 3))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    onnx.save(net.model(net.op("Gemm", pooled, net.normal(4, 3), transB=1)), tmp_path / "net.onnx")

    def differences(data: str | None) -> list[float | None]:
        found = []
        for seed in (*range(8), 7):
            (step,) = opt(
                tmp_path / "net.onnx", "fold-batchnorm", verify_each=True, seed=seed, data=data
            ).steps
            found.append(step.check.max_difference if step.check else None)
        return found

    drawn, seen = differences(None), differences(images)
    assert drawn[-1] == drawn[-2] and len(set(drawn)) > 1
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    ("pipeline", "options", "told"),
    [
        ("canonicalize", {"target": "diana"}, "`target` says by which schemes `quantize` is calibrated"),
        (
            "canonicalize",
            {"target": "diana", "verify_each": True, "data": "IMAGES"},
            "`target` says by which schemes `quantize` is calibrated",
        ),
        (
            "canonicalize",
            {"data": "IMAGES"},
            "`data` calibrates `quantize` and is what `verify_each` runs on",
        ),
        ("canonicalize,quantize", {"target": "dianna"}, "unknown target 'dianna'"),
        ("canonicalise", {}, "unknown pass 'canonicalise'"),
    ],
)
def test_options_that_would_change_nothing_are_refused(
    model: Path, images: str, pipeline: str, options: dict[str, Any], told: str
) -> None:
    given = {key: images if value == "IMAGES" else value for key, value in options.items()}
    with pytest.raises(InputError, match=told):
        opt(model, pipeline, **given)


def test_a_network_without_weights_takes_no_images_and_is_written_under_its_own_ending(
    tmp_path: Path, images: str
) -> None:
    onnx.save(shape_only(skip_net()), tmp_path / "net.shape.onnx")
    found = opt(tmp_path / "net.shape.onnx", "canonicalize", out=tmp_path / "out.onnx")
    assert found.out == tmp_path / "out.shape.onnx" and found.out.exists()
    with pytest.raises(InputError, match="`data` needs a network with weights"):
        opt(tmp_path / "net.shape.onnx", "canonicalize,quantize", data=images)


def step(text: str, verdict: str | None) -> StepResult:
    check = None if verdict is None else Check(verdict, ("y",), 0.5, 12.0, "for a reason")
    return StepResult(text, True, 3, 2, 0.1, check)


RESULT = OptResult(
    "net.onnx", (), (Decline("fuse-layers", "a", "why"),), Path("out.onnx"), (Path("s/0"),), ("n",)
)


@pytest.mark.parametrize(
    ("verdicts", "failed"),
    [
        ([None, None], []),
        (["equal", "close", "quantized", "not comparable"], []),
        (["differs", "equal", "differs"], ["pass_0", "pass_2"]),
    ],
)
def test_only_passes_that_change_what_is_computed_fail(verdicts: list[str | None], failed: list[str]) -> None:
    found = replace(RESULT, steps=tuple(step(f"pass_{k}", v) for k, v in enumerate(verdicts)))
    assert found.passed is (not failed)
    assert found.failure.splitlines() == [f"{name}: largest difference 0.5; for a reason" for name in failed]


def test_the_document_holds_everything() -> None:
    found = replace(RESULT, steps=(step("a", "differs"), step("b", None)))
    document = json.loads(json.dumps(found.to_json()))
    both = {"changed": True, "nodes_before": 3, "nodes_after": 2, "seconds": 0.1}
    check = {
        "verdict": "differs",
        "outputs": ["y"],
        "max_difference": 0.5,
        "sqnr_db": 12,
        "detail": "for a reason",
    }
    assert document == {
        "schema_version": 1,
        "model": "net.onnx",
        "passed": False,
        "passes": [{"text": "a", **both, "check": check}, {"text": "b", **both, "check": None}],
        "declined": [{"pass_name": "fuse-layers", "subject": "a", "reason": "why"}],
        "out": "out.onnx",
        "stages": ["s/0"],
        "notes": ["n"],
    }
    assert replace(found, out=None).to_json()["out"] is None
