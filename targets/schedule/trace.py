"""Timelines as Chrome trace events, which Perfetto opens."""

from __future__ import annotations

from typing import Any

from targets.schedule.timeline import Timeline

PROCESS = 1


def to_trace(timeline: Timeline, clock_hz: float | None = None, name: str = "schedule") -> dict[str, Any]:
    """Return ``timeline`` as a Chrome trace: one track per resource, one instant event per stage end.

    Args:
        timeline: The schedule.
        clock_hz: Clock in Hz; times are then microseconds. Without a clock, one microsecond of the
            trace is one cycle. Either way every event carries its cycles in ``args``.
        name: Process name shown by the viewer.
    """
    us_per_cycle = 1.0 if clock_hz is None else 1e6 / clock_hz
    tracks = {
        resource: index
        for index, resource in enumerate(sorted({s.resource for s in timeline.slots}), start=1)
    }
    events: list[dict[str, Any]] = [_meta("process_name", 0, name)]
    events.extend(_meta("thread_name", track, resource) for resource, track in tracks.items())
    for slot in timeline.slots:
        cycles = slot.end_cycle - slot.start_cycle
        events.append(
            {
                "ph": "X",
                "name": slot.layer,
                "cat": slot.kind,
                "pid": PROCESS,
                "tid": tracks[slot.resource],
                "ts": slot.start_cycle * us_per_cycle,
                "dur": cycles * us_per_cycle,
                "args": {"start_cycle": slot.start_cycle, "cycles": cycles},
            }
        )
    for stage, end in zip(timeline.stage_names, timeline.stage_end_cycles, strict=False):
        event = {"ph": "i", "s": "p", "name": stage, "pid": PROCESS, "tid": 0, "ts": end * us_per_cycle}
        events.append({**event, "args": {"cycle": end}})
    unit = "1 us is 1 cycle" if clock_hz is None else "us"
    return {"traceEvents": events, "otherData": {"clock_hz": clock_hz, "time_unit": unit}}


def _meta(kind: str, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": track, "args": {"name": name}}
