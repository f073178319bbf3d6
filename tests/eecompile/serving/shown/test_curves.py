"""Charts of the page: what is more is further right, or higher, and inside the frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from eecompile.serving.shown.curves import LEAST_LATE, load_chart, tail_chart, window_gantt
from eecompile.serving.shown.detail import ServingDetail, ShownRequest, ShownStage, WayDetail

ROW = WayDetail(
    "exits", "edf", "none", [(0.5, 0.002), (0.1, 0.02), (0.01, 0.2)], [[1.0]], [(50.0, 0.0), (90.0, 0.1)]
)
DETAIL = ServingDetail(
    0, [ROW],
    [ShownStage(1.0, 1.01, 0, 0, [4]), ShownStage(1.01, 1.03, 0, 1, [5]), ShownStage(1.05, 1.06, 0, 0, [6])],
    [
        ShownRequest(4, 0, 0.9, None, 1.01), ShownRequest(5, 0, 1.0, 1.02, 1.03),
        ShownRequest(6, 0, 1.05, 1.2, 1.06),
    ],
)  # fmt: skip


def test_of_tails_each_decade_is_as_long_as_the_next() -> None:
    found = tail_chart(DETAIL, [0.05])
    x, y = ([getattr(mark, axis) for mark in found.series[0].marks] for axis in "xy")
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2) and x[0] < x[1]
    assert y[0] < y[1] < y[2] and all(found.top <= one <= found.bottom for one in y)
    assert [mark.label for mark in found.y_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert found.marks_x[0].label == "due after 50 ms" and x[1] < found.marks_x[0].x < x[2]
    assert "exits, edf: 10 % take longer than 20 ms" in found.series[0].marks[1].label


def test_of_loads_none_late_is_drawn_at_the_least() -> None:
    found = load_chart(DETAIL)
    assert found is not None
    first, second = found.series[0].marks
    assert first.y == found.bottom and second.y < first.y and first.x < second.x
    assert "0 % late at 50" in first.label and f"{100 * LEAST_LATE:g}" in [m.label for m in found.y_ticks]
    assert (
        load_chart(ServingDetail(0, [WayDetail("exits", "edf", "none", [(0.5, 1.0)], [], [])], [], []))
        is None
    )


def test_a_window_shows_waiting_work_and_what_is_late() -> None:
    found = window_gantt(DETAIL, ["net"])
    assert [name.label for name in found.names] == ["accelerator", "#4", "#5", "#6"]
    waits = [bar for bar in found.bars if bar.label.startswith("request")]
    assert [bar.css for bar in waits] == ["kind-wait", "loss", "kind-wait"]
    assert waits[1].label == "request 5: 30 ms, late"
    top = [bar for bar in found.bars if bar.y == found.top]
    assert len(top) == 3 and all(a.x + a.width <= b.x + 0.2 for a, b in pairwise(top))
    assert top[1].width == pytest.approx(2 * top[0].width, abs=0.2)
    (due,) = found.due
    assert top[1].x < due.x < top[1].x + top[1].width, "the one that is due in the window"
    assert max(bar.y + bar.height for bar in found.bars) < found.bottom < found.height


def test_stages_that_run_at_once_lie_below_each_other() -> None:
    """The first of three runs beside the two others, and ends last."""
    stages = [
        ShownStage(1.0, 1.1, 0, 0, [4]), ShownStage(1.02, 1.04, 0, 1, [5]), ShownStage(1.05, 1.06, 0, 0, [6])
    ]  # fmt: skip
    found = window_gantt(replace(DETAIL, stages=stages), ["net"])
    first, *others = (bar for bar in found.bars if bar.y < 30 + 18 and "stage" in bar.label)
    assert len(others) == 2 and all(bar.y == first.y + first.height for bar in others)
    assert all(bar.x + bar.width <= first.x + first.width for bar in others)
    assert all(bar.x + bar.width <= found.right + 0.2 for bar in found.bars)
