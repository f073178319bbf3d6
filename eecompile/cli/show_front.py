"""What `front` prints when nobody asked for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from eecompile.cli.terminal import line, table

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.verbs.front import FrontComparison

_ABSENT = "-"
_COSTS = {"edp": "EDP", "energy": "energy", "latency": "latency", "macs": "MACs"}


def fronts(out: Console, found: FrontComparison) -> None:
    """Print the points of each front, and how much each dominates."""
    from eecompile.search.shown.axes import measures_of
    from eecompile.search.shown.measures import EXITS

    measures = measures_of(found.fronts)
    for front in found.fronts:
        rows = [
            (
                point.name,
                _percent(point.figures.get("accuracy_val")),
                _percent(point.figures.get("accuracy")),
                *(measures[name].text(point.figures.get(measures[name].key)) for name in _COSTS),
                measures[EXITS].text(point.figures.get(measures[EXITS].key)),
            )
            for point in front.points
        ]
        if rows:
            columns = ("point", "val %", "test %", *_COSTS.values(), "exits")
            table(out, front.title, columns, rows, columns[1:])
        else:
            line(out, f"{front.title}: no network keeps all constraints.")
    up_to = ", ".join(
        f"{measures[name].words} {measures[name].text(v)}" for name, v in found.reference.items()
    )
    shares = [
        (front.title, str(len(front.designs)), str(len(front.points)), _share(on_val), _share(on_test))
        for front, (on_val, on_test) in zip(found.fronts, found.volumes, strict=True)
    ]
    columns = ("front", "designs", "points", "on val", "on test")
    table(out, "Hypervolume of final figures", columns, shares, columns[1:])
    line(out, f"As a share of the box up to {up_to}." if up_to else "Nothing spans a volume.")
    for warning in found.warnings:
        line(out, warning)
    if found.files:
        line(out, f"Files: {', '.join(str(path) for path in found.files)}")


def _percent(value: float | None) -> str:
    return _ABSENT if value is None else f"{100 * value:.1f}"


def _share(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.4f}"
