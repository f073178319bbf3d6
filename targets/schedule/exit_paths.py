"""Placed layers to a timeline in which every exit path is a prefix."""

from __future__ import annotations

from collections.abc import Mapping

from targets.arch import Architecture
from targets.cost.base import LayerCost
from targets.placement import Placement
from targets.schedule.list_scheduler import schedule
from targets.schedule.timeline import Job, Phase, Timeline
from targets.workload import Workload


def jobs_of(workload: Workload, placements: Mapping[str, Placement], arch: Architecture) -> list[Job]:
    """Return one job per placed layer; its stage is the first exit whose path contains it.

    A layer that is not placed is left out: those behind it wait for the layers before it.
    """
    stage_of = {index: stage for stage, members in enumerate(workload.stages()) for index in members}
    jobs = []
    waits_for: dict[int, tuple[str, ...]] = {}
    for index, layer in enumerate(workload.layers):
        before = tuple(dict.fromkeys(name for p in layer.producers for name in waits_for[p]))
        placement = placements.get(layer.name)
        if placement is None or index not in stage_of:
            waits_for[index] = before
            continue
        waits_for[index] = (layer.name,)
        jobs.append(_job(layer.name, placement.core, placement.cost, arch, before, stage_of[index]))
    return jobs


def schedule_exits(workload: Workload, placements: Mapping[str, Placement], arch: Architecture) -> Timeline:
    """Schedule all placed layers; nothing behind an exit starts before the decision there.

    An input that leaves at exit k has run the timeline up to ``stage_end_cycles[k]``.
    """
    return schedule(jobs_of(workload, placements, arch), [path.name for path in workload.exits])


def _job(
    name: str, core: str, cost: LayerCost, arch: Architecture, predecessors: tuple[str, ...], stage: int
) -> Job:
    dma = arch.dma.name if arch.dma is not None else core
    host = arch.host or core
    phases = (
        Phase(host, cost.job_cycles, "host"),
        Phase(dma, cost.dma_cycles, "dma"),
        Phase(core, cost.load_cycles, "load"),
        Phase(core, cost.compute_cycles, "compute"),
        Phase(core, cost.stall_cycles, "stall"),
        Phase(core, cost.store_cycles, "store"),
        Phase(host, cost.host_cycles, "host"),
    )
    used = tuple(phase for phase in phases if phase.cycles)
    waits = (host,) if arch.host_waits else ()
    holds = dict.fromkeys([core, *(phase.resource for phase in used), *waits])
    return Job(name, used, tuple(holds), waits, predecessors, stage)
