"""What a trace shows: slices on tracks, levels of memories, ends of exit paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eecompile.report.charts import PALETTE_SIZE
from eecompile.report.schedule_facts import ScheduleFacts
from eecompile.report.slices import Slice

_KINDS = {
    "dma": "kind-dma",
    "load": "kind-dma",
    "store": "kind-dma",
    "stream": "kind-stream",
    "host": "kind-host",
    "stall": "kind-wait",
    "wait": "kind-wait",
}
_ORDER = ("core", "dma", "host", "port", "link")


@dataclass(frozen=True)
class TrackSlices:
    """A core, a link, or one lane of what several share."""

    name: str
    group: str
    slices: tuple[Slice, ...]

    @property
    def resource(self) -> str:
        """The resource it is a lane of."""
        return re.sub(r" #\d+$", "", self.name)


@dataclass(frozen=True)
class Picture:
    """A schedule as it is drawn.

    Attributes:
        exits: Names of exits and when their paths end.
        levels: By store, cycles and the bits that lie there from then on.
    """

    title: str
    tracks: tuple[TrackSlices, ...]
    exits: tuple[tuple[str, float], ...]
    levels: Mapping[str, Sequence[tuple[float, float]]]

    @property
    def end(self) -> float:
        """When all is over."""
        return max((s.end for track in self.tracks for s in track.slices), default=0.0)


def pictures(events: Sequence[Mapping[str, Any]], facts: ScheduleFacts | None) -> tuple[Picture, ...]:
    """Return what a trace shows.

    Traces with facts are one schedule; in those of earlier versions each process is one.
    """
    timed = [e for e in events if e.get("ph") == "X" and _has_time(e)]
    if facts is not None:
        return (_picture(facts.name, events, timed, facts),) if timed else ()
    found = []
    for process in dict.fromkeys(e.get("pid") for e in timed):
        own = [e for e in events if e.get("pid") == process]
        titles = [_argument(e, "name") for e in own if e.get("name") == "process_name"]
        title = titles[0] if titles else f"schedule {process}"
        found.append(_picture(str(title), own, [e for e in timed if e.get("pid") == process], None))
    return tuple(found)


def _picture(
    title: str,
    events: Sequence[Mapping[str, Any]],
    timed: Sequence[Mapping[str, Any]],
    facts: ScheduleFacts | None,
) -> Picture:
    names = {
        (e.get("pid"), e.get("tid")): str(_argument(e, "name"))
        for e in events
        if e.get("ph") == "M" and e.get("name") == "thread_name"
    }
    places = dict.fromkeys([*names, *((e.get("pid"), e.get("tid")) for e in timed)])
    layers = dict.fromkeys(str(_argument(e, "for") or e.get("name", "")) for e in timed)
    colours = {layer: f"c{index % PALETTE_SIZE}" for index, layer in enumerate(layers)}
    groups = {resource.name: resource.group for resource in facts.resources} if facts is not None else {}
    tracks = []
    for place in places:
        own = [e for e in timed if (e.get("pid"), e.get("tid")) == place]
        slices = tuple(sorted((_slice(e, colours) for e in own), key=lambda s: (s.start, s.end)))
        track = TrackSlices(names.get(place, str(place[1])), "", slices)
        tracks.append(replace(track, group=groups.get(track.resource) or _group(slices)))
    tracks.sort(key=lambda track: _ORDER.index(track.group) if track.group in _ORDER else len(_ORDER))
    marks = [e for e in events if e.get("ph") == "i" and _has_time(e)]
    exits = tuple(sorted(((str(e.get("name", "")), _start(e)) for e in marks), key=lambda mark: mark[1]))
    return Picture(title, tuple(tracks), exits, _levels(events, facts))


def _levels(
    events: Sequence[Mapping[str, Any]], facts: ScheduleFacts | None
) -> dict[str, list[tuple[float, float]]]:
    levels: dict[str, list[tuple[float, float]]] = {}
    cycles_per_us = (facts.clock_hz or 1e6) / 1e6 if facts is not None else 1.0
    for event in events:
        bits, at = _argument(event, "bits"), event.get("ts")
        if event.get("ph") == "C" and isinstance(bits, int | float) and isinstance(at, int | float):
            levels.setdefault(str(event.get("name", "")), []).append((at * cycles_per_us, float(bits)))
    return levels


def _group(slices: Iterable[Slice]) -> str:
    """Return what a track is by what happens there, where the trace does not say."""
    kinds = {kind for item in slices for kind in item.spent}
    if kinds & {"compute", "stall", "load", "store"}:
        return "core"
    return "dma" if "dma" in kinds else "host"


def _slice(event: Mapping[str, Any], colours: Mapping[str, str]) -> Slice:
    start, kind, name = _start(event), str(event.get("cat", "")), str(event.get("name", ""))
    layer, purpose = _argument(event, "for"), _argument(event, "purpose")
    css = _KINDS.get(kind) or ("kind-dma" if purpose == "weights" else colours[str(layer or name)])
    size, energy = _argument(event, "bytes"), _argument(event, "energy_pj")
    detail = ""
    if layer is not None:
        detail = f"for {layer}, from {_argument(event, 'from')} to {_argument(event, 'to')}"
    elif _argument(event, "tile") is not None:
        detail = f"tile {_argument(event, 'tile')}"
    return Slice(
        start,
        start + _length(event),
        (name,),
        {kind: _length(event)},
        css,
        size_bytes=float(size) if isinstance(size, int | float) else 0.0,
        # Only one of the parts of a run counts its energy, so that parts can be joined.
        energy_pj=float(energy)
        if isinstance(energy, int | float) and kind in {"compute", "transfer"}
        else 0.0,
        detail=detail,
    )


def _start(event: Mapping[str, Any]) -> float:
    """Return the cycle an event begins at; a trace without cycles counts one per microsecond."""
    for key in ("start_cycle", "cycle"):
        value = _argument(event, key)
        if isinstance(value, int | float):
            return float(value)
    return float(event["ts"])


def _length(event: Mapping[str, Any]) -> float:
    for value in (_argument(event, "cycles"), event.get("dur")):
        if isinstance(value, int | float):
            return float(value)
    return 0.0


def _has_time(event: Mapping[str, Any]) -> bool:
    return isinstance(event.get("ts"), int | float)


def _argument(event: Mapping[str, Any], key: str) -> Any:
    arguments = event.get("args")
    return arguments.get(key) if isinstance(arguments, Mapping) else None
