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
_KINDS = (("dma", "kind-dma"), ("host", "kind-host"), ("cpu", "kind-host"))


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
    end = max(float(e["ts"]) + _duration(e) for e in bars) or 1.0
    tick_values = [t for t in ticks(0.0, end, 8) if t <= end * 1.02]
    x = Scale(0.0, end, LEFT, width - 12)
    rows = {tid: index for index, tid in enumerate(dict.fromkeys(e.get("tid") for e in bars))}
    height = TOP + ROW_HEIGHT * len(rows) + 26
    tracks = tuple(
        Track(
            str(names.get(("thread_name", tid)) or tid),
            TOP + ROW_HEIGHT * row,
            wording.percent(sum(_duration(e) for e in bars if e.get("tid") == tid) / end, 0),
        )
        for tid, row in rows.items()
    )
    return GanttChart(
        str(title),
        width,
        height,
        tracks,
        tuple(_bar(e, x, tracks[rows[e.get("tid")]], colours) for e in bars),
        tuple(Mark(x(value), height - 22, f"{value:,.0f}") for value in tick_values),
        _exits(events, x),
    )


def _bar(event: Mapping[str, Any], x: Scale, track: Track, colours: Mapping[str, str]) -> Bar:
    start, duration = float(event["ts"]), _duration(event)
    width = max(x(start + duration) - x(start), 0.6)
    name = str(event.get("name", ""))
    text = wording.shortened(name, 24)
    return Bar(
        x(start),
        track.y + (ROW_HEIGHT - BAR_HEIGHT) / 2,
        round(width, 1),
        colours.get(track.name) or _css(track.name, str(event.get("cat", ""))),
        text if width > 7.0 * len(text) + 6 else "",
        f"{name} on {track.name}: {start:,.0f} to {start + duration:,.0f} ({duration:,.0f} cycles)",
    )


def _exits(events: Sequence[Mapping[str, Any]], x: Scale) -> tuple[Mark, ...]:
    """Place exit labels; one that would overlap the label before it moves down a line."""
    marks: list[Mark] = []
    for event in sorted((e for e in events if str(e.get("ph")) in "iIR"), key=lambda e: float(e["ts"])):
        at = x(float(event["ts"]))
        crowded = bool(marks) and marks[-1].y == 12 and at - marks[-1].x < 64
        marks.append(Mark(at, 26 if crowded else 12, str(event.get("name", ""))))
    return tuple(marks)


def _css(track: str, category: str) -> str:
    words = f"{track} {category}".lower()
    return next((css for word, css in _KINDS if word in words), "c0")


def _duration(event: Mapping[str, Any]) -> float:
    return float(event.get("dur") or 0.0)


def _argument(event: Mapping[str, Any], key: str) -> Any:
    arguments = event.get("args")
    return arguments.get(key) if isinstance(arguments, Mapping) else None
