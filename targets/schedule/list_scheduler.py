"""Deterministic list scheduling: jobs over resources they hold exclusively."""

from __future__ import annotations

from collections.abc import Sequence

from targets.schedule.timeline import Job, Slot, Timeline


def schedule(jobs: Sequence[Job], stage_names: Sequence[str] = ()) -> Timeline:
    """Place ``jobs`` in time.

    Stages run one after the other. Within a stage, of all jobs whose predecessors are placed, the
    one that can start first is placed next; ties go to the longest path to the end of the stage,
    then to the name.

    Args:
        jobs: Unique names; predecessors lie in the same or an earlier stage.
        stage_names: One name per stage; stages without jobs end with the one before.

    Raises:
        ValueError: A predecessor is unknown or later, or jobs wait for each other.
    """
    count = max([len(stage_names), *(job.stage + 1 for job in jobs)])
    end_of: dict[str, int] = {}
    slots: list[Slot] = []
    stage_ends: list[int] = []
    now = 0
    for stage in range(count):
        members = [job for job in jobs if job.stage == stage]
        now = _place_stage(members, now, end_of, slots)
        stage_ends.append(now)
    slots.sort(key=lambda s: (s.start_cycle, s.end_cycle, s.resource, s.layer))
    return Timeline(tuple(slots), tuple(stage_ends), tuple(stage_names))


def _place_stage(jobs: list[Job], start: int, end_of: dict[str, int], slots: list[Slot]) -> int:
    """Place the jobs of one stage from cycle ``start`` on; returns when the last one ends."""
    rank = _ranks(jobs)
    free_at: dict[str, int] = {}
    pending = list(jobs)
    finish = start
    while pending:
        ready = [job for job in pending if all(p in end_of for p in job.predecessors)]
        if not ready:
            raise ValueError(f"job '{pending[0].name}' waits for a job that is never placed")
        earliest = {
            job.name: max(
                [start, *(end_of[p] for p in job.predecessors), *(free_at.get(r, 0) for r in job.holds)]
            )
            for job in ready
        }
        chosen = min(ready, key=lambda job: (earliest[job.name], -rank[job.name], job.name))
        begin = earliest[chosen.name]
        end = begin + chosen.cycles
        slots.extend(_slots(chosen, begin))
        end_of[chosen.name] = end
        free_at.update(dict.fromkeys(chosen.holds, end))
        finish = max(finish, end)
        pending.remove(chosen)
    return finish


def _slots(job: Job, begin: int) -> list[Slot]:
    """Return the slots of a job: its phases, and the waits around them."""
    placed = []
    cycle = begin
    for phase in job.phases:
        if phase.cycles:
            placed.append(Slot(phase.resource, job.name, cycle, cycle + phase.cycles, phase.kind))
        cycle += phase.cycles
    waits = []
    for resource in job.waits:
        idle_from = begin
        for slot in [s for s in placed if s.resource == resource]:
            waits.append(Slot(resource, job.name, idle_from, slot.start_cycle, "wait"))
            idle_from = slot.end_cycle
        waits.append(Slot(resource, job.name, idle_from, cycle, "wait"))
    return placed + [wait for wait in waits if wait.end_cycle > wait.start_cycle]


def _ranks(jobs: list[Job]) -> dict[str, int]:
    """Return for each job the cycles of the longest chain from its start to the end of its stage."""
    readers: dict[str, list[Job]] = {job.name: [] for job in jobs}
    for job in jobs:
        for predecessor in job.predecessors:
            if predecessor in readers:
                readers[predecessor].append(job)
    rank: dict[str, int] = {}
    stack = list(jobs)
    visiting: set[str] = set()
    while stack:
        job = stack[-1]
        if job.name in rank:
            stack.pop()
            continue
        open_readers = [r for r in readers[job.name] if r.name not in rank]
        if open_readers and job.name not in visiting:
            visiting.add(job.name)
            stack.extend(open_readers)
            continue
        if open_readers:
            raise ValueError(f"job '{job.name}' depends on itself")
        rank[job.name] = job.cycles + max((rank[r.name] for r in readers[job.name]), default=0)
        stack.pop()
    return rank
