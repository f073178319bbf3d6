"""Pixel rules against plain arithmetic, and the automatic choice against models with a known input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eecompile.data.preprocess import Preprocess, parse_rule, preprocesses
from eecompile.data.preprocess_choice import choose_preprocess
from eecompile.data.sources import load_data
from passes.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "digits_resnet.onnx"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 3, 4, 6), np.uint8)
UNIT = IMAGES.astype(np.float64) / 255


def only(rule: str, x: NDArray[Any], shape: tuple[int, ...]) -> Preprocess:
    (found,) = preprocesses(rule, x, shape)
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("raw", IMAGES),
        ("unit", UNIT),
        ("signed", 2 * UNIT - 1),
        ("imagenet", (UNIT - MEAN[:, None, None]) / STD[:, None, None]),
        ("mean=0.5,std=0.25", (UNIT - 0.5) / 0.25),
        ("mean=127.5,std=255", UNIT - 0.5),
        ("mean=0,0.5,1,std=1", UNIT - np.array([0, 0.5, 1])[:, None, None]),
    ],
)
def test_rules_on_every_way_of_storing_images(rule: str, expected: NDArray[Any]) -> None:
    kept = IMAGES.copy()
    got = only(rule, IMAGES, (1, 3, 4, 6)).apply(IMAGES)
    assert got.dtype == np.float32 and got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.array_equal(IMAGES, kept)
    to_nhwc = only(rule, IMAGES, (1, 4, 6, 3))
    np.testing.assert_array_equal(to_nhwc.apply(IMAGES), got.transpose(0, 2, 3, 1))
    stored_nhwc = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(only(rule, stored_nhwc, (1, 3, 4, 6)).apply(stored_nhwc), got)
    if rule != "raw":
        as_float = UNIT.astype(np.float32)
        np.testing.assert_allclose(only(rule, as_float, (1, 3, 4, 6)).apply(as_float), expected, atol=1e-5)
        np.testing.assert_array_equal(as_float, UNIT.astype(np.float32))


def test_reversed_channels_get_the_mean_of_their_place() -> None:
    bgr = Preprocess("x", (1.0, 2.0, 3.0), (1.0,), reverse_channels=True)
    np.testing.assert_array_equal(bgr.apply(IMAGES)[:, 0], IMAGES[:, 2].astype(np.float32) - 1)


def test_flat_input() -> None:
    grey = IMAGES[:, :1]
    np.testing.assert_allclose(only("unit", grey, (1, 24)).apply(grey), UNIT[:, 0].reshape(5, 24), atol=1e-6)


numbers = st.floats(0, 1, width=32)


@given(
    st.lists(numbers, min_size=3, max_size=3),
    st.floats(0.01, 300),
    st.sampled_from(["same", "NHWC->NCHW", "NCHW->NHWC", "flatten"]),
    st.sampled_from(["NCHW", "NHWC", "flat"]),
    st.booleans(),
)
def test_json_and_text_round_trip(
    mean: list[float], std: float, order: Any, layout: Any, reverse: bool
) -> None:
    text, mean_pixels, std_pixels = parse_rule(f"mean={','.join(map(str, mean))},std={std}")
    assert parse_rule(text) == (text, mean_pixels, std_pixels)
    original = Preprocess(text, mean_pixels, std_pixels, order, layout, reverse)
    assert Preprocess.from_json(original.to_json()) == original


@pytest.mark.parametrize(
    "rule",
    [
        "imagnet",
        "",
        "mean=1",
        "mean=a,std=1",
        "mean=0,std=0",
        "mean=0,std=-1",
        "mean=nan,std=1",
        "mean=,std=1",
    ],
)
def test_bad_rules(rule: str) -> None:
    with pytest.raises(InputError, match="preprocessing"):
        parse_rule(rule)


def test_close_name_is_proposed() -> None:
    with pytest.raises(InputError, match="did you mean 'imagenet'"):
        parse_rule("imagnet")


GOOD_RECORD = Preprocess("raw", (0.0,), (1.0,)).to_json()


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {**GOOD_RECORD, "extra": 1}, {**GOOD_RECORD, "std": [0]}, {**GOOD_RECORD, "order": "up"}],
)
def test_bad_record(record: object) -> None:
    with pytest.raises(InputError, match="recorded preprocessing"):
        Preprocess.from_json(record)


def test_pixel_rules_refuse_normalized_floats_and_wrong_channels() -> None:
    normalized = (2 * UNIT - 1).astype(np.float32)
    with pytest.raises(InputError, match="`preprocess` raw"):
        preprocesses("unit", normalized, (1, 3, 4, 6))
    with pytest.raises(InputError, match="one per channel"):
        choose_preprocess("imagenet", lambda x: x, IMAGES[:, :1], np.zeros(5, np.int64), (1, 1, 4, 6))


class NearestColour:
    """Model that knows ten colours in its own preprocessing and layout."""

    def __init__(self, rule: Preprocess) -> None:
        self.colours = RNG.integers(0, 256, (10, 3, 1, 1), np.uint8)
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
    cube = RNG.integers(0, 256, (10, 3, 3, 3), np.uint8)

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
        "other images": RNG.random((256, 10)),
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
