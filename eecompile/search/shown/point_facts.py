"""A point of a front in words: the figures, exits, training and schedule that a page shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eecompile.report.gantt import GanttChart, gantt_charts
from eecompile.report.provenance import Fact
from eecompile.report.schedule_facts import schedule_facts
from eecompile.search.shown.front import ShownFront, ShownPoint
from eecompile.search.shown.measures import COSTS, ShownMeasure
from eecompile.wording import quantities
from passes.confidence import confidence_rule

Measures = Mapping[str, ShownMeasure]
_GIVEN = "by the recipe"


@dataclass(frozen=True)
class PlannedFigure:
    """A figure as it was planned, before the network was trained on and scheduled, and as it came out."""

    label: str
    planned: str
    summed: str
    final: str


@dataclass(frozen=True)
class PointFacts:
    """What a page shows of a point.

    Attributes:
        key: Its front and place, as the script has it: ``0-3``.
        css: Colour of its front.
        figures: Label, value, and in small what it is against the same backbone without exits.
        exits: As in ``front.json``, with the costs of their paths where these are known.
        planned: Figures on their way.
        schedule: ``None`` where it is not known.
    """

    key: str
    css: str
    front: ShownFront
    point: ShownPoint
    figures: tuple[tuple[str, str, str], ...]
    genes: tuple[Fact, ...]
    exits: tuple[Mapping[str, Any], ...]
    planned: tuple[PlannedFigure, ...]
    provenance: tuple[Fact, ...]
    layers: tuple[Mapping[str, Any], ...]
    schedule: GanttChart | None


def point_facts(front: ShownFront, point: ShownPoint, key: str, css: str, measures: Measures) -> PointFacts:
    """Return what a page shows of a point, in the units of measures by their names."""
    facts, files = point.facts, point.files
    charts = () if files is None else gantt_charts(*_trace(files.trace), width=1000)
    return PointFacts(
        key,
        css,
        front,
        point,
        tuple(_figures(point, measures)),
        tuple(_genes(facts)),
        tuple(_exits(point, measures)),
        tuple(_planned(point, measures)),
        tuple(_provenance(front, point)),
        () if files is None else tuple(files.known["layers"]),
        max(charts, key=lambda chart: len(chart[-1].bars))[-1] if charts else None,
    )


def _trace(trace: Mapping[str, Any]) -> tuple[Any, Any]:
    return trace["traceEvents"], schedule_facts(trace.get("otherData"))


def _figures(point: ShownPoint, measures: Measures) -> Iterator[tuple[str, str, str]]:
    for name, measure in measures.items():
        value, base = point.figures.get(measure.key), point.static.get(measure.key)
        if value is None:
            continue
        small = ""
        if measure.key == "accuracy" and "accuracy_ci95" in point.facts:
            small = f"95 %: {quantities.interval(point.facts['accuracy_ci95'], 100)}"
        elif measure.rises and base is not None:
            small = "" if base == value else f"{point.against} {measure.text(base)}"
        elif base:
            small = quantities.change(1 - value / base)
        yield measure.words if name != "exits" else "early exits", measure.text(value), small


def _genes(facts: Mapping[str, Any]) -> Iterator[Fact]:
    for name, value in facts.get("params", {}).items():
        yield Fact(str(name).replace(".", ": ").replace("_", " "), str(value))


def _exits(point: ShownPoint, measures: Measures) -> Iterator[Mapping[str, Any]]:
    """Yield all exits, the final one last."""
    paths = [] if point.files is None else point.files.known["paths"]
    early = list(point.facts.get("exits", ()))
    if not point.facts:
        return
    final = {"name": "final", "mount": "", "head": "own classifier", "confidence": "", "threshold": None}
    for number, item in enumerate([*early, final | {"ratio": point.facts.get("final_ratio", 0.0)}]):
        path = paths[number] if number < len(paths) else {}
        costs = [measures[name].text(path.get(measures[name].key)) for name in COSTS]
        yield {**item, "costs": costs, "leaves": _leaves(item)}


def _leaves(item: Mapping[str, Any]) -> str:
    """Return in words which images leave at an exit."""
    if item["threshold"] is None:
        return "all that are left"
    if item["threshold"] == float(confidence_rule(item["confidence"]).never):
        return f"{item['confidence']}: never"
    return f"{item['confidence']} ≥ {item['threshold']:.4f}"


def _planned(point: ShownPoint, measures: Measures) -> Iterator[PlannedFigure]:
    before, summed = point.facts.get("before", {}), point.facts.get("summed", {})
    for measure in measures.values():
        if measure.key in before and measure.key in point.figures:
            yield PlannedFigure(
                measure.words,
                measure.text(before[measure.key]),
                measure.text(summed.get(measure.key)),
                measure.text(point.figures[measure.key]),
            )


def _provenance(front: ShownFront, point: ShownPoint) -> Iterator[Fact]:
    for label, value in front.facts:
        yield Fact(label, value)
    facts = point.facts
    if not facts:
        return
    yield Fact("trial and point", f"{facts['trial']}, {facts['point']}")
    if facts.get("operating_point"):
        yield Fact("operating point", str(facts["operating_point"]))
    yield Fact("network", f"networks/trial_{facts['trial']}_{facts['point']}.onnx")
    if point.files is not None:
        yield Fact("trained", "\n".join(_training(point.files.known["training"])))


def _training(told: Mapping[str, Any]) -> Iterator[str]:
    inherited = " from weights of a sibling" if told["inherit"] else ""
    yield f"with all exits of its backbone{inherited}: epochs {_epochs(told['epochs'])}"
    yield f"by itself: epochs {_epochs(told['final_epochs'])}"
    if told["quantize"] == "none":
        yield "answers in float"
    elif told["quantize"] == "qat":
        yield f"for its integers (qat): epochs {_epochs(told['qat_epochs'])}"
    else:
        yield "quantized after training (ptq)"


def _epochs(value: Any) -> str:
    return _GIVEN if value is None else str(value)
