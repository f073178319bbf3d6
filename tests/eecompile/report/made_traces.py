"""Traces of schedules made by hand, as runs write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eecompile.report.schedule_facts import ResourceFacts, ScheduleFacts, StageFacts
from targets.schedule.result import Schedule, Stay
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.energy_split import energy_split
from targets.schedule.view.memory_profile import memory_profiles
from targets.schedule.view.trace import to_trace
from tests.targets.schedule.made_schedules import PART, arch, move, network, run, schedule

BUS = (("bus", 16.0),)


def trace_of(made: Schedule, clock_hz: float | None = None) -> dict[str, Any]:
    """Return the trace of a schedule, exits, memories and energy included."""
    timeline = timeline_of(made, network(), arch())
    return to_trace(timeline, clock_hz, "small", memory_profiles(made, network().machine), energy_split(made))


def tiled() -> Schedule:
    """Return a hundred tiles on one core, each a cycle after its data; then a layer behind the exit."""
    runs = [run("a", 10 * i, (0, 0, 1, 8, 0, 1, 0), cut=(i, 100), energy_pj=1e6) for i in range(100)]
    runs.append(run("b", 1000, (0, 0, 0, 1000, 0, 0, 0), layer=1))
    moves = [move("image", 10 * i, 20, BUS, bits=80, energies_pj=(1.0, 0.5, 0.0)) for i in range(99)]
    moves.append(move("middle", 1000, 500, (("link_0.a-b>b", 8.0),), layer=1, bits=4000))
    return schedule(runs, moves, [Stay("a.sram", "image", PART, 32, 0, 1000)])


def event(
    name: str, start: float, length: float, kind: str = "compute", thread: int = 1, **args: object
) -> dict[str, Any]:
    """Return a slice of a trace that says its cycles, on a thread of process 1."""
    spent = {"start_cycle": start, "cycles": length, **args}
    place = {"ph": "X", "pid": 1, "tid": thread}
    return {**place, "name": name, "cat": kind, "ts": start, "dur": length, "args": spent}


def thread(number: int, name: str) -> dict[str, Any]:
    """Return the event that names a thread of process 1."""
    return {"ph": "M", "name": "thread_name", "pid": 1, "tid": number, "args": {"name": name}}


def facts(
    groups: Mapping[str, str] | None = None,
    working: Mapping[str, float] | None = None,
    clock_hz: float | None = None,
) -> ScheduleFacts:
    """Return facts of one exit path of 1000 cycles, its resources by group and share of time they work."""
    resources = []
    for name, group in (groups or {}).items():
        share = (working or {}).get(name, 1.0)
        resources.append(
            ResourceFacts(name=name, group=group, capacity=1, working=(share,), taken=(share,), bits=(0,))
        )
    stages = (StageFacts(name="final", end_cycle=1000),)
    return ScheduleFacts(
        name="made", clock_hz=clock_hz, stages=stages, resources=tuple(resources), stores=(), energy_pj=()
    )
