"""What a target declares about numbers is what stands in the files."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from eecompile import api
from eecompile.quantization import assignment
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import calibrate
from eecompile.run import steps
from eecompile.training.recipe import Recipe
from passes.errors import InputError, NoSolutionError
from passes.exits.recognise import recognise_exits
from passes.integers.schemes import scheme
from passes.model.graph import load
from passes.model.writing import save
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import BUILTIN, load_target
from targets.diana.target import DianaTarget
from targets.evaluation.report import evaluate
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import write_images, write_skip_net
from tests.needs import needs_torch

Array = NDArray[Any]


def power_of_two(scale: Array) -> bool:
    return bool((np.frexp(scale)[0] == 0.5).all())


def scales_of(model: onnx.ModelProto) -> tuple[list[Array], list[Array]]:
    """Return the scales of activations, one per QuantizeLinear, and those of weights."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    activations = [values[n.input[1]] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    weights = [
        values[n.input[1]]
        for n in model.graph.node
        if n.op_type == "DequantizeLinear" and n.input[0] in values and values[n.input[0]].dtype == np.uint8
    ]
    return activations, weights


@needs_torch
@pytest.mark.parametrize("target", sorted(BUILTIN))
def test_a_run_writes_the_scales_its_target_declares(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "Recipe", functools.partial(Recipe, samples=256))
    model = write_skip_net(tmp_path / "model.onnx")
    images = write_images(tmp_path / "images.npz")
    api.run(model, target, str(images), tmp_path / "run", preprocess="raw")
    activations, weights = scales_of(onnx.load(tmp_path / "run" / "model.quant.onnx"))
    declared = {scheme(name) for names in load_target(target).schemes.values() for name in names}
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    used = [scheme(name) for name in info["calibration"]["schemes"]]
    assert used and set(used) <= declared
    assert len(activations) >= 5 and len(weights) >= 4
    assert all(scale.size == 1 for scale in activations)
    if any(found.activations.power_of_two for found in used):
        assert all(map(power_of_two, activations))
    else:
        assert not any(map(power_of_two, activations)), "a step of least error is hardly ever a power of two"
    per_channel = {found.weights.per_channel for found in used}
    assert {scale.size > 1 for scale in weights} == per_channel
    assert all(map(power_of_two, weights)) is all(found.weights.power_of_two for found in used)


@pytest.mark.parametrize("target", sorted(BUILTIN))
def test_opt_calibrates_by_the_scheme_of_its_target(target: str, tmp_path: Path) -> None:
    model = write_skip_net(tmp_path / "model.onnx")
    images = write_images(tmp_path / "images.npz")
    out = tmp_path / "quantized.onnx"
    pipeline = "canonicalize,fold-batchnorm,quantize"
    result = api.opt(model, pipeline, out, str(images), preprocess="raw", target=target)
    activations, weights = scales_of(onnx.load(out))
    (note,) = [note for note in result.notes if note.startswith("calibrated")]
    used = [scheme(name) for name in note.rpartition(": ")[2].split(", ")]
    assert all(map(power_of_two, activations)) is all(s.activations.power_of_two for s in used)
    assert {scale.size > 1 for scale in weights} == {s.weights.per_channel for s in used}
    recorded = state_of(load(out)).precisions
    assert {p.weights for p in recorded.values() if p.weights is not None} == {s.weights for s in used}


class _Undeclared(DianaTarget):
    """A target that says nothing of one of its cores."""

    schemes: ClassVar[dict[str, tuple[str, ...]]] = {"digital": ("int8-pow2",)}


def test_a_core_without_a_scheme_is_named(tmp_path: Path) -> None:
    graph = load(write_skip_net(tmp_path / "model.onnx"))
    with pytest.raises(InputError, match="core 'analog' computes"):
        assign_precisions(graph, _Undeclared())


@pytest.mark.parametrize("pipeline", ["quantize,fuse-layers", "quantize,fold-qdq,fuse-layers"])
def test_weights_are_costed_at_the_bits_of_their_precision_however_wide_they_are_stored(
    pipeline: str, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32)
    target = load_target("gap9")
    cycles = {}
    for name, bits in (("int8-channel", 8), ("int4-channel", 4), ("int2-channel", 2)):
        graph = load(write_skip_net(tmp_path / "model.onnx"))
        parse_pipeline("canonicalize")(graph)
        recognise_exits(graph)
        assign(graph, name)
        calibrate(graph, images)
        parse_pipeline(pipeline)(graph)
        again = load(save(graph, tmp_path / f"{name}.onnx"))
        stored = [t for t in again.tensors().values() if isinstance(t, gs.Constant) and len(t.shape) == 4]
        assert len(stored) == 3 and all(t.dtype == np.uint8 for t in stored)
        report = evaluate(again, target)
        assert {x.bits[0] for x in report.layers if x.layer.macs} == {bits}
        assert {x.bits[1] for x in report.layers if x.layer.macs} == {8}
        cycles[bits] = report.total.latency_cycles
    assert cycles[2] < cycles[4] < cycles[8], "NE16 takes the bits of weights one after the other"


def test_exits_that_do_not_fit_together_are_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same precisions come of networks with one exit each, if the one with all is refused."""
    graph = load(Path(__file__).parents[3] / "examples" / "digits_resnet.onnx")
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=3,head=conv}")(graph)
    target = load_target("diana")
    names = assign_precisions(graph, target)
    expected = dict(state_of(graph).precisions)

    def small(network: gs.Graph, *given: Any, **options: Any) -> Any:
        if len(state_of(network).exits) > 2:
            raise NoSolutionError("too large", "fewer exits")
        return evaluate(network, *given, **options)

    monkeypatch.setattr(assignment, "evaluate", small)
    assert assign_precisions(graph, target) == names
    assert state_of(graph).precisions == expected
    assert any(name.startswith("exit_2/") for name in expected)
