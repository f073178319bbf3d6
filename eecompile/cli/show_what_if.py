"""What `whatif` prints when nobody asked for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eecompile.cli.terminal import bullets, line, table

if TYPE_CHECKING:  # a verb loads only what it works with
    from eecompile.search.what_if import WhatIf


def moved(out: Console, found: WhatIf) -> None:
    """Print old and new figures of a front side by side."""
    document = found.document
    hardware = document["hardware"]
    line(out, f"The front of {hardware['of']} on {hardware['target']}")
    bullets(out, "Changed", [(c["path"], f"{c['old']:g} -> {c['new']:g}") for c in hardware["changes"]])
    from eecompile.search.shown.axes import several_clocks

    points = document["points"]
    in_seconds = several_clocks([*points, *(point["was"] for point in points)])
    edp, time = ("edp_js", "latency_s") if in_seconds else ("edp_j_cycles", "latency_cycles")
    rows = [
        (
            f"{point['trial']}",
            f"{100 * point['accuracy_val']:.1f}",
            _both(point, edp, 1.0),
            _both(point, time, 1e3 if in_seconds else 1.0),
            _both(point, "energy_pj", 1e-6),
            "yes" if point["on_front"] else "no",
            _exits(point),
        )
        for point in document["points"]
    ]
    units = ("EDP J·s", "ms") if in_seconds else ("EDP J·cycles", "cycles")
    columns = ("trial", "val %", *units, "µJ", "on the front", "exits by plan")
    table(out, "Expected figures, old -> new; costs only, nothing is trained", columns, rows, columns[1:5])
    for point in document["points"]:
        if not point["runs"]:
            line(out, f"Trial {point['trial']} cannot run there: {point['why']}")
    if document["not_in_cache"]:
        trials = ", ".join(map(str, document["not_in_cache"]))
        line(out, f"Not in the cache, so not solved anew: trials {trials}")
    line(out, f"File: {found.path}")


def _both(point: Mapping[str, Any], key: str, scale: float) -> str:
    if not point["runs"]:
        return f"{_number(point['was'], key, scale)} -> none"
    return f"{_number(point['was'], key, scale)} -> {_number(point, key, scale)}"


def _number(figures: Mapping[str, Any], key: str, scale: float) -> str:
    return f"{figures[key] * scale:.4g}" if key in figures else "not known"


def _exits(point: Mapping[str, Any]) -> str:
    planned = point.get("planned")
    if planned is None or planned["to"] is None:
        return "not known"
    if planned["from"] == planned["to"]:
        return "stay"
    return f"{', '.join(planned['from']) or 'none'} -> {', '.join(planned['to']) or 'none'}"
