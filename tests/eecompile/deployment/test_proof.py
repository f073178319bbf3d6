"""The proof of the files, with models and a clock that are made up: every count and time is told by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.deployment import proof
from eecompile.deployment.proof import Agreement, Timing, check_agreement, measure
from eecompile.runtime.early_exit import Decision
from tests.eecompile.run.made_evidence import IMAGES, LEAVES_AT, THRESHOLD, made_answers

FLAT = made_answers()
Image = NDArray[np.float32]


def image(number: int) -> Image:
    return np.full((1, 1), number, np.float32)


def model(exits: Mapping[int, int], wrong: set[int]) -> Any:
    """Return an early-exit model that answers as the flat one, but for some exits and classes."""

    def run(x: Image) -> Decision:
        number = int(x[0, 0])
        logits = FLAT.logits[LEAVES_AT[number]][number : number + 1]
        return Decision(-logits if number in wrong else logits, exits.get(number, LEAVES_AT[number]), 0.9)

    return run


GOOD = model({}, set())


def agreement(dynamic: Any = GOOD, staged: Any = GOOD) -> Agreement:
    return check_agreement(FLAT, [THRESHOLD] * 2, dynamic, staged, image)


def test_files_that_answer_as_the_flat_model_agree_on_every_image() -> None:
    found = agreement()
    assert found == Agreement(IMAGES, IMAGES, IMAGES, IMAGES, IMAGES) and found.complete


def test_each_form_is_counted_for_itself_class_and_exit_apart() -> None:
    found = agreement(model({0: 1, 5: 2, 11: 0}, {3}), model({8: 1}, {1, 2, 6, 7}))
    assert found == Agreement(IMAGES, IMAGES - 1, IMAGES - 3, IMAGES - 4, IMAGES - 1)


def test_the_class_that_counts_is_that_of_the_exit_where_the_image_leaves() -> None:
    """On images 3, 4 and 7 the final exit answers another class than the one where they leave."""

    def last(x: Image) -> Decision:
        number = int(x[0, 0])
        return Decision(FLAT.logits[2][number : number + 1], LEAVES_AT[number], 0.9)

    assert agreement(dynamic=last).dynamic_prediction == IMAGES - 3


@pytest.mark.parametrize("short", ["dynamic_prediction", "dynamic_exit", "stages_prediction", "stages_exit"])
def test_one_image_short_anywhere_is_not_complete(short: str) -> None:
    counts = dict.fromkeys(vars(agreement()), 7)
    assert Agreement(**counts).complete
    assert not Agreement(**{**counts, short: 6}).complete


class Bench:
    """A clock that models move: milliseconds of each image in each repeat."""

    def __init__(self, static: list[list[float]], dynamic: list[list[float]], exits: list[int]) -> None:
        self.now_ms = 0.0
        self.asked: list[int] = []
        self._static = [iter(times) for times in static]
        self._dynamic = [iter(times) for times in dynamic]
        self._exits = exits
        self._given = False

    def perf_counter(self) -> float:
        return self.now_ms / 1e3

    def images(self, number: int) -> Image:
        self.now_ms += 5000  # what it takes to get an image is no time of a model
        self.asked.append(number)
        return image(number)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image")]

    def run(self, names: None, feed: dict[str, Image]) -> None:
        assert names is None
        self._given = not self._given
        self.now_ms += 0.5 if self._given else next(self._static[int(feed["image"][0, 0])])

    def dynamic(self, x: Image) -> Decision:
        number = int(x[0, 0])
        self.now_ms += next(self._dynamic[number])
        return Decision(x, self._exits[number], 0.9)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bench, int], Timing]:
    def time(bench: Bench, exits: int) -> Timing:
        monkeypatch.setattr(proof, "time", bench)
        monkeypatch.setattr(proof, "to_model", lambda _: None)
        monkeypatch.setattr(proof, "session", lambda _: bench)
        total = len(bench._exits)
        none = cast("gs.Graph", None)
        return measure(none, none, cast("Any", bench.dynamic), exits, bench.images, total)

    return time


def test_times_are_means_over_images_of_medians_over_repeats(timed: Callable[[Bench, int], Timing]) -> None:
    bench = Bench(
        static=[[1, 9, 2], [4, 4, 4], [3, 5, 90], [1, 1, 1]],
        dynamic=[[1, 1, 7], [3, 5, 4], [2, 8, 6], [20, 90, 3]],
        exits=[0, 2, 0, 0],
    )
    found = timed(bench, 3)
    assert found.images == 4
    assert found.static_ms == pytest.approx((2 + 4 + 5 + 1) / 4)
    assert found.dynamic_ms == pytest.approx((1 + 4 + 6 + 20) / 4)
    assert found.given_ms == pytest.approx(0.5) and found.spread_ms["given"] == pytest.approx([0.5] * 3)
    assert found.spread_ms["static"] == pytest.approx([1.15, 3, 4.85]), "of 1, 2, 4 and 5"
    first, never_taken, last = found.per_exit_ms
    assert (first, last) == pytest.approx((6, 4)), "the medians of 1, 6 and 20, and of 4"
    assert never_taken is None


def test_of_many_images_some_are_taken_evenly_spread(timed: Callable[[Bench, int], Timing]) -> None:
    total = 2 * proof.TIMED_IMAGES - 1
    times = [[1.0] * proof.REPEATS] * total
    bench = Bench(times, times, [0] * total)
    assert timed(bench, 1).images == proof.TIMED_IMAGES
    every_second = list(range(0, total, 2))
    assert bench.asked == every_second * proof.REPEATS
