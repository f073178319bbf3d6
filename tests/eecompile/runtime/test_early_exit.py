"""Early-exit models whose answers can be worked out by hand: they answer with what they read."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser

from eecompile.runtime.early_exit import DynamicModel, Float32, StagedModel

HEADER = '<ir_version: 10, opset_import: ["": 21]>'
# Logits are the image, confidence its first number; the next stage reads the image times ten.
STAGE = """
    stage (float[1,2] image) => (float[1,2] logits, float[1] confidence, float[1,2] handed_on)
    <int64[1] first = {0}, int64[1] one = {1}, float ten = {10}, int64[1] flat = {-1}> {
        logits = Identity(image)
        corner = Slice(image, first, one, one)
        confidence = Reshape(corner, flat)
        handed_on = Mul(image, ten)
    }"""
LAST = STAGE.replace(", float[1,2] handed_on", "").replace("handed_on = Mul(image, ten)", "")
DYNAMIC = """
    net (float[1,2] x) => (float[1,2] logits, int64[1] exit, float[1] confidence)
    <int64[1] exit = {3}, float[1] confidence = {0.25}> { logits = Neg(x) }"""


def written(path: Path, text: str) -> Path:
    onnx.save(parser.parse_model(HEADER + text), str(path))
    return path


def staged(folder: Path, thresholds: Sequence[float | None], stages: int = 3) -> StagedModel:
    """Return stages that hand on ten times what they read."""
    last = stages - 1
    paths = [written(folder / f"{k}.onnx", numbered(LAST if k == last else STAGE, k)) for k in range(stages)]
    return StagedModel(paths, thresholds)


def numbered(text: str, number: int) -> str:
    """Return a stage that reads under the name under which the one before hands on."""
    return text.replace("image", f"given_{number}").replace("handed_on", f"given_{number + 1}")


TWO = """
    net (float[1,2] image) => (float[1,2] logits, float[1] confidence, float[1,2] left, float[1,2] right)
    <float[1] confidence = {0.5}, float ten = {10.0}>
    { logits = Identity(image) left = Neg(image) right = Mul(image, ten) }"""
MIDDLE = """
    net (float[1,2] right) => (float[1,2] logits, float[1] confidence)
    <float[1] confidence = {0.5}> { logits = Identity(right) }"""
BOTH = """
    net (float[1,2] right, float[1,2] image, float[1,2] left) => (float[1,2] logits, float[1] confidence)
    <float[1] confidence = {0.5}> { sum = Add(right, left) logits = Add(sum, image) }"""


def test_tensors_are_handed_on_by_name_past_stages_that_do_not_read_them(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{k}.onnx", text) for k, text in enumerate((TWO, MIDDLE, BOTH))]
    decision = StagedModel(paths, [0.6, 0.6, None])(image(1, 2))
    np.testing.assert_array_equal(decision.logits, [[10 - 1 + 1, 20 - 2 + 2]])


def image(first: float, second: float = 0.0) -> Float32:
    return np.array([[first, second]], np.float32)


def test_one_model_answers_logits_exit_and_confidence(tmp_path: Path) -> None:
    decision = DynamicModel(written(tmp_path / "net.onnx", DYNAMIC))(image(1, -2))
    assert (decision.exit, decision.confidence) == (3, 0.25)
    assert type(decision.exit) is int and type(decision.confidence) is float
    np.testing.assert_array_equal(decision.logits, [[-1, 2]])


@pytest.mark.parametrize(
    ("first", "left_at"),
    [(5.0, 0), (4.9, 1), (0.5, 1), (0.49, 2), (0.001, 2)],
)
def test_an_image_leaves_at_the_first_stage_that_is_sure(tmp_path: Path, first: float, left_at: int) -> None:
    """A stage sees ten times what the one before saw: thresholds are 5 and 5, the last asks for nothing."""
    decision = staged(tmp_path, [5.0, 5.0, None])(image(first, 2))
    assert decision.exit == left_at
    np.testing.assert_allclose(decision.logits, image(first, 2) * 10**left_at, rtol=1e-6)
    assert decision.confidence == pytest.approx(first * 10**left_at, rel=1e-6)


@pytest.mark.parametrize("threshold", [0.7, 0.1, 1 / 3, 0.9999])
def test_thresholds_are_compared_as_float32(tmp_path: Path, threshold: float) -> None:
    """Rounded to float32, some are above and some below themselves."""
    model = staged(tmp_path, [threshold, None], 2)
    at = np.float32(threshold)
    assert model(image(float(at))).exit == 0
    assert model(image(float(np.nextafter(at, np.float32(0))))).exit == 1


def test_not_a_number_is_not_sure(tmp_path: Path) -> None:
    assert staged(tmp_path, [0.5, 0.5, None])(image(np.nan)).exit == 2


def test_stages_behind_the_one_that_is_left_at_do_not_run(tmp_path: Path) -> None:
    """The second stage takes other shapes than the first gives: it cannot run."""
    first = written(tmp_path / "0.onnx", STAGE)
    second = written(
        tmp_path / "1.onnx",
        LAST.replace("float[1,2] image", "float[1,9] handed_on").replace("(image", "(handed_on"),
    )
    model = StagedModel([first, second], [0.5, None])
    assert model(image(0.5)).exit == 0
    with pytest.raises(Exception, match="Got invalid dimensions"):
        model(image(0.4))


def test_stages_and_thresholds_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    """A threshold too few, or stages without the last, which asks for nothing."""
    inner = [written(tmp_path / f"{k}.onnx", numbered(STAGE, k)) for k in range(2)]
    with pytest.raises(ValueError, match="shorter"):
        StagedModel(inner, [5.0])(image(0))
    with pytest.raises(AssertionError, match="the last stage has no threshold"):
        StagedModel(inner, [5.0, 5.0])(image(0))


COLUMN = "corner = Slice(READ, zero, one, one) confidence = Reshape(corner, flat)"
CONSTANTS = "<float ten = {10}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] flat = {-1}>"
ANSWERS = "float[N,2] logits, float[N] confidence"
MANY = [
    f"""net (float[N,2] image) => ({ANSWERS}, float[N,2] left, float[N,2] right) {CONSTANTS}
    {{ {COLUMN.replace("READ", "image")} logits = Identity(image)
    left = Neg(image) right = Mul(image, ten) }}""",
    f"""net (float[N,2] right) => ({ANSWERS}) {CONSTANTS}
    {{ {COLUMN.replace("READ", "right")} logits = Identity(right) }}""",
    f"""net (float[N,2] right, float[N,2] image, float[N,2] left) => ({ANSWERS}) {CONSTANTS}
    {{ sum = Add(right, left) logits = Add(sum, image) {COLUMN.replace("READ", "logits")} }}""",
]


@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=12))
def test_images_that_stay_keep_their_order_and_all_that_later_stages_read(first: list[float]) -> None:
    """Stages see the image and ten times the image, at thresholds of 5; the last sees ten times it, too."""
    model = many_stages()
    images = np.stack([np.array(first, np.float32), np.arange(len(first), dtype=np.float32)], axis=1)
    found = model.decide(images)
    expected = np.where(images[:, 0] >= 5, 0, np.where(images[:, 0] * 10 >= 5, 1, 2))
    np.testing.assert_array_equal(found.exit, expected)
    logits = images * np.where(expected == 0, 1, 10)[:, None].astype(np.float32)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-5)
    np.testing.assert_array_equal(found.confidence, found.logits[:, 0])
    np.testing.assert_array_equal(found.label, found.logits.argmax(axis=1))
    part = found[1:3]
    assert len(part) == len(images[1:3])
    np.testing.assert_array_equal(part.logits, found.logits[1:3])


@functools.cache
def many_stages() -> StagedModel:
    with tempfile.TemporaryDirectory() as folder:
        paths = [written(Path(folder) / f"{k}.onnx", text) for k, text in enumerate(MANY)]
        model = StagedModel(paths, [5.0, 5.0, None])
    assert model.batched
    return model


def test_no_number_in_a_batch_goes_on_and_has_no_label() -> None:
    images = np.array([[9, 1], [np.nan, 1], [9, np.nan], [0.7, 1]], np.float32)
    found = many_stages().decide(images)
    assert found.exit.tolist() == [0, 2, 2, 1]
    assert found.label.tolist() == [0, -1, -1, 1]


def test_without_stage_for_what_stays_it_is_told() -> None:
    model = many_stages()
    model._thresholds = [np.float32(5)] * 3
    try:
        with pytest.raises(AssertionError, match="the last stage has no threshold"):
            model.decide(image(0))
    finally:
        many_stages.cache_clear()


def test_stages_for_one_image_take_no_batch(tmp_path: Path) -> None:
    assert not staged(tmp_path, [5.0, 5.0, None]).batched
