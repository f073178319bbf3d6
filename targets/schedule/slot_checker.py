"""Whether a timeline is a valid schedule of its jobs, checked without the scheduler's own logic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from targets.schedule.timeline import Job, Slot, Timeline


def problems(jobs: Sequence[Job], timeline: Timeline) -> list[str]:
    """Return what is wrong with ``timeline`` as a schedule of ``jobs``; empty if it is valid.

    Checked: every phase is there once and long enough, in order and without gaps; predecessors end
    before a job starts; no resource is held by two jobs at once; stages do not overlap.
    """
    by_layer: dict[str, list[Slot]] = {}
    for slot in timeline.slots:
        by_layer.setdefault(slot.layer, []).append(slot)
    spans = {
        name: (min(s.start_cycle for s in own), max(s.end_cycle for s in own))
        for name, own in by_layer.items()
    }
    names = {job.name for job in jobs}
    found = [f"'{name}' is scheduled but is no job" for name in sorted(set(by_layer) - names)]
    for job in jobs:
        found.extend(_phase_problems(job, by_layer.get(job.name, [])))
    found.extend(_order_problems(jobs, spans))
    found.extend(_resource_problems(jobs, spans))
    return found


def _phase_problems(job: Job, slots: Sequence[Slot]) -> Iterator[str]:
    expected = [(p.resource, p.kind, p.cycles) for p in job.phases if p.cycles]
    working = sorted((s for s in slots if s.kind != "wait"), key=lambda s: s.start_cycle)
    actual = [(s.resource, s.kind, s.end_cycle - s.start_cycle) for s in working]
    if actual != expected:
        yield f"'{job.name}': phases are {actual}, not {expected}"
    for before, after in pairwise(working):
        if before.end_cycle != after.start_cycle:
            yield f"'{job.name}': a gap or overlap at cycle {before.end_cycle}"


def _order_problems(jobs: Sequence[Job], spans: dict[str, tuple[int, int]]) -> Iterator[str]:
    stage_end: dict[int, int] = {}
    for job in jobs:
        if job.name in spans:
            stage_end[job.stage] = max(stage_end.get(job.stage, 0), spans[job.name][1])
    for job in jobs:
        if job.name not in spans:
            continue
        start = spans[job.name][0]
        for predecessor in job.predecessors:
            if predecessor in spans and spans[predecessor][1] > start:
                yield f"'{job.name}' starts at {start}, before '{predecessor}' ends"
        if any(end > start for stage, end in stage_end.items() if stage < job.stage):
            yield f"'{job.name}' starts at {start}, before an earlier stage ends"


def _resource_problems(jobs: Sequence[Job], spans: dict[str, tuple[int, int]]) -> Iterator[str]:
    holders: dict[str, list[tuple[int, int, str]]] = {}
    for job in jobs:
        if job.name in spans:
            for resource in dict.fromkeys((*job.holds, *(p.resource for p in job.phases))):
                holders.setdefault(resource, []).append((*spans[job.name], job.name))
    for resource, held in sorted(holders.items()):
        held.sort()
        for (_, end, first), (start, _, second) in pairwise(held):
            if start < end:
                yield f"{resource} is held by '{first}' and '{second}' at cycle {start}"
