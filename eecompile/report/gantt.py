"""The schedule picture: trace events to bars on tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eecompile import wording
from eecompile.report.charts import Mark, Scale, ticks

ROW_HEIGHT = 30
BAR_HEIGHT = 20
LEFT = 108
TOP = 34
_KINDS = {
    "dma": "kind-dma",
    "load": "kind-dma",
    "store": "kind-dma",
    "host": "kind-host",
    "stall": "kind-wait",
    "wait": "kind-wait",
}


@dataclass(frozen=True)
class Bar:
    """One event on a track; ``text`` fits into it or is empty, ``label`` is its tooltip."""

    x: float
    y: float
    width: float
    css: str
    text: str
    label: str


@dataclass(frozen=True)
class Track:
    """One resource: a core, a DMA engine or the host."""

    name: str
    y: float
    busy: str


@dataclass(frozen=True)
class GanttChart:
    """A schedule picture; sizes in pixels of the view box."""

    title: str
    width: int
    height: int
    tracks: tuple[Track, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    exits: tuple[Mark, ...]


def gantt_charts(
    events: Sequence[Mapping[str, Any]], colours: Mapping[str, str], width: int = 1120
) -> tuple[GanttChart, ...]:
    """Return one picture per process of the trace (one process is one schedule), in order of appearance.

    Args:
        events: Chrome trace events: ``X`` are bars, ``M`` name processes and threads, ``i`` mark exits.
        colours: CSS class of each core, by the name of its track.
        width: Width of the view box in pixels.
    """
    timed = [e for e in events if e.get("ph") == "X" and isinstance(e.get("ts"), int | float)]
    charts = []
    for process in dict.fromkeys(e.get("pid") for e in timed):
        mine = [e for e in events if e.get("pid") == process]
        charts.append(_chart(process, mine, colours, width))
    return tuple(charts)


def _chart(
    process: Any, events: Sequence[Mapping[str, Any]], colours: Mapping[str, str], width: int
) -> GanttChart:
    bars = [e for e in events if e.get("ph") == "X"]
    names = {(e.get("name"), e.get("tid")): _argument(e, "name") for e in events if e.get("ph") == "M"}
    title = next((n for (kind, _), n in names.items() if kind == "process_name"), f"schedule {process}")
    end = max(_start(e) + _length(e) for e in bars) or 1.0
    x = Scale(0.0, end, LEFT, width - 12)
    labels = {e.get("tid"): str(names.get(("thread_name", e.get("tid"))) or e.get("tid")) for e in bars}
    order = sorted(labels, key=lambda tid: (_rank(labels[tid], colours), labels[tid]))
    height = TOP + ROW_HEIGHT * len(order) + 26
    tracks = {
        tid: Track(labels[tid], TOP + ROW_HEIGHT * row, _busy(bars, tid, end))
        for row, tid in enumerate(order)
    }
    return GanttChart(
        str(title),
        width,
        height,
        tuple(tracks.values()),
        tuple(_bar(e, x, tracks[e.get("tid")], colours) for e in bars),
        tuple(Mark(x(value), height - 22, f"{value:,.0f}") for value in ticks(0.0, end, 8) if value <= end),
        _exits(events, x),
    )


def _rank(track: str, colours: Mapping[str, str]) -> str:
    """Cores first, in the order of their colours, then what serves them."""
    return colours.get(track, "kind")


def _busy(bars: Sequence[Mapping[str, Any]], track: Any, end: float) -> str:
    worked = sum(_length(e) for e in bars if e.get("tid") == track and e.get("cat") != "wait")
    return wording.percent(worked / end, 0)


def _bar(event: Mapping[str, Any], x: Scale, track: Track, colours: Mapping[str, str]) -> Bar:
    start, length = _start(event), _length(event)
    width = max(x(start + length) - x(start), 0.6)
    name, kind = str(event.get("name", "")), str(event.get("cat", ""))
    text = "" if kind == "wait" else wording.shortened(name, 24)
    doing = "waits for" if kind == "wait" else "runs"
    return Bar(
        x(start),
        track.y + (ROW_HEIGHT - BAR_HEIGHT) / 2,
        round(width, 1),
        _KINDS.get(kind) or colours.get(track.name, "c0"),
        text if width > 7.0 * len(text) + 6 else "",
        f"{track.name} {doing} {name}: cycles {start:,.0f} to {start + length:,.0f} ({length:,.0f})",
    )


def _exits(events: Sequence[Mapping[str, Any]], x: Scale) -> tuple[Mark, ...]:
    """Place exit labels; one that would overlap the label before it moves down a line."""
    marks: list[Mark] = []
    for event in sorted((e for e in events if e.get("ph") == "i"), key=_start):
        at = x(_start(event))
        crowded = bool(marks) and marks[-1].y == 12 and at - marks[-1].x < 64
        marks.append(Mark(at, 26 if crowded else 12, str(event.get("name", ""))))
    return tuple(marks)


def _start(event: Mapping[str, Any]) -> float:
    """Return the cycle an event begins at; a trace without cycles counts one per microsecond."""
    for key in ("start_cycle", "cycle"):
        value = _argument(event, key)
        if isinstance(value, int | float):
            return float(value)
    return float(event["ts"])


def _length(event: Mapping[str, Any]) -> float:
    value = _argument(event, "cycles")
    return float(value if isinstance(value, int | float) else event.get("dur") or 0.0)


def _argument(event: Mapping[str, Any], key: str) -> Any:
    arguments = event.get("args")
    return arguments.get(key) if isinstance(arguments, Mapping) else None
