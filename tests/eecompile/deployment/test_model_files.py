from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import parser

from eecompile.data.dataset import Split
from eecompile.data.preprocess import preprocesses
from eecompile.deployment.model_files import Delivery, Forms, _in_batches, prove, write_models
from eecompile.exits.answers import Answers, answers
from eecompile.exits.thresholds import leaves_at
from eecompile.quantization.calibration import calibrate
from eecompile.runtime.compiled_files import from_metadata
from eecompile.runtime.early_exit import DynamicModel, StagedModel
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import Array, session
from passes.exits.chain import keep_exits, set_thresholds
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import Exit, copy_graph, state_of
from tests.eecompile.schemes import assign
from tests.eecompile.small_models import skip_net

IMAGES = 24
CLASSES = ("one", "two", "three", "four")
RULE = preprocesses("raw", np.zeros((1, 3, 16, 16), np.float32), (1, 3, 16, 16))[0]


@dataclass(frozen=True)
class Made:
    """Files of a network with two early exits, and what its flat form answers."""

    folder: Path
    forms: Forms
    delivery: Delivery
    flat: Answers
    thresholds: tuple[np.float32, ...]
    test: Split


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    rng = np.random.default_rng(3)
    test = Split(rng.normal(size=(IMAGES, 3, 16, 16)).astype(np.float32), np.arange(IMAGES) % 4)
    exits = from_model(skip_net())
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=2,head=linear}")(exits)
    quant = copy_graph(exits)
    assign(quant)
    calibrate(quant, test.x)
    parse_pipeline("quantize")(quant)
    lowered = copy_graph(quant)
    parse_pipeline("fold-qdq")(lowered)
    flat = answers(quant, test, RULE)
    # each exit takes some of the images
    thresholds = tuple(np.float32(np.quantile(c, 0.6)) for c in flat.confidence)
    for graph in (exits, quant, lowered):
        set_thresholds(graph, [float(t) for t in thresholds])
    parse_pipeline("fuse-layers")(lowered)
    forms = Forms(exits, quant, lowered, static=keep_exits(lowered, []), given=keep_exits(exits, []))
    folder = tmp_path_factory.mktemp("delivery")
    seen = np.bincount(leaves_at(flat.confidence, thresholds), minlength=3).tolist()
    return Made(
        folder, forms, write_models(folder, forms, thresholds, RULE, seen, CLASSES), flat, thresholds, test
    )


def test_all_files_are_there_and_valid(made: Made) -> None:
    found = sorted(str(path.relative_to(made.folder)) for path in made.folder.rglob("*.onnx"))
    assert found == [
        "model.dynamic.onnx",
        "model.exits.onnx",
        "model.lowered.onnx",
        "model.quant.onnx",
        "model.static.onnx",
        "stages/stage_0.onnx",
        "stages/stage_1.onnx",
        "stages/stage_2.onnx",
    ]
    for name in found:
        onnx.checker.check_model(str(made.folder / name), full_check=True)
        told = {entry.key: entry.value for entry in onnx.load(made.folder / name).metadata_props}
        assert Preprocess.from_json(json.loads(told["eecompile.preprocess"])) == RULE
        assert json.loads(told["eecompile.classes"]) == list(CLASSES)
    assert made.delivery.exits == 3


@pytest.mark.parametrize("name", ["exits", "quant", "lowered", "static"])
def test_flat_files_take_any_batch_and_answer_as_their_graph(made: Made, name: str) -> None:
    runner = session(made.folder / f"model.{name}.onnx")
    (entry,) = runner.get_inputs()
    assert entry.shape == ["N", 3, 16, 16]
    found = runner.run(None, {entry.name: made.test.x})
    expected = answers(getattr(made.forms, name), made.test, RULE).logits
    for value, logits in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, logits, rtol=1e-5, atol=1e-5)


def test_early_exit_forms_leave_where_the_thresholds_say(made: Made) -> None:
    where = leaves_at(made.flat.confidence, made.thresholds)
    assert set(where) == {0, 1, 2}, "the test needs images at each exit"
    for index in range(IMAGES):
        for model in (made.delivery.dynamic, made.delivery.staged):
            decision = model(made.test.x[index : index + 1])
            assert decision.exit == where[index]
            logits = made.flat.logits[where[index]][index]
            np.testing.assert_allclose(decision.logits[0], logits, rtol=1e-5, atol=1e-5)
            early = made.flat.confidence[where[index], index] if where[index] < 2 else None
            assert early is None or decision.confidence == pytest.approx(float(early), rel=1e-5)


def test_a_stage_is_only_left_at_or_above_its_threshold(made: Made) -> None:
    paths = [made.folder / "stages" / f"stage_{number}.onnx" for number in range(3)]
    image: Array = made.test.x[:1]
    exact = StagedModel(paths, [0.0, 0.0, None])(image).confidence
    above = float(np.nextafter(np.float32(exact), np.float32(2)))
    assert StagedModel(paths, [exact, 2.0, None])(image).exit == 0, "at the threshold it leaves"
    assert StagedModel(paths, [above, 0.0, None])(image).exit == 1
    assert StagedModel(paths, [2.0, 2.0, None])(image).exit == 2


def test_the_proof_counts_all_images_and_takes_the_times(made: Made) -> None:
    agreement, timing = prove(made.delivery, made.forms, made.flat, made.thresholds, made.test, RULE)
    assert agreement.complete
    assert agreement.images == IMAGES
    assert timing["images"] == IMAGES
    assert timing["static_ms"] > 0 and timing["dynamic_ms"] > 0 and timing["given_ms"] > 0
    assert len(timing["per_exit_ms"]) == 3 and all(ms > 0 for ms in timing["per_exit_ms"])


def test_the_proof_finds_files_that_answer_otherwise(made: Made) -> None:
    """Thresholds other than those in the files; then labels of another exit."""
    never = (np.float32(2), np.float32(2))
    agreement, _ = prove(made.delivery, made.forms, made.flat, never, made.test, RULE)
    last = int((leaves_at(made.flat.confidence, made.thresholds) == 2).sum())
    assert not agreement.complete
    assert agreement.dynamic_exit == agreement.stages_exit == last
    swapped = replace(made.flat, logits=tuple(-z for z in made.flat.logits))
    counts = prove(made.delivery, made.forms, swapped, never, made.test, RULE)[0]
    assert counts.dynamic_prediction < IMAGES / 2


def test_one_broken_file_is_found_alone(made: Made, tmp_path: Path) -> None:
    never = DynamicModel(_with_thresholds(made, tmp_path, 2.0))
    broken = Delivery(never, made.delivery.staged, 3)
    agreement, _ = prove(broken, made.forms, made.flat, made.thresholds, made.test, RULE)
    assert agreement.stages_exit == agreement.stages_prediction == IMAGES
    assert agreement.dynamic_exit < IMAGES


def _with_thresholds(made: Made, folder: Path, threshold: float) -> Path:
    from passes.model.writing import save

    graph = copy_graph(made.forms.lowered)
    set_thresholds(graph, [threshold] * 2)
    parse_pipeline("nest-exits")(graph)
    return save(graph, folder / "never.onnx")


def test_stages_take_any_batch(made: Made) -> None:
    for path in sorted((made.folder / "stages").iterdir()):
        runner = session(path)
        assert {t.shape[0] for t in (*runner.get_inputs(), *runner.get_outputs())} == {"N"}
    for size in (1, 2, IMAGES):
        found = made.delivery.staged.decide(made.test.x[:size])
        where = leaves_at(made.flat.confidence[:, :size], made.thresholds)
        np.testing.assert_array_equal(found.exit, where)


def two_exits(body: str) -> gs.Graph:
    """Return a network with two exits; ``body`` makes ``early`` and ``y`` of ``x`` [1, 2, 2, 2]."""
    text = f"""<ir_version: 10, opset_import: ["": 21]>
        net (float[1,2,2,2] x) => (float[1,2] early, float[1,2] late) <int64[2] axes = {{2, 3}},
        int64[1] zero = {{0}}> {{ {body} late = ReduceMean<keepdims=0>(y, axes) }}"""
    graph = from_model(parser.parse_model(text))
    state_of(graph).exits = [Exit("exit_0", "", "early"), Exit("final", "", "late")]
    set_thresholds(graph, [0.6])
    return graph


TURNED = """h = Transpose<perm=[1,0,2,3]>(x) r = ReduceMean<keepdims=0>(h, axes)
    early = Transpose<perm=[1,0]>(r) y = Transpose<perm=[1,0,2,3]>(h)"""
BODIES = {
    "batch first": ("h = Relu(x) early = ReduceMean<keepdims=0>(h, axes) y = Neg(h)", True),
    "batch second": (TURNED, False),
    "mean over the batch": (
        "early = ReduceMean<keepdims=0>(x, axes) m = ReduceMean<keepdims=1>(x, zero) y = Sub(x, m)", False
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_stages_that_do_not_hold_a_batch_keep_one_image(tmp_path: Path, case: str) -> None:
    body, holds = BODIES[case]
    graph = two_exits(body)
    delivery = write_models(
        tmp_path, Forms(graph, graph, graph, graph, graph), [np.float32(0.6)], RULE, [1, 1]
    )
    assert delivery.staged.batched == holds


def test_a_tensor_handed_on_with_the_batch_elsewhere_keeps_one_image() -> None:
    """Its first axis is 1 in one image, too: only two images show that the batch is not there."""
    one = two_exits(BODIES["batch first"][0])
    assert _in_batches([one])
    text = """<ir_version: 10, opset_import: ["": 21]>
        net (float[1,1,4] x) => (float[1,4] logits, float[1,1,4] handed) <int64[1] one = {1}> {
            logits = Squeeze(x, one)
            handed = Transpose<perm=[1,0,2]>(x)
        }"""
    assert not _in_batches([from_model(parser.parse_model(text))])


def test_the_nested_file_records_what_a_session_needs(made: Made) -> None:
    path = made.folder / "model.dynamic.onnx"
    recorded = from_metadata({item.key: item.value for item in onnx.load(path).metadata_props}, path)
    assert recorded.preprocess == RULE
    assert recorded.seen == tuple(np.bincount(leaves_at(made.flat.confidence, made.thresholds)))
    assert recorded.exits == ("exit_0", "exit_1", "final")
