"""Timelines as Chrome trace events, which Perfetto opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from targets.schedule.view.energy_split import EnergySplit
from targets.schedule.view.memory_profile import MemoryProfile
from targets.schedule.view.timeline import Group, Slot, Timeline
from targets.schedule.view.utilisation import utilisation

CORES, LINKS, MEMORIES = 1, 2, 3
_PROCESSES: Mapping[Group, int] = {"core": CORES, "host": CORES, "dma": CORES, "port": LINKS, "link": LINKS}
# Times are whole multiples of 1/1024 us, just under the nanosecond viewers count in. Binary floats hold them
# and their sums exactly, so that a slice that ends where the next one starts never reaches into it.
_STEPS_PER_US = 1024


def to_trace(
    timeline: Timeline,
    clock_hz: float | None = None,
    name: str = "schedule",
    memories: Mapping[str, MemoryProfile] | None = None,
    energies: Sequence[EnergySplit] = (),
) -> dict[str, Any]:
    """Return ``timeline`` as a Chrome trace.

    * One process for cores, host and DMA, one for links and ports, one for memories.
    * One track per core, and per lane of a link or port that is used.
    * One counter per memory in which anything lies, one instant event per stage end.
    * ``otherData`` holds what a reader cannot tell from the events: utilisation, capacities, energies.

    Args:
        timeline: The schedule.
        clock_hz: Clock in Hz; times are then microseconds. Without a clock, one microsecond of the
            trace is one cycle. Either way every event carries its cycles in ``args``.
        name: What the viewer calls it.
        memories: What lies in each store over time.
        energies: Where the energy of each exit path goes.
    """
    memories = memories or {}
    us_per_cycle = 1.0 if clock_hz is None else 1e6 / clock_hz
    tracks = _tracks(timeline)
    events = list(_names(name, tracks, bool(memories)))
    numbers = {track: number for number, (track, _) in enumerate(tracks, start=1)}
    process = dict(tracks)
    for slot in timeline.slots:
        start, end = _us(slot.start_cycle, us_per_cycle), _us(slot.end_cycle, us_per_cycle)
        place = {"pid": process[slot.track], "tid": numbers[slot.track], "ts": start, "dur": end - start}
        events.append(
            {"ph": "X", "name": slot.data or slot.layer, "cat": slot.kind, **place, "args": _args(slot)}
        )
    for profile in memories.values():
        for cycle, bits in profile.steps:
            place = {"pid": MEMORIES, "tid": 0, "ts": _us(cycle, us_per_cycle)}
            events.append({"ph": "C", "name": profile.store, **place, "args": {"bits": bits}})
    for stage, end in zip(timeline.stage_names, timeline.stage_end_cycles, strict=False):
        place = {"pid": CORES, "tid": 0, "ts": _us(end, us_per_cycle)}
        events.append({"ph": "i", "s": "g", "name": stage, **place, "args": {"cycle": end}})
    return {"traceEvents": events, "otherData": _other(timeline, clock_hz, name, memories, energies)}


def trace_text(trace: Mapping[str, Any]) -> str:
    """Return a trace as JSON, one event per line."""
    events = ",\n".join(json.dumps(event, separators=(",", ":")) for event in trace["traceEvents"])
    other = json.dumps(trace["otherData"], separators=(",", ":"))
    return f'{{"traceEvents":[\n{events}\n],\n"otherData":{other}}}\n'


def _us(cycle: int, us_per_cycle: float) -> float:
    return round(cycle * us_per_cycle * _STEPS_PER_US) / _STEPS_PER_US


def _tracks(timeline: Timeline) -> list[tuple[str, int]]:
    """Return tracks and their processes: every core, and what is used of the rest, lane by lane."""
    lanes: dict[str, int] = {}
    for slot in timeline.slots:
        lanes[slot.resource] = max(lanes.get(slot.resource, 0), slot.lane + 1)
    known = {resource.name: resource.group for resource in timeline.resources}
    groups: dict[str, Group] = known | {name: "core" for name in sorted(lanes) if name not in known}
    return [
        (f"{name} #{lane + 1}" if lane else name, _PROCESSES[group])
        for name, group in groups.items()
        for lane in range(lanes.get(name, int(group == "core")))
    ]


def _names(name: str, tracks: Sequence[tuple[str, int]], memories: bool) -> Iterator[dict[str, Any]]:
    """Yield what processes and tracks are called, and their order."""
    titles = {CORES: "cores", LINKS: "links and ports", MEMORIES: "memories"}
    used = dict.fromkeys([CORES, *(process for _, process in tracks), *([MEMORIES] if memories else [])])
    for process in used:
        yield _meta("process_name", process, 0, {"name": f"{name}: {titles[process]}"})
        yield _meta("process_sort_index", process, 0, {"sort_index": process})
    for number, (track, process) in enumerate(tracks, start=1):
        yield _meta("thread_name", process, number, {"name": track})
        yield _meta("thread_sort_index", process, number, {"sort_index": number})


def _meta(kind: str, process: int, track: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": track, "args": args}


def _args(slot: Slot) -> dict[str, Any]:
    """Return what is known of a slot; what goes without saying is left out."""
    number, count = slot.tile
    args: dict[str, Any] = {"start_cycle": slot.start_cycle, "cycles": slot.end_cycle - slot.start_cycle}
    if count > 1:
        args["tile"] = f"{number + 1}/{count}"
    if slot.way is not None:
        args |= {"for": slot.layer, "from": slot.way[0], "to": slot.way[1], "bytes": -(-slot.bits // 8)}
        args |= {"purpose": slot.purpose} | ({} if slot.tensor == slot.data else {"tensor": slot.tensor})
    if slot.share != 1:
        args["share"] = round(slot.share, 6)
    if slot.energy_pj:
        args["energy_pj"] = round(slot.energy_pj, 3)
    return args


def _other(
    timeline: Timeline,
    clock_hz: float | None,
    name: str,
    memories: Mapping[str, MemoryProfile],
    energies: Sequence[EnergySplit],
) -> dict[str, Any]:
    stages = zip(timeline.stage_names, timeline.stage_end_cycles, strict=False)
    return {
        "clock_hz": clock_hz,
        "time_unit": "1 us is 1 cycle" if clock_hz is None else "us",
        "name": name,
        "stages": [{"name": stage, "end_cycle": end} for stage, end in stages],
        "resources": [
            {
                "name": item.resource,
                "group": item.group,
                "capacity": item.capacity,
                "working": [round(share, 6) for share in item.working],
                "taken": [round(share, 6) for share in item.taken],
                "bits": list(item.bits),
            }
            for item in utilisation(timeline)
        ],
        "stores": [
            {"name": item.store, "capacity_bits": item.capacity_bits, "peaks_bits": list(item.peaks_bits)}
            for item in memories.values()
        ],
        "energy_pj": [
            {
                "cores": item.cores_pj,
                "onchip": item.onchip_pj,
                "offchip": item.offchip_pj,
                "links": item.links_pj,
            }
            for item in energies
        ],
    }
