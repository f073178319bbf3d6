"""Raw images in, answers out: at every batch size, from many threads, and what is refused."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from eecompile.runtime import Decisions, DriftWarning, EarlyExitSession
from passes.confidence import PATIENCE, ConfidenceRule, confidence_rule
from passes.confidence.gate import LearnedGate
from passes.errors import InputError
from tests.eecompile.runtime.small_run import (
    CLASS_NAMES,
    SHAPE,
    THRESHOLDS,
    Float32,
    images_of,
    write_small_run,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Float32]:
    return write_small_run(tmp_path_factory.mktemp("session") / "run")


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_run(tmp_path_factory.mktemp("built_in") / "run", built_in=True)[0]


def by_hand(images: Float32) -> tuple[Float32, Float32, Float32]:
    """Return exit, confidence and first logit of images [N, 2, 3, 3]."""
    signal = (images[:, 0] - images[:, 1]).mean(axis=(1, 2), dtype=np.float64)
    first = np.stack([signal, 4 * signal, 16 * signal])
    sure = 1 / (1 + np.exp(-np.abs(first)))
    leaves = np.vstack([sure[:2] >= THRESHOLDS[0], np.ones(len(images), np.bool_)])
    left_at = leaves.argmax(axis=0)
    rows = np.arange(len(images))
    return left_at, sure[left_at, rows], first[left_at, rows]


def check(found: Decisions, images: Float32) -> None:
    left_at, confidence, first = by_hand(images)
    kinds = [value.dtype.name for value in (found.label, found.exit, found.confidence, found.logits)]
    assert kinds == ["int64", "int64", "float32", "float32"]
    np.testing.assert_array_equal(found.exit, left_at)
    np.testing.assert_array_equal(found.label, np.where(first >= 0, 0, 1))
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-5)
    np.testing.assert_allclose(found.logits[:, 0], first, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["directory", "nested", "batch built in"])
def test_answers_are_those_worked_out_by_hand(made: tuple[Path, Float32], built_in: Path, form: str) -> None:
    folder, images = made
    path = {"directory": folder, "nested": folder / "model.dynamic.onnx", "batch built in": built_in}[form]
    session = EarlyExitSession(path)
    assert session.batched == (form == "directory")
    assert session.exits == ("exit_0", "exit_1", "final")
    check(session.run(images[:-1]), images[:-1])
    for index in range(4):
        check(session.run(images[index : index + 1]), images[index : index + 1])
    assert set(by_hand(images[:-1])[0]) == {0, 1, 2}
    assert session.counts.images == len(images) + 3


@given(st.integers(1, 39), st.integers(1, 45), st.integers(0, 10))
def test_no_answer_depends_on_the_images_beside(
    made: tuple[Path, Float32], count: int, max_batch: int, seed: int
) -> None:
    folder, images = made
    chosen = images[:-1][np.random.default_rng(seed).permutation(len(images) - 1)[:count]]
    session = EarlyExitSession(folder, max_batch=max_batch)
    together = session.run(chosen)
    check(together, chosen)
    alone = [session.run(chosen[k : k + 1]) for k in range(count)]
    for name in ("label", "exit", "confidence", "logits"):
        np.testing.assert_array_equal(
            getattr(together, name), np.concatenate([getattr(d, name) for d in alone])
        )


def test_only_images_that_stay_enter_the_next_stage(
    made: tuple[Path, Float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, images = made
    session = EarlyExitSession(folder)
    assert session.staged is not None
    entered: list[int] = []

    class Seen:
        def __init__(self, stage: object) -> None:
            self.stage = stage

        def run(self, names: None, given: dict[str, Float32]) -> object:
            (images,) = given.values()
            entered.append(len(images))
            return self.stage.run(names, given)  # type: ignore[attr-defined]

    monkeypatch.setattr(session.staged, "sessions", [Seen(s) for s in session.staged.sessions])
    found = session.run(images[:-1])
    assert entered == [int((found.exit >= number).sum()) for number in range(3)]
    assert entered[0] > entered[1] > entered[2] > 0


@pytest.mark.parametrize(
    "rule", ["max_softmax", "margin", "entropy", "patience", "max_softmax{temperature=2}", "gate"]
)
@pytest.mark.parametrize("count", [1, 3])
def test_no_number_never_leaves_early_and_is_counted(tmp_path: Path, rule: str, count: int) -> None:
    """At a threshold that every confidence reaches, an infinite image leaves with logits that are NaN."""
    given = LearnedGate((1.0,) * 6) if rule == "gate" else confidence_rule(rule)
    folder, _ = write_small_run(tmp_path / "run", (given.low, given.low), given)
    images = np.ones((count, *SHAPE), np.float32)
    for path in (folder, folder / "model.dynamic.onnx"):
        for place, value in (((0,), np.nan), ((0, 1, 2, 0), np.nan), ((0,), np.inf)):
            session = EarlyExitSession(path)
            broken = images.copy()
            broken[place] = value
            found = session.run(broken)
            assert found.exit.tolist() == [2] + [0] * (count - 1), (path.name, place, value)
            assert found.label.tolist() == [-1] + [0] * (count - 1)
            assert np.isnan(found.logits[0]).any()
            assert session.counts.without_answer == 1
            assert session.counts.exits == (count - 1, 0, 1)


@pytest.mark.parametrize("rule", [confidence_rule("margin"), PATIENCE, LearnedGate((1.0,) * 6)], ids=str)
def test_an_exit_that_never_fires_is_passed_by_all_and_no_drift(tmp_path: Path, rule: ConfidenceRule) -> None:
    folder, images = write_small_run(tmp_path / "run", (rule.never, rule.low), rule, seen=(0, 40, 1))
    for path in (folder, folder / "model.dynamic.onnx"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session = EarlyExitSession(path, window=20)
            found = session.run(images)
        assert found.exit.tolist() == [1] * 39 + [2], "but what is no number leaves at the last"
        assert session.counts.exits == (0, 39, 1) and session.counts.drifted == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, *SHAPE), np.float32), "a batch of no images"),
        (np.zeros((1, *SHAPE), np.float64), "images are float64"),
        (np.zeros((1, *SHAPE), np.int8), "images are int8"),
        (
            np.zeros((1, 3, 3, 3), np.float32),
            r"images have shape \[1, 3, 3, 3\], the network takes \[N, 2, 3, 3\]",
        ),
        (np.zeros(SHAPE, np.float32), r"images\[None\]"),
        (np.float32(3), "images are a float32"),
        ([[1.0]], "images are a list"),
    ],
)
def test_images_that_are_refused(made: tuple[Path, Float32], images: Float32, message: str) -> None:
    session = EarlyExitSession(made[0])
    with pytest.raises(InputError, match=message):
        session.run(images)
    assert session.counts.images == 0


def test_bytes_are_brought_to_the_scale_of_the_run(made: tuple[Path, Float32]) -> None:
    session = EarlyExitSession(made[0])
    pixels = np.random.default_rng(1).integers(0, 256, (9, *SHAPE), np.uint8)
    expected = session.run(pixels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(session.run(pixels).logits, expected.logits)


def test_many_threads_get_their_own_answers_and_all_are_counted(made: tuple[Path, Float32]) -> None:
    folder, images = made
    session = EarlyExitSession(folder, max_batch=8)
    expected = session.run(images[:-1])
    calls, wrong = 200, []

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(calls):
            chosen = rng.integers(0, len(images) - 1, rng.integers(1, 12))
            found = session.run(images[chosen])
            if not np.array_equal(found.logits, expected.logits[chosen]):
                wrong.append(chosen)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DriftWarning)  # the images are not those of compile time
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    drawn = sum(
        len(rng.integers(0, len(images) - 1, rng.integers(1, 12)))
        for number in range(8)
        for rng in [np.random.default_rng(number)]
        for _ in range(calls)
    )
    assert session.counts.images == drawn + len(images) - 1


def test_drift_is_warned_of_and_the_images_of_compile_time_are_not(made: tuple[Path, Float32]) -> None:
    folder, images = made
    by_exit = [images[:-1][by_hand(images[:-1])[0] == number] for number in range(3)]
    usual = np.concatenate([np.resize(by_exit[k], (share, *SHAPE)) for k, share in enumerate((50, 30, 20))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = EarlyExitSession(folder, window=100)
        for _ in range(5):
            session.run(usual)
    assert session.counts.exits == (250, 150, 100)
    with pytest.warns(
        DriftWarning, match=r"0\.0 % of the last 100 images left at 'exit_0', against 50\.0 % of 1000"
    ):
        session.run(np.resize(by_exit[2], (100, *SHAPE)))
    assert session.counts.drifted == 1


def replaced(name: str, change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        change(document)
        (folder / name).write_text(json.dumps(document))

    return apply


def overwritten(name: str, text: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_text(text)

    return apply


def first_exit(**values: object) -> Callable[[Path], None]:
    return replaced("summary.json", lambda document: exits(document)[0].update(values))


def other_classes(folder: Path) -> None:
    model = onnx.load(folder / "stages" / "stage_1.onnx")
    (weights,) = [tensor for tensor in model.graph.initializer if list(tensor.dims) == [2, 2]]
    weights.CopyFrom(numpy_helper.from_array(np.ones((3, 2), np.float32), weights.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, folder / "stages" / "stage_1.onnx")


def exits(document: dict[str, object]) -> list[dict[str, object]]:
    found = document["exits"]
    assert isinstance(found, list)
    return found


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no summary": (lambda f: (f / "summary.json").unlink(), "no summary.json"),
    "summary is text": (overwritten("summary.json", "hello"), "summary.json cannot be read"),
    "summary is a list": (overwritten("summary.json", "[]"), "no JSON object"),
    "costs alone": (replaced("summary.json", lambda d: d.update(dataset=None)), "holds costs alone"),
    "a threshold is text": (first_exit(threshold="a"), "no number"),
    "a threshold is NaN": (first_exit(threshold=float("nan")), "no number"),
    "a threshold was edited": (first_exit(threshold=0.5), "two runs"),
    "an exit is renamed": (first_exit(name="b"), "two runs"),
    "the final exit is gone": (replaced("summary.json", lambda d: exits(d).pop()), "without a threshold"),
    "no ratio": (replaced("summary.json", lambda d: exits(d)[0].pop("ratio")), "no 'ratio'"),
    "no preprocessing": (replaced("run.json", lambda d: d.pop("preprocess")), "costs alone"),
    "bad preprocessing": (replaced("run.json", lambda d: d.update(preprocess={})), "recorded preprocessing"),
    "a stage is gone": (lambda f: (f / "stages" / "stage_1.onnx").unlink(), "stage_1.onnx is missing"),
    "a stage is damaged": (overwritten("stages/stage_1.onnx", "no"), "cannot be loaded"),
    "a model is damaged": (overwritten("model.dynamic.onnx", "no"), "cannot be loaded"),
    "classes differ": (other_classes, "exits differ in classes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_folders_that_are_refused(tmp_path: Path, damage: str) -> None:
    folder, _ = write_small_run(tmp_path / "run")
    change, message = DAMAGES[damage]
    change(folder)
    with pytest.raises(InputError, match=message) as error:
        EarlyExitSession(folder)
    assert error.value.hint


def test_files_and_options_that_are_refused(made: tuple[Path, Float32], tmp_path: Path) -> None:
    folder, _ = made
    with pytest.raises(InputError, match="there is no"):
        EarlyExitSession(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"does not record eecompile\.seen"):
        EarlyExitSession(folder / "model.exits.onnx")
    for options in ({"threads": 0}, {"max_batch": 0}, {"window": 0}):
        with pytest.raises(InputError, match="give at least 1"):
            EarlyExitSession(folder, **options)


def test_the_images_of_the_tests_leave_everywhere() -> None:
    assert {int(k) for k in by_hand(images_of(40)[:-1])[0]} == {0, 1, 2}


def test_what_labels_are_called_is_known_from_the_files(tmp_path: Path) -> None:
    folder, _ = write_small_run(tmp_path / "run")
    for path in (folder, folder / "model.dynamic.onnx"):
        assert EarlyExitSession(path).class_names == CLASS_NAMES
