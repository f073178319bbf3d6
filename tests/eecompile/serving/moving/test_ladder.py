"""Rungs hold the floor, take less and less work, and are the cheapest that do."""

from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.thresholds import Observed
from eecompile.run_files.samples import SplitSamples
from eecompile.serving.moving.ladder import RUNGS, ladder_of, observed_val
from passes.confidence import MAX_SOFTMAX
from passes.errors import InputError
from tests.eecompile.serving.crowds import service
from tests.eecompile.serving.test_service import summary

TIMES = service(1.0, 2.0, 4.0)


def seen(images: int = 600) -> Observed:
    """Return exits that are the righter the surer they are."""
    draw = np.random.default_rng(0)
    confidence = draw.random((2, images)).astype(np.float32)
    right = draw.random((3, images)) < np.vstack([0.5 + 0.5 * confidence, np.full(images, 0.98)])
    return Observed(confidence, right, (MAX_SOFTMAX, MAX_SOFTMAX))


@pytest.mark.parametrize("optimistic", [True, False])
@pytest.mark.parametrize("floor", [0.75, 0.85, 0.9])
def test_no_rung_is_below_the_floor(floor: float, optimistic: bool) -> None:
    found = ladder_of(seen(), TIMES, [0.95, 0.95], floor, optimistic, "net")
    assert len(found) == RUNGS + 1 and found[0].thresholds == (0.95, 0.95)
    work = [rung.expected_s for rung in found]
    assert work == sorted(work, reverse=True) and work[-1] < work[0]
    for rung in found:
        where = rung.leaves_at(seen().confidence.astype(np.float64))
        right = seen().correct[where, np.arange(600)].mean()
        assert right == pytest.approx(rung.accuracy_val) and right >= floor
        assert rung.expected_s == pytest.approx(TIMES.alone_s[where].mean())
        assert rung.outlook.mean[0] == pytest.approx(rung.expected_s)
        assert rung.bounded_val == pytest.approx(right) if optimistic else rung.bounded_val < right
    assert all(rung.bounded_val >= floor - 1e-9 for rung in found[1:])
    assert len(set(work)) == RUNGS + 1, "steps are apart"


def test_a_run_below_its_floor_is_told() -> None:
    with pytest.raises(InputError, match=r"net has .* % on val, which is below the floor of 97 %"):
        ladder_of(seen(), TIMES, [0.0, 0.5], 0.97, True, "net")


def test_a_floor_that_the_run_just_keeps_leaves_no_other_thresholds() -> None:
    own = ladder_of(seen(), TIMES, [0.95, 0.95], 0.5, False, "net")[0]
    found = ladder_of(seen(), TIMES, [0.95, 0.95], own.accuracy_val, False, "net")
    assert {rung.thresholds for rung in found} == {own.thresholds}


def test_val_is_seen_with_the_rules_of_the_run() -> None:
    exits = [one.model_copy(update={"confidence": "patience{}"}) for one in summary(True).exits]
    answers = SplitSamples(
        np.zeros(2, np.int32), np.zeros((1, 2), np.float32), np.array([[0, 1], [0, 0]], np.int32),
        np.ones((2, 2), np.float32), np.array([1, 0], np.int32),
    )  # fmt: skip
    found = observed_val(summary(True).model_copy(update={"exits": tuple(exits)}), answers)
    assert found.rules[0].whole and found.static_correct.tolist() == [False, True]
