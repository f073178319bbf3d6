"""Geometry of the page's charts: numbers of a simulation in, plain points and labels out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eecompile.report.charts import PALETTE_SIZE, Frame, Mark, Scale, Series, ticks
from eecompile.serving.shown.detail import ServingDetail, WayDetail
from targets.schedule.view.lanes import lanes_of

WIDTH, HEIGHT = 480, 300
# Late shares below this are drawn on it.
LEAST_LATE = 1e-4
# Of a Gantt.
ROW, LANE, NAMES = 18, 24, 84


@dataclass(frozen=True)
class PolicyChart(Frame):
    """A chart with a line for each policy.

    Attributes:
        series: The lines.
        marks_x: Where vertical lines stand that mean something, such as deadlines.
    """

    series: tuple[Series, ...]
    marks_x: tuple[Mark, ...]


def tail_chart(detail: ServingDetail, slo_s: Sequence[float]) -> PolicyChart:
    """Return the share of requests that are slower, over latency in ms; both axes logarithmic."""
    values = [1e3 * seconds for row in detail.rows for _, seconds in row.tail]
    due = sorted({1e3 * one for one in slo_s if math.isfinite(one)})
    shares = [share for row in detail.rows for share, _ in row.tail]
    x = _log_scale(min(values), max(values), 56, WIDTH - 16)
    y = _log_scale(min(shares), 1.0, HEIGHT - 48, 30)

    def points(row: WayDetail) -> list[Mark]:
        return [
            Mark(
                x.at(1e3 * seconds),
                y.at(share),
                f"{row}: {100 * share:g} % take longer than {1e3 * seconds:.4g} ms",
            )
            for share, seconds in row.tail
        ]

    marks = tuple(Mark(x.at(one), 0.0, f"due after {one:.4g} ms") for one in due if x.low <= one <= x.high)
    return _chart(detail.rows, points, x, y, marks)


def load_chart(detail: ServingDetail) -> PolicyChart | None:
    """Return the share of late requests over requests per second; ``None`` where it was not asked for."""
    rates = [rate for row in detail.rows for rate, _ in row.curve]
    if not rates:
        return None
    values = ticks(0.0, max(rates), 5)
    scale = Scale(values[0], values[-1], 56, WIDTH - 16)
    x = _Axis(scale, values[0], values[-1], values, log=False)
    y = _log_scale(LEAST_LATE, 1.0, HEIGHT - 48, 30)

    def points(row: WayDetail) -> list[Mark]:
        return [
            Mark(
                x.at(rate),
                y.at(max(late, LEAST_LATE)),
                f"{row}: {100 * late:.3g} % late at {rate:.4g} requests/s",
            )
            for rate, late in row.curve
        ]

    return _chart(detail.rows, points, x, y, ())


@dataclass(frozen=True)
class _Axis:
    """A scale, from its lowest to its highest value, with ticks at some."""

    scale: Scale
    low: float
    high: float
    values: list[float]
    log: bool = True

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.scale(math.log10(value) if self.log else value)


def _log_scale(low: float, high: float, start: float, end: float) -> _Axis:
    """Return an axis of whole decades, or of 1, 2 and 5 in each where there are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    values = [step * 10.0**power for power in range(first, last) for step in steps] + [10.0**last]
    return _Axis(Scale(first, last, start, end), 10.0**first, 10.0**last, values)


def _chart(
    rows: Sequence[WayDetail],
    points: Callable[[WayDetail], list[Mark]],
    x: _Axis,
    y: _Axis,
    marks_x: tuple[Mark, ...],
) -> PolicyChart:
    series = [
        Series(str(row), f"c{number % PALETTE_SIZE}", tuple(points(row)), None)
        for number, row in enumerate(rows)
    ]
    bottom = HEIGHT - 48
    return PolicyChart(
        WIDTH, HEIGHT, 56, WIDTH - 16, 30, bottom,
        tuple(Mark(x.at(value), bottom, f"{value:g}") for value in x.values),
        tuple(Mark(56, y.at(value), f"{100 * value:g}") for value in y.values),
        tuple(series), marks_x,
    )  # fmt: skip


@dataclass(frozen=True)
class WindowBar:
    """A bar of a Gantt, in pixels."""

    x: float
    y: float
    width: float
    height: float
    css: str
    label: str


@dataclass(frozen=True)
class WindowGantt(Frame):
    """A window of what ran.

    Attributes:
        bars: The accelerator above, a row for each request below, waiting pale and stages full.
        due: Where deadlines are, at the row of their requests.
        names: Of the rows.
    """

    bars: tuple[WindowBar, ...]
    due: tuple[Mark, ...]
    names: tuple[Mark, ...]


def window_gantt(detail: ServingDetail, networks: Sequence[str]) -> WindowGantt:
    """Return the window as bars over time in ms since its begin."""
    begin, end = detail.stages[0].begin_s, max(stage.end_s for stage in detail.stages)
    values = ticks(0.0, 1e3 * (end - begin), 8)
    values = [one for one in values if one <= 1e3 * (end - begin) * 1.0001]
    scale = Scale(begin, end, NAMES, 900 - 16)
    row_of = {one.number: LANE + 36 + ROW * place for place, one in enumerate(detail.requests)}
    bars, due = [], []
    for one in detail.requests:
        first, last = scale(max(one.arrival_s, begin)), scale(min(one.finish_s, end))
        late = one.deadline_s is not None and one.finish_s > one.deadline_s
        label = (
            f"request {one.number}: {1e3 * (one.finish_s - one.arrival_s):.4g} ms{', late' if late else ''}"
        )
        y = row_of[one.number]
        bars.append(
            WindowBar(first, y + 4, max(last - first, 0.5), 8, "loss" if late else "kind-wait", label)
        )
        if one.deadline_s is not None and begin <= one.deadline_s <= end:
            due.append(Mark(scale(one.deadline_s), y, f"request {one.number} is due"))
    lanes = lanes_of((stage.begin_s, stage.end_s) for stage in detail.stages)
    slim = (LANE - 6) / (max(lanes) + 1)
    for lane, stage in zip(lanes, detail.stages, strict=True):
        css = f"c{stage.stage % PALETTE_SIZE}"
        x, width = scale(stage.begin_s), max(scale(stage.end_s) - scale(stage.begin_s), 0.5)
        label = (
            f"{networks[stage.network]}, stage {stage.stage}: {1e3 * (stage.end_s - stage.begin_s):.4g} ms"
        )
        bars.append(WindowBar(x, 30 + lane * slim, width, slim, css, label))
        bars += [WindowBar(x, row_of[number] + 2, width, 12, css, label) for number in stage.requests]
    height = LANE + 36 + ROW * len(row_of) + 48
    names = (Mark(0, 30 + 13, "accelerator"), *(Mark(0, y + 12, f"#{n}") for n, y in row_of.items()))
    return WindowGantt(
        900, height, NAMES, 900 - 16, 30, height - 48,
        tuple(Mark(scale(begin + value / 1e3), height - 48, f"{value:g}") for value in values), (),
        tuple(bars), tuple(due), names,
    )  # fmt: skip
