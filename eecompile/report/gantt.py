"""Geometry of the schedule picture: cores, links and memories over one axis of time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eecompile import wording
from eecompile.report.charts import Mark, Scale, ticks
from eecompile.report.memory_rows import MemoryRow, memory_rows
from eecompile.report.schedule_facts import ScheduleFacts
from eecompile.report.slices import Picture, Slice, TrackSlices, joined, pictures

TOP, BOTTOM, MARGIN = 34, 26, 12
# Height of a row and of the bars in it.
_MAJOR, _MINOR = (30, 20), (15, 10)
_HEADING = 22
_LETTER = 7.0


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
    found = []
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
    used = [track for track in picture.tracks if any(item.start < end for item in track.slices)]
    minor = [track for track in used if track.group in {"port", "link"}]
    left = 214 if minor or picture.levels else 108
    x = Scale(0.0, end, left, width - MARGIN)
    tracks: list[Track] = []
    bars: list[Bar] = []
    headings: list[Mark] = []
    y = float(TOP)
    for group, (row, bar_height) in ((_majors(picture), _MAJOR), (_busiest(minor, shares), _MINOR)):
        if group is not None and group and row == _MINOR[0]:
            headings.append(Mark(0, y + 15, "links and ports, busiest first"))
            y += _HEADING
        for track in group:
            busy = wording.percent(shares.get(track.resource, _worked(track, end)), 0)
            lane = track.name != track.resource
            tracks.append(
                Track(
                    track.name, short_label(track.name), y, row, "" if lane else busy, row == _MINOR[0]
                )
            )
            seen = [s for s in track.slices if s.start < end]
            pixel = end / (width - MARGIN - left)
            bars += [_bar(s, x, y + (row - bar_height) / 2, bar_height, track.name) for s in joined(seen, pixel)]
            y += row
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


def _majors(picture: Picture) -> list[TrackSlices]:
    return [track for track in picture.tracks if track.group not in {"port", "link"}]


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
    text = "" if item.css == "kind-wait" or height < _MAJOR[1] else wording.shortened(name, 24)
    fits = width > _LETTER * len(text) + 6
    return Bar(start, y, round(width, 1), height, item.css, text if fits else "", f"{track}: {item.label}")


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
