"""How training went, epoch by epoch: loss and accuracy per exit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from eecompile.report.charts import PALETTE_SIZE, Frame, Mark, Series, framed, ticks
from eecompile.wording import quantities
from passes.errors import InputError


class _Epoch(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: int
    loss: float
    accuracy: dict[str, float] = {}


@dataclass(frozen=True)
class TrainingChart(Frame):
    """Lines over epochs; ``unit`` follows the numbers of the y axis, ``y_title`` says what they are of."""

    title: str
    y_title: str
    unit: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class TrainingCurves:
    """What is known of a training.

    Attributes:
        charts: Loss, and accuracy per exit where it was measured.
        sentence: Which trainer, how many epochs, and what accuracies are of.
    """

    charts: tuple[TrainingChart, ...]
    sentence: str


def training_curves(info: Mapping[str, Any]) -> TrainingCurves | None:
    """Return the curves of ``training`` in ``run.json``; ``None`` where no epochs were recorded.

    Raises:
        InputError: Epochs that are none.
    """
    training = info.get("training")
    if not isinstance(training, Mapping) or not training.get("epochs"):
        return None
    try:
        epochs = [_Epoch.model_validate(entry) for entry in training["epochs"]]
    except (TypeError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(f"run.json is damaged: training.epochs: {said}", "repeat the run") from None
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.accuracy))
    losses = [(e.epoch, e.loss) for e in epochs]
    accuracies = {
        name: [(e.epoch, 100 * e.accuracy[name]) for e in epochs if name in e.accuracy] for name in names
    }
    charts = [_chart("loss", "mean loss of a step", "", {"loss": losses})]
    on = str(training.get("accuracy_on") or "")
    if names:
        charts.append(_chart("accuracy", f"accuracy{f' on {on}' if on else ''}, %", " %", accuracies))
    parts = [
        f"{training['trainer']} training" if training.get("trainer") else "training",
        f"{len(epochs)} epoch{'s' * (len(epochs) > 1)}",
    ]
    if names and on:
        parts.append(f"accuracy on {on}")
    sentence = ", ".join(parts) + "."
    return TrainingCurves(
        tuple(chart for chart in charts if chart is not None), sentence[0].upper() + sentence[1:]
    )


def _chart(
    title: str,
    y_title: str,
    unit: str,
    lines: Mapping[str, Sequence[tuple[int, float]]],
    width: int = 460,
    height: int = 280,
) -> TrainingChart | None:
    known = {name: [p for p in points if math.isfinite(p[1])] for name, points in lines.items()}
    everything = [point for points in known.values() for point in points]
    if not everything:
        return None
    epochs = [x for x, _ in everything]
    x_values = next(v for v in (ticks(min(epochs), max(epochs), n) for n in range(6, 0, -1)) if _whole(v))
    values = [y for _, y in everything]
    frame, x, y = framed(x_values, ticks(min(values), max(values), 5), width, height)
    series = []
    for number, (name, points) in enumerate(known.items()):
        css = f"c{number % PALETTE_SIZE}" + (" dashed" if number >= PALETTE_SIZE else "")
        last = f"{quantities.shortened(name, 20)} {points[-1][1]:.3g}{unit}" if points else name
        marks = tuple(Mark(x(e), y(v), f"{name}, epoch {e}: {v:.4g}{unit}") for e, v in points)
        series.append(Series(last, css, marks, None))
    return TrainingChart(**vars(frame), title=title, y_title=y_title, unit=unit, series=tuple(series))


def _whole(values: Sequence[float]) -> bool:
    """Return whether all values are epochs; one tick per epoch always is among those asked for."""
    return all(value == int(value) for value in values)
