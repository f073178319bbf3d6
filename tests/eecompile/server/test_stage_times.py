from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.server.contract import History
from eecompile.server.stage_times import ENOUGH_S, RUNS, measured, outlook_of
from tests.eecompile.server.made_model import MadeModel, write_made


class Clock:
    """Goes on by what a run of a made-up network takes: a second per image in stage 0, two in stage 1."""

    def __init__(self, model: MadeModel, scale: float) -> None:
        self.model, self.scale = model, scale

    def __call__(self) -> float:
        return self.scale * sum((1 + stage) * len(tags) for stage, tags in self.model.ran)


def test_each_stage_and_batch_is_run_a_few_times_and_what_lies_between_is_on_a_line(tmp_path: Path) -> None:
    model = MadeModel(write_made(tmp_path))
    found = measured(model, 6, Clock(model, 1e-4))
    np.testing.assert_allclose(found.stage_s[0], np.arange(1, 7) * 1e-4)
    np.testing.assert_allclose(found.stage_s[1], np.arange(1, 7) * 2e-4)
    assert not found.stage_j.any()
    sizes = [len(tags) for _, tags in model.ran]
    assert {size: sizes.count(size) for size in set(sizes)} == dict.fromkeys((1, 2, 4, 6), 2 * (RUNS + 1))


def test_long_stages_are_run_fewer_times(tmp_path: Path) -> None:
    model = MadeModel(write_made(tmp_path))
    measured(model, 1, Clock(model, ENOUGH_S))
    assert [stage for stage, _ in model.ran] == [0, 0, 1, 1], "once to allocate, once to measure"


def test_a_larger_batch_is_not_taken_to_be_faster(tmp_path: Path) -> None:
    model = MadeModel(write_made(tmp_path))
    times = iter(np.repeat([0, 3, 3, 5, 5, 6], 2).astype(float))

    def clock() -> float:
        return next(times, 6.0)

    found = measured(model, 2, clock)
    assert (np.diff(found.stage_s, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("history", "mean", "reach"),
    [
        (History((3, 1)), [1.5, 2.0], [0.25, 0.0]),
        (History((0, 0)), [3.0, 2.0], [0.0, 0.0]),
        (
            History((9, 9), np.array([[0.9, 0.2]]), np.array([0, 1])),
            [2.0, 2.0],
            [0.5, 0.0],
        ),
    ],
)
def test_what_the_past_tells(tmp_path: Path, history: History, mean: list[float], reach: list[float]) -> None:
    model = MadeModel(write_made(tmp_path))
    service = measured(model, 1, Clock(model, 1.0))
    found = outlook_of(history, service)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.reach, reach)
