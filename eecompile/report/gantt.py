"""Geometry of the schedule picture: cores, links and memories over one axis of time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eecompile.report.charts import Mark, Scale, ticks
from eecompile.report.memory_rows import MemoryRow, memory_rows
from eecompile.report.pictures import Picture, TrackSlices, pictures
from eecompile.report.schedule_facts import ScheduleFacts
from eecompile.report.slices import Slice, joined
from eecompile.wording import quantities

TOP, BOTTOM, MARGIN = 34, 26, 12
_LINKS = ("port", "link")
_HEADING = 22
_LETTER = 7.0
# A name that is cut to fewer letters tells nothing.
_SHORTEST = 9


class _Size(NamedTuple):
    row: int
    bar: int


_MAJOR, _MINOR = _Size(30, 20), _Size(15, 10)


@dataclass(frozen=True)
class Bar:
    """A stretch of a track; ``text`` fits into it or is empty, ``label`` is its tooltip."""

    x: float
    y: float
    width: float
    height: int
    css: str
    text: str
    label: str


@dataclass(frozen=True)
class Track:
    """A row: a core, a link, or one lane of what several share.

    Attributes:
        label: Its name, short enough for the margin.
        busy: How much of the time it works; empty for further lanes.
        minor: Drawn low, as links are.
    """

    name: str
    label: str
    y: float
    height: int
    busy: str
    minor: bool


@dataclass(frozen=True)
class GanttChart:
    """A schedule picture; sizes in pixels of the view box.

    Attributes:
        headings: What groups of rows are called.
        exits: When exit paths end.
    """

    title: str
    width: int
    height: int
    left: int
    tracks: tuple[Track, ...]
    bars: tuple[Bar, ...]
    headings: tuple[Mark, ...]
    memories: tuple[MemoryRow, ...]
    ticks: tuple[Mark, ...]
    exits: tuple[Mark, ...]


def gantt_charts(
    events: Sequence[Mapping[str, Any]], facts: ScheduleFacts | None = None, width: int = 1120
) -> tuple[tuple[GanttChart, ...], ...]:
    """Return for each schedule of a trace one picture per exit path; the last one shows all.

    Args:
        events: Chrome trace events: ``X`` are bars, ``C`` levels of memories, ``M`` names, ``i`` exits.
        facts: What the trace says beside them; without, only whole schedules are drawn.
        width: Width of the view box in pixels.
    """
    found: list[tuple[GanttChart, ...]] = []
    for picture in pictures(events, facts):
        if facts is None:
            found.append((_chart(picture, picture.end, None, 0, width),))
        else:
            ends = [max(stage.end_cycle, 1) for stage in facts.stages]
            found.append(tuple(_chart(picture, end, facts, path, width) for path, end in enumerate(ends)))
    return tuple(found)


def short_label(track: str) -> str:
    """Return what a track is called in the margin: of a wire, where it leads from and to."""
    wire = re.fullmatch(r"link_\d+\.(.+)>(.+?)( #\d+)?", track)
    if wire is None:
        return track
    joined_ends, towards, lane = wire[1], wire[2], wire[3] or ""
    other = joined_ends.removeprefix(f"{towards}-").removesuffix(f"-{towards}")
    return f"{other} → {towards}{lane}"


def _chart(picture: Picture, end: float, facts: ScheduleFacts | None, path: int, width: int) -> GanttChart:
    end = end or 1.0
    shares = {} if facts is None else {r.name: r.working[path] for r in facts.resources}
    cores = [track for track in picture.tracks if track.group not in _LINKS]
    links = [track for track in picture.tracks if track.group in _LINKS]
    links = [track for track in links if any(item.start < end for item in track.slices)]
    left = 214 if links or picture.levels else 108
    x = Scale(0.0, end, left, width - MARGIN)
    headings: list[Mark] = []
    tracks, bars = _rows(cores, TOP, False, shares, x)
    y = float(TOP + _MAJOR.row * len(cores))
    if links:
        headings.append(Mark(0, y + 15, "links and ports, busiest first"))
        more_tracks, more_bars = _rows(_busiest(links, shares), y + _HEADING, True, shares, x)
        tracks, bars = [*tracks, *more_tracks], [*bars, *more_bars]
        y += _HEADING + _MINOR.row * len(links)
    memories: tuple[MemoryRow, ...] = ()
    if picture.levels and facts is not None:
        headings.append(Mark(0, y + 15, "memories"))
        memories = memory_rows(picture.levels, facts.stores, path, x, y + _HEADING)
        y = memories[-1].bottom + 4 if memories else y
    return GanttChart(
        picture.title,
        width,
        int(y) + BOTTOM,
        left,
        tuple(tracks),
        tuple(bars),
        tuple(headings),
        memories,
        tuple(Mark(x(value), y + 4, f"{value:,.0f}") for value in ticks(0.0, end, 8) if value <= end),
        _exits(picture.exits, x),
    )


def _rows(
    tracks: Sequence[TrackSlices], top: float, minor: bool, shares: Mapping[str, float], x: Scale
) -> tuple[list[Track], list[Bar]]:
    """Return rows from ``top`` down, and the bars in them up to the end of the axis."""
    size = _MINOR if minor else _MAJOR
    pixel = x.high / (x.end - x.start)
    rows, bars = [], []
    for index, track in enumerate(tracks):
        y = top + index * size.row
        busy = quantities.percent(shares.get(track.resource, _worked(track, x.high)), 0)
        first = track.name == track.resource
        rows.append(Track(track.name, short_label(track.name), y, size.row, busy if first else "", minor))
        seen = [item for item in track.slices if item.start < x.high]
        bars += [
            _bar(item, x, y + (size.row - size.bar) / 2, size.bar, track.name) for item in joined(seen, pixel)
        ]
    return rows, bars


def _busiest(tracks: Sequence[TrackSlices], shares: Mapping[str, float]) -> list[TrackSlices]:
    """Return tracks by how busy their resources are, lanes of one beside each other."""
    order = {track.name: index for index, track in enumerate(tracks)}
    return sorted(tracks, key=lambda t: (-shares.get(t.resource, 0.0), t.resource, order[t.name]))


def _worked(track: TrackSlices, end: float) -> float:
    return sum(item.end - item.start for item in track.slices if "wait" not in item.spent) / end


def _bar(item: Slice, x: Scale, y: float, height: int, track: str) -> Bar:
    start, stop = x(item.start), min(x(item.end), x.end)
    width = max(stop - start, 0.6)
    name = item.names[0] if len(item.names) == 1 else ""
    room = min(24, math.ceil((width - 6) / _LETTER) - 1)
    unnamed = item.css == "kind-wait" or height < _MAJOR.bar or room < min(len(name), _SHORTEST)
    text = "" if unnamed else quantities.shortened(name, room)
    return Bar(start, y, round(width, 1), height, item.css, text, f"{track}: {item.label}")


def _exits(exits: Sequence[tuple[str, float]], x: Scale) -> tuple[Mark, ...]:
    """Place exit labels; one that would overlap the label before it moves down a line."""
    marks: list[Mark] = []
    for name, cycle in exits:
        if cycle > x.high:
            continue
        at = x(cycle)
        crowded = bool(marks) and marks[-1].y == 12 and at - marks[-1].x < 64
        marks.append(Mark(at, 26 if crowded else 12, name))
    return tuple(marks)
