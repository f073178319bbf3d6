"""What each layer of a schedule costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from targets.contract.placement import Reason
from targets.contract.target import Target
from targets.cost.layer_cost import LayerCost, in_turn
from targets.evaluation.scheduling import Planned
from targets.network.layer import Layer
from targets.schedule.result import Run
from targets.schedule.view.moments import elapsed_cycles


@dataclass(frozen=True)
class LayerReport:
    """A layer on the cores it was given.

    Attributes:
        core: The core that is busiest with it.
        cost: Of all its tiles: cycles and bound of the busiest core, on which they need not follow one
            another without a gap; energy of all; utilization of all cores that run some; the mapping of the
            first. Where groups of layers run in rows, the latency is its share of the time they take, so that
            the latencies of all layers add up to that of the network.
        move_energy_pj: What was moved for it between stores, and delivering the result.
        share: Share of the energy of the whole network, 0 to 1.
        exit: First exit whose path contains the layer.
        declined: Cores that run such operators but not this layer, and the rule it breaks.
        cores: All cores that run tiles of it, by name.
        tiles: Into how many parts it is cut.
        axis: Along which axis: ``K``, ``OY`` or none.
        start_cycle: When its first tile starts.
        end_cycle: When its last tile ends.
        group: Number of the group of fused layers it is in, from 1 on; ``None`` if it is in none.
    """

    layer: Layer
    core: str
    cost: LayerCost
    move_energy_pj: float
    share: float
    exit: str
    declined: tuple[Reason, ...]
    cores: tuple[str, ...]
    tiles: int
    axis: str
    start_cycle: int
    end_cycle: int
    group: int | None

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.layer.name

    @property
    def energy_pj(self) -> float:
        """Energy of its tiles and moves."""
        return self.cost.energy_pj + self.move_energy_pj

    @property
    def bits(self) -> tuple[int | None, int, int]:
        """Bits of weights (``None`` without), inputs and outputs."""
        return (
            self.layer.weight.bits if self.layer.weight else None,
            max((t.bits for t in self.layer.inputs), default=0),
            max((t.bits for t in self.layer.outputs), default=0),
        )


def layer_reports(planned: Planned, target: Target) -> tuple[LayerReport, ...]:
    """Return the cost of each scheduled layer, in the order of the workload."""
    schedule, workload = planned.schedule, planned.network.workload
    fused = [segment.layers for segment in planned.plan if len(segment.layers) > 1]
    group_of = {i: number for number, layers in enumerate(fused, start=1) for i in layers}
    exit_of = {i: path.name for path in reversed(workload.exits) for i in path.layers}
    runs: dict[int, list[Run]] = {}
    for run in schedule.runs:
        runs.setdefault(run.layer, []).append(run)
    elapsed = elapsed_cycles(schedule) if planned.rows else {}
    moved: dict[int, float] = dict.fromkeys(runs, 0.0)
    for move in schedule.moves:
        moved[move.layer] += move.energy_pj
    total_pj = schedule.energy_pj
    found = []
    for index in sorted(runs):
        layer, of_layer = workload.layers[index], runs[index]
        core, cost = _cost(of_layer)
        if index in elapsed:
            cost = _as_elapsed(cost, elapsed[index])
        energy_pj = cost.energy_pj + moved[index]
        found.append(
            LayerReport(
                layer=layer,
                core=core,
                cost=cost,
                move_energy_pj=moved[index],
                share=energy_pj / total_pj if total_pj else 0.0,
                exit=exit_of[index],
                declined=target.survey(layer).declined,
                cores=tuple(sorted({run.core for run in of_layer})),
                tiles=len(of_layer),
                axis=_axis(of_layer),
                start_cycle=min(run.start for run in of_layer),
                end_cycle=max(run.end for run in of_layer),
                group=group_of.get(index),
            )
        )
    return tuple(found)


def _cost(runs: Sequence[Run]) -> tuple[str, LayerCost]:
    """Return the core that is busiest with the tiles of a layer, and their cost."""
    by_core: dict[str, list[LayerCost]] = {}
    for run in runs:
        by_core.setdefault(run.core, []).append(run.cost)
    busiest = {core: in_turn(costs) for core, costs in by_core.items()}
    core = min(busiest, key=lambda name: (-busiest[name].latency_cycles, name))
    latency = busiest[core].latency_cycles
    used = sum(run.cost.utilization * run.cost.latency_cycles for run in runs)
    return core, replace(
        busiest[core],
        energy_pj=sum(run.cost.energy_pj for run in runs),
        utilization=min(1.0, used / (latency * len(busiest))) if latency else 0.0,
        detail=min(runs, key=lambda run: run.cut).cost.detail,
    )


def _as_elapsed(cost: LayerCost, cycles: int) -> LayerCost:
    """Return ``cost`` with ``cycles`` as its latency, which is its share of a time that it has not alone.

    What its core works beyond that goes on beside other layers; what it works less it waits.
    """
    beside = max(0, cost.latency_cycles - cycles)
    return replace(
        cost,
        stall_cycles=cost.stall_cycles + max(0, cycles - cost.latency_cycles),
        overlapped_cycles=beside,
        bound_cycles=max(0, cost.bound_cycles - beside),
    )


def _axis(runs: Sequence[Run]) -> str:
    """Return the axis a layer is cut along."""
    if len(runs) == 1:
        return ""
    return "K" if len({(run.output.c0, run.output.c1) for run in runs}) > 1 else "OY"
