"""What each layer of a schedule costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from targets.base import Target
from targets.cost.base import LayerCost
from targets.cost.solution import Solution
from targets.figure import Known
from targets.layer import Layer
from targets.placement import Reason
from targets.schedule.result import Run
from targets.scheduling import Planned


@dataclass(frozen=True)
class LayerReport:
    """Cost of one layer on the cores it was given.

    Of a layer that is cut into tiles, cycles are those of its busiest core, added up; its tiles need not
    follow one another without a gap.

    Attributes:
        core: The core that is busiest with it.
        bits: Bits of weights (``None`` without), inputs and outputs.
        energy_pj: Of its tiles, of what was moved for them, and of delivering the result.
        share: Share of the energy of the whole network, 0 to 1.
        exit: First exit whose path contains the layer.
        known: How the cost of its arithmetic is known.
        declined: Cores that run such operators but not this layer, and the rule it breaks.
        detail: The mapping behind the figures, where the cost engine chose one; of a layer cut into tiles,
            that of the first.
        cores: All cores that run tiles of it, by name.
        tiles: Into how many parts it is cut.
        axis: Along which axis: ``K``, ``OY`` or none.
        start_cycle: When its first tile starts.
        end_cycle: When its last tile ends.
        move_energy_pj: The part of ``energy_pj`` that moves between stores take.
        group: Number of the group of fused layers it is in, from 1 on; ``None`` if it is in none.
    """

    name: str
    op_type: str
    origin: tuple[str, ...]
    core: str
    macs: int
    bits: tuple[int | None, int, int]
    latency_cycles: int
    compute_cycles: int
    dma_cycles: int
    host_cycles: int
    job_cycles: int
    energy_pj: float
    utilization: float
    bound_cycles: int
    share: float
    exit: str
    known: Known
    stall_cycles: int = 0
    load_cycles: int = 0
    store_cycles: int = 0
    declined: tuple[Reason, ...] = ()
    detail: Solution | None = None
    cores: tuple[str, ...] = ()
    tiles: int = 1
    axis: str = ""
    start_cycle: int = 0
    end_cycle: int = 0
    move_energy_pj: float = 0.0
    group: int | None = None


def layer_reports(planned: Planned, target: Target) -> tuple[LayerReport, ...]:
    """Return the cost of each scheduled layer, in the order of the workload."""
    schedule, workload = planned.schedule, planned.network.workload
    fused = [segment.layers for segment in planned.plan if len(segment.layers) > 1]
    group_of = {i: number for number, layers in enumerate(fused, start=1) for i in layers}
    exit_of = {i: path.name for path in reversed(workload.exits) for i in path.layers}
    runs: dict[int, list[Run]] = {}
    for run in schedule.runs:
        runs.setdefault(run.layer, []).append(run)
    moved: dict[int, float] = dict.fromkeys(runs, 0.0)
    for move in schedule.moves:
        moved[move.layer] += move.energy_pj
    total_pj = schedule.energy_pj
    return tuple(
        replace(
            _report(workload.layers[i], runs[i], moved[i], exit_of[i], total_pj, target),
            group=group_of.get(i),
        )
        for i in sorted(runs)
    )


def _report(
    layer: Layer, runs: Sequence[Run], moved_pj: float, exit_name: str, total_pj: float, target: Target
) -> LayerReport:
    by_core: dict[str, list[LayerCost]] = {}
    for run in runs:
        by_core.setdefault(run.core, []).append(run.cost)
    busy = {core: sum(cost.latency_cycles for cost in costs) for core, costs in by_core.items()}
    core = min(busy, key=lambda name: (-busy[name], name))
    costs = by_core[core]
    energy_pj = sum(run.cost.energy_pj for run in runs) + moved_pj
    latency = busy[core]
    used = sum(run.cost.utilization * run.cost.latency_cycles for run in runs)
    return LayerReport(
        name=layer.name,
        op_type=layer.op_type,
        origin=layer.origin,
        core=core,
        macs=layer.macs,
        bits=(
            layer.weight.bits if layer.weight else None,
            max((t.bits for t in layer.inputs), default=0),
            max((t.bits for t in layer.outputs), default=0),
        ),
        latency_cycles=latency,
        compute_cycles=sum(c.compute_cycles for c in costs),
        dma_cycles=sum(c.dma_cycles for c in costs),
        host_cycles=sum(c.host_cycles for c in costs),
        job_cycles=sum(c.job_cycles for c in costs),
        energy_pj=energy_pj,
        utilization=min(1.0, used / (latency * len(busy))) if latency else 0.0,
        bound_cycles=sum(c.bound_cycles for c in costs),
        share=energy_pj / total_pj if total_pj else 0.0,
        exit=exit_name,
        known=costs[0].known,
        stall_cycles=sum(c.stall_cycles for c in costs),
        load_cycles=sum(c.load_cycles for c in costs),
        store_cycles=sum(c.store_cycles for c in costs),
        declined=target.survey(layer).declined,
        detail=min(runs, key=lambda run: run.cut).cost.detail,
        cores=tuple(sorted(busy)),
        tiles=len(runs),
        axis=_axis(runs),
        start_cycle=min(run.start for run in runs),
        end_cycle=max(run.end for run in runs),
        move_energy_pj=moved_pj,
    )


def _axis(runs: Sequence[Run]) -> str:
    """Return the axis a layer is cut along."""
    if len(runs) == 1:
        return ""
    return "K" if len({(run.output.c0, run.output.c1) for run in runs}) > 1 else "OY"
