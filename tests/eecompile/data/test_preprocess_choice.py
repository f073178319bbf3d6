"""The automatic choice of preprocessing against models whose input is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from eecompile.data.preprocess_choice import choose_preprocess
from eecompile.data.sources import load_data
from eecompile.runtime.preprocess import Preprocess
from passes.errors import InputError
from tests.eecompile.data.test_preprocess import IMAGES, UNIT, only

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "digits_resnet.onnx"
SHAPE = (1, 3, 4, 6)


class NearestColour:
    """Model that knows ten colours in its own preprocessing and layout."""

    def __init__(self, rule: Preprocess) -> None:
        self.colours = np.random.default_rng(1).integers(0, 256, (10, 3, 1, 1), np.uint8)
        self.known = rule.apply(self.stored(np.arange(10))).reshape(10, -1)

    def stored(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        return np.broadcast_to(self.colours[labels], (len(labels), 3, 4, 6)).copy()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        flat = batch.reshape(len(batch), 1, -1)
        distances: NDArray[Any] = np.abs(flat - self.known).sum(axis=2)
        return -distances


LABELS = np.arange(400) % 10


@pytest.mark.parametrize("rule", ["raw", "unit", "signed", "imagenet", "cifar"])
@pytest.mark.parametrize("shape", [(1, 3, 4, 6), (1, 4, 6, 3)])
def test_auto_finds_the_rule_the_model_knows(rule: str, shape: tuple[int, ...]) -> None:
    truth = only(rule, IMAGES, shape)
    model = NearestColour(truth)
    choice = choose_preprocess("auto", model, model.stored(LABELS), LABELS, shape)
    # A neighbouring rule may find every colour as well; then the simpler is right too.
    assert choice.accuracy == 1.0 and choice.warning is None and choice.images == 256
    first_perfect = next(name for name, accuracy in choice.tried if accuracy == 1.0)
    assert choice.preprocess.name == first_perfect
    assert len(choice.tried) == 6 and dict(choice.tried)[truth.name] == 1.0


def test_auto_takes_the_simpler_of_equals_and_float_pixels_only_once() -> None:
    always_right = np.eye(10)[LABELS[np.unique(np.linspace(0, 399, 256).astype(int))]]
    choice = choose_preprocess("auto", lambda _: always_right, IMAGES[LABELS % 5], LABELS, (1, 3, 4, 6))
    assert choice.preprocess.rule == "raw"
    floats = UNIT.astype(np.float32)[LABELS % 5]
    tried = choose_preprocess("auto", lambda _: always_right, floats, LABELS, (1, 3, 4, 6)).tried
    assert [name for name, _ in tried] == ["raw", "pixels", "signed", "imagenet", "cifar", "raw, BGR"]


def test_auto_tries_both_layouts_where_the_shape_does_not_tell() -> None:
    cube = np.random.default_rng(2).integers(0, 256, (10, 3, 3, 3), np.uint8)

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        known = cube.transpose(0, 3, 1, 2).reshape(10, -1).astype(np.float32)
        distances: NDArray[Any] = np.abs(batch.reshape(len(batch), 1, -1) - known).sum(axis=2)
        return -distances

    choice = choose_preprocess("auto", predict, cube, np.arange(10), (1, 3, 3, 3))
    assert choice.accuracy == 1.0 and choice.preprocess.order == "NHWC->NCHW"


def test_near_chance_names_the_likely_cause() -> None:
    x = IMAGES[LABELS % 5]
    shape = (1, 3, 4, 6)
    tried = LABELS[np.unique(np.linspace(0, 399, 256).astype(int))]
    causes = {
        "another order": np.eye(10)[(tried + 1) % 10],
        "answers every image alike": np.eye(10)[np.full(256, 3)],
        "NaN": np.full((256, 10), np.nan),
        "other images": np.random.default_rng(3).random((256, 10)),
    }
    for cause, logits in causes.items():
        warning = choose_preprocess("auto", lambda _, out=logits: out, x, LABELS, shape).warning  # type: ignore[misc]
        assert warning is not None and cause in warning, (cause, warning)
    not_a_number = choose_preprocess("raw", lambda _: causes["NaN"], x, LABELS, shape)
    assert not_a_number.accuracy == 0, "an image without an answer counts as right"
    named = choose_preprocess("unit", lambda _: causes["other images"], x, LABELS, shape).warning
    assert named is not None and "`preprocess` auto" in named


def test_the_example_network_takes_unit_pixels_and_reaches_its_accuracy() -> None:
    digits = load_data("digits")
    session = onnxruntime.InferenceSession(EXAMPLE, providers=["CPUExecutionProvider"])

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        return np.concatenate([session.run(None, {"image": image[None]})[0] for image in batch])

    choice = choose_preprocess("auto", predict, digits.val.x, digits.val.y, (1, 1, 8, 8))
    assert choice.preprocess.name == "unit" and choice.warning is None
    right = predict(choice.preprocess.apply(digits.test.x)).argmax(axis=1) == digits.test.y
    assert right.mean() >= 0.97


@pytest.mark.parametrize(("right", "warned"), [(10, True), (11, True), (12, False)])
def test_near_chance_is_within_a_tenth_of_the_way_to_all(right: int, warned: bool) -> None:
    """Half of the twenty images have the most common label: the border is 0.5 + 0.1 * 0.5, eleven images."""
    labels = np.arange(20) % 2
    answers = np.eye(2)[np.where(np.arange(20) < right, labels, 1 - labels)]
    choice = choose_preprocess("raw", lambda _: answers, IMAGES[labels], labels, SHAPE)
    assert choice.accuracy == right / 20
    assert (choice.warning is not None) == warned


def test_another_order_is_only_told_of_where_there_are_images_enough() -> None:
    """Ten images per class: with fewer, any answers look as if classes were only renumbered."""
    for count, cause in ((100, "another order"), (99, "other images")):
        labels = np.arange(count) % 10
        answers = np.eye(10)[(labels + 1) % 10]
        warning = choose_preprocess("auto", lambda _, a=answers: a, IMAGES[labels % 5], labels, SHAPE).warning  # type: ignore[misc]
        assert warning is not None and cause in warning


def test_of_a_set_sorted_by_class_images_of_every_class_are_tried() -> None:
    labels = np.repeat(np.arange(8), 200)
    seen: list[NDArray[np.float32]] = []

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        seen.append(batch)
        logits: NDArray[Any] = np.eye(8)[batch[:, 0, 0, 0].astype(int)]
        return logits

    x = np.zeros((1600, 1, 4, 6), np.uint8)
    x[:, 0, 0, 0] = labels
    choice = choose_preprocess("raw", predict, x, labels, (1, 1, 4, 6))
    assert (choice.images, choice.accuracy) == (256, 1.0)
    assert np.bincount(seen[0][:, 0, 0, 0].astype(int)).tolist() == [32] * 8


@pytest.mark.parametrize(
    ("spec", "x", "shape", "tried"),
    [
        ("unit", IMAGES, SHAPE, ["unit"]),
        ("auto", 3 * UNIT.astype(np.float32) - 2, SHAPE, ["raw", "raw, BGR"]),
        ("auto", IMAGES[:, :1], (1, 1, 4, 6), ["raw", "unit", "signed"]),
        ("auto", IMAGES[:, :1], (1, 24), ["raw, flatten", "unit, flatten", "signed, flatten"]),
        ("mean=1,2,3,std=4", IMAGES, (1, 4, 6, 3), ["mean=1.0,2.0,3.0,std=4.0, NCHW->NHWC"]),
    ],
    ids=["told", "no pixels", "grey", "flat", "numbers"],
)
def test_what_is_tried(spec: str, x: NDArray[Any], shape: tuple[int, ...], tried: list[str]) -> None:
    """A rule that was told is tried alone; channels are only reversed where there are three."""
    choice = choose_preprocess(spec, lambda _: np.eye(5), x, np.arange(5), shape)
    assert [name for name, _ in choice.tried] == tried


def test_the_best_is_tried_with_channels_reversed_and_taken_if_that_is_better() -> None:
    """A model that takes pixels of 0..1: half of them right as RGB, and all as BGR."""
    labels = np.arange(5)

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        known = [np.allclose(batch, images, atol=1e-6) for images in (UNIT, UNIT[:, ::-1])]
        right = 5 if known[1] else 3 if known[0] else 0
        return np.eye(6)[np.where(labels < right, labels, 5)]

    choice = choose_preprocess("auto", predict, IMAGES, labels, SHAPE)
    assert choice.tried[-2:] == (("cifar", 0.0), ("unit, BGR", 1.0))
    assert (choice.preprocess.name, choice.accuracy) == ("unit, BGR", 1.0)


def test_images_that_cannot_be_fed_are_refused() -> None:
    with pytest.raises(InputError, match=r"images of shape \[3, 4, 6\] cannot be fed .* takes \[3, 5, 6\]"):
        choose_preprocess("auto", lambda x: x, IMAGES, np.zeros(5, np.int64), (1, 3, 5, 6))
    with pytest.raises(InputError, match="one per channel"):
        choose_preprocess("imagenet", lambda x: x, IMAGES[:, :1], np.zeros(5, np.int64), (1, 1, 4, 6))


def answers(right: dict[str, NDArray[np.bool_]], asked: dict[str, int]) -> Any:
    """Return a model on grey images that hold their number; each rule has its own images that are right."""

    def predict(batch: NDArray[np.float32]) -> NDArray[Any]:
        first = batch[:, 0, 0, 0].astype(np.float64)
        rule = "raw" if first.max() > 3 else "unit" if first.min() >= 0 else "signed"
        stored = {"raw": first, "unit": first * 255, "signed": (first + 1) * 127.5}[rule]
        number = np.round(stored).astype(int) * 256 + np.round(
            {"raw": 1, "unit": 255, "signed": 127.5}[rule] * (batch[:, 0, 0, 1] + (rule == "signed"))
        ).astype(int)
        asked[rule] = asked.get(rule, 0) + len(batch)
        logits: NDArray[Any] = np.eye(2)[np.where(right[rule][number], number % 2, 1 - number % 2)]
        return logits

    return predict


def numbered(count: int) -> NDArray[np.uint8]:
    x = np.zeros((count, 1, 4, 6), np.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = np.divmod(np.arange(count), 256)
    x[:, 0, 1, 1] = 255
    return x


def some(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.random.default_rng(seed).random(count) < share
    return found


@pytest.mark.parametrize(
    ("unit", "signed", "more", "told"),
    [(0.9, 0.2, False, False), (0.9, 0.84, True, False), (0.9, 0.898, True, True)],
    ids=["clear", "close", "too close"],
)
def test_close_ones_are_tried_on_more_images(unit: float, signed: float, more: bool, told: bool) -> None:
    count = 2000
    right = {"raw": some(count, 0.1, 1), "unit": some(count, unit, 2), "signed": some(count, signed, 3)}
    asked: dict[str, int] = {}
    labels = np.arange(count) % 2
    choice = choose_preprocess("auto", answers(right, asked), numbered(count), labels, (1, 1, 4, 6))
    best, other = sorted(("unit", "signed"), key=lambda rule: rule != choice.preprocess.rule)
    assert choice.preprocess.rule == best and (best == "unit" or told)
    assert asked["raw"] == 256, "it is clearly worse"
    assert (asked["unit"] > 256) == more and asked[best] == choice.images
    undecided = choice.warning is not None and f"cannot be told apart from '{other}'" in choice.warning
    assert undecided == told, choice.warning
    assert (choice.images == count) == told


def test_those_that_are_right_on_the_same_images_need_no_telling_apart() -> None:
    right = dict.fromkeys(("raw", "unit", "signed"), some(2000, 0.7, 1))
    asked: dict[str, int] = {}
    labels = np.arange(2000) % 2
    choice = choose_preprocess("auto", answers(right, asked), numbered(2000), labels, (1, 1, 4, 6))
    assert asked == {"raw": 256, "unit": 256, "signed": 256} and choice.preprocess.rule == "raw"
