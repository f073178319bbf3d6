"""Training curves: read from ``run.json``, drawn at their epochs; absent where none were recorded."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from eecompile.report.training_curves import training_curves
from passes.errors import InputError
from tests.eecompile.fabricated_run import run_info, training


def test_loss_and_accuracy_stand_at_their_epochs() -> None:
    found = training_curves({"training": training()})
    assert found is not None and found.sentence == "Frozen training, 3 epochs, accuracy on val."
    loss, accuracy = found.charts
    ticks = {float(t.label): t for t in accuracy.y_ticks}
    epochs = {int(t.label): t.x for t in accuracy.x_ticks}
    early, final = accuracy.series
    assert [mark.x for mark in early.marks] == [epochs[e] for e in (1, 2, 3)]
    assert early.marks[0].y == ticks[50].y and ticks[80].y == final.marks[0].y
    assert early.marks[2].label == "exit_0, epoch 3: 71 %"
    assert (early.label, final.label, early.css, final.css) == ("exit_0 71 %", "final 86 %", "c0", "c1")
    assert (loss.title, accuracy.title, accuracy.unit) == ("loss", "accuracy", " %")
    assert [mark.y for mark in loss.series[0].marks] == sorted(mark.y for mark in loss.series[0].marks), (
        "it falls"
    )


def test_an_exit_that_came_later_and_a_loss_that_is_no_number_leave_gaps() -> None:
    made = copy.deepcopy(training())
    made["epochs"][1]["loss"] = float("nan")
    made["epochs"][2]["accuracy"]["exit_1"] = 0.9
    found = training_curves({"training": made})
    assert found is not None
    assert len(found.charts[0].series[0].marks) == 2
    assert [len(series.marks) for series in found.charts[1].series] == [3, 3, 1]


def test_more_exits_than_colours_are_told_apart() -> None:
    epochs = [{"epoch": 1, "loss": 1.0, "accuracy": {f"exit_{n}": 0.1 * n for n in range(8)}}]
    found = training_curves({"training": {"epochs": epochs}})
    assert found is not None and found.sentence == "Training, 1 epoch."
    looks = [series.css for series in found.charts[1].series]
    assert len(set(looks)) == 8


def test_a_loss_alone_is_one_chart() -> None:
    found = training_curves({"training": {"epochs": [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]}})
    assert found is not None and [chart.title for chart in found.charts] == ["loss"]


@pytest.mark.parametrize("epochs", [[1], [5], [1, 2], range(1, 5), range(1, 17), range(3, 201), [0]])
def test_epochs_are_whole_and_all_within_the_frame(epochs: list[int]) -> None:
    found = training_curves({"training": {"epochs": [{"epoch": e, "loss": 1.0 / (e + 1)} for e in epochs]}})
    assert found is not None
    (chart,) = found.charts
    assert (
        all(float(tick.label) == int(float(tick.label)) for tick in chart.x_ticks) and len(chart.x_ticks) > 1
    )
    places = [mark.x for mark in chart.series[0].marks]
    assert places == sorted(places) and chart.left <= places[0] and places[-1] <= chart.right


@pytest.mark.parametrize(
    "info",
    [
        {},
        run_info(with_data=True),
        {"training": {"trained": []}},
        {"training": {"epochs": []}},
        {"training": 3},
    ],
)
def test_without_epochs_there_are_no_curves(info: dict[str, Any]) -> None:
    assert training_curves(info) is None


@pytest.mark.parametrize("epochs", [3, ["first"], [{"epoch": 1}], [{"epoch": 1, "loss": "low"}]])
def test_epochs_that_are_none_are_named(epochs: Any) -> None:
    with pytest.raises(InputError, match=r"run\.json is damaged: training\.epochs"):
        training_curves({"training": {"epochs": epochs}})
