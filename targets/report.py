"""What a network costs on a target: per layer, per exit, in total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from passes.errors import NoSolutionError
from targets.area import core_areas, core_clocks_ns, core_peaks
from targets.base import Search, Target
from targets.cost.imc import Peak
from targets.cost.solution import Solution
from targets.figure import Known
from targets.layer import Bits, Layer
from targets.placement import Placement, Reason, Refusal, objective_key
from targets.report_json import report_document
from targets.schedule.exit_paths import schedule_exits
from targets.schedule.timeline import Timeline
from targets.workload import ExitPath, FreeLayer, Workload, build_workload

J_PER_PJ = 1e-12


@dataclass(frozen=True)
class LayerReport:
    """Cost of one layer on the core it was given.

    Attributes:
        bits: Bits of weights (``None`` without), inputs and outputs.
        share: Share of the energy of the whole network, 0 to 1.
        exit: First exit whose path contains the layer.
        known: How the cost of its arithmetic is known.
        declined: Cores that run such operators but not this layer, and the rule it breaks.
        detail: The mapping behind the figures, where the cost engine chose one.
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


@dataclass(frozen=True)
class PathCost:
    """Cost of an exit path.

    EDP is energy in J times latency, in J·s or (always given) in J·cycles.

    Attributes:
        latency_s: ``None`` where the target has no clock.
        edp_js: ``None`` where the target has no clock.
        complete: Every layer of the path has a cost; ``False`` only where refusals were allowed.
    """

    name: str
    mount: str
    macs: int
    latency_cycles: int
    latency_s: float | None
    energy_pj: float
    edp_js: float | None
    edp_j_cycles: float
    complete: bool = True


@dataclass(frozen=True)
class CostReport:
    """Cost of a network: layers in topological order, exits shallow to deep.

    Attributes:
        total: Cost of the deepest path: every layer, head and decision runs.
        free: Layers of the graph that cost nothing, and why.
        refusals: Layers no core takes; empty unless refusals were allowed.
        warnings: What the figures leave out.
        timeline: The schedule behind the latencies.
        clock_hz: Clock of the target in Hz, if known.
        bits: Precision of float tensors.
        search: How mappings were searched; ``None`` where the cost model has none.
        fusion: Layers hold the activations that follow them.
        models: Cycles by each cost model of the target; ``None`` for one that cannot cost the network.
        notes: What was assumed for lack of better knowledge.
        areas: Area of each core by part, in the unit of its description (mm2 for in-memory arrays);
            cores without known areas are left out.
        clocks_ns: Least clock period of in-memory arrays by part, in ns.
        peaks: What these arrays reach when fully used.
    """

    target: str
    objective: str
    cost_model: str
    known_error: str
    host_scale: float
    layers: tuple[LayerReport, ...]
    exits: tuple[PathCost, ...]
    total: PathCost
    free: tuple[FreeLayer, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    timeline: Timeline
    clock_hz: float | None
    bits: Bits = field(default_factory=Bits)
    search: Search | None = None
    fusion: bool = True
    models: Mapping[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    areas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    clocks_ns: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    peaks: Mapping[str, Peak] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``eecompile cost --json``."""
        return report_document(self)


def evaluate(
    graph: gs.Graph,
    target: Target,
    objective: str = "edp",
    *,
    bits: Bits | None = None,
    allow_refused: bool = False,
) -> CostReport:
    """Cost ``graph`` on ``target``: place every layer, schedule, sum up per exit.

    Args:
        graph: Batch 1, static shapes, float or lowered, after ``fuse-layers``.
        target: The accelerator with its options.
        objective: What placement minimises per layer: ``edp``, ``latency`` or ``energy``.
        bits: Precision of float tensors; that of the target if not given.
        allow_refused: Report layers no core takes instead of raising.

    Raises:
        InputError: Unknown objective.
        NoSolutionError: Some layer cannot be placed; the message lists each with the rule it breaks.
    """
    objective_key(objective)
    bits = bits or target.precision
    workload = build_workload(graph, bits)
    target = target.for_workload(workload, objective)
    results = [target.place(layer, objective) for layer in workload.layers]
    refusals = tuple(r for r in results if isinstance(r, Refusal))
    if refusals and not allow_refused:
        raise NoSolutionError(
            f"{len(refusals)} of {len(results)} layers cannot be placed on {target.title}",
            "\n".join(str(refusal) for refusal in refusals),
        )
    placements = {r.layer: r for r in results if isinstance(r, Placement)}
    timeline = schedule_exits(workload, placements, target.arch)
    exits = _exit_costs(workload, placements, timeline, target.arch.clock_hz)
    return CostReport(
        target=target.title,
        objective=objective,
        cost_model=target.cost_model,
        known_error=target.cost_models[target.cost_model].known_error,
        host_scale=target.host_scale,
        layers=_layer_reports(workload, placements),
        exits=exits,
        total=exits[-1],
        free=workload.free,
        refusals=refusals,
        warnings=(*_incomplete(refusals), *target.warnings(workload)),
        timeline=timeline,
        clock_hz=target.arch.clock_hz,
        bits=bits,
        search=target.search,
        areas=core_areas(target.arch),
        clocks_ns=core_clocks_ns(target.arch),
        peaks=core_peaks(target.arch),
    )


def _incomplete(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    if not refusals:
        return ()
    return (f"{len(refusals)} layers have no cost: exits marked incomplete cost more than is shown",)


def _exit_costs(
    workload: Workload, placements: dict[str, Placement], timeline: Timeline, clock_hz: float | None
) -> tuple[PathCost, ...]:
    costs = []
    for path, latency_cycles in zip(workload.exits, timeline.stage_end_cycles, strict=True):
        names = [workload.layers[i].name for i in path.layers]
        energy_pj = sum(placements[n].cost.energy_pj for n in names if n in placements)
        complete = all(n in placements for n in names)
        costs.append(_path_cost(path, latency_cycles, energy_pj, clock_hz, complete))
    return tuple(costs)


def _path_cost(
    path: ExitPath, latency_cycles: int, energy_pj: float, clock_hz: float | None, complete: bool
) -> PathCost:
    energy_j = energy_pj * J_PER_PJ
    latency_s = None if clock_hz is None else latency_cycles / clock_hz
    return PathCost(
        name=path.name,
        mount=path.mount,
        macs=path.macs,
        latency_cycles=latency_cycles,
        latency_s=latency_s,
        energy_pj=energy_pj,
        edp_js=None if latency_s is None else energy_j * latency_s,
        edp_j_cycles=energy_j * latency_cycles,
        complete=complete,
    )


def _layer_reports(workload: Workload, placements: dict[str, Placement]) -> tuple[LayerReport, ...]:
    used = {i for path in workload.exits for i in path.layers}
    placed = [i for i in sorted(used) if workload.layers[i].name in placements]
    total_pj = sum(placements[workload.layers[i].name].cost.energy_pj for i in placed)
    exit_of = {i: path.name for path in reversed(workload.exits) for i in path.layers}
    reports = []
    for index in placed:
        layer = workload.layers[index]
        placement = placements[layer.name]
        reports.append(_layer_report(layer, placement, exit_of[index], total_pj))
    return tuple(reports)


def _layer_report(layer: Layer, placement: Placement, exit_name: str, total_pj: float) -> LayerReport:
    cost = placement.cost
    return LayerReport(
        name=layer.name,
        op_type=layer.op_type,
        origin=layer.origin,
        core=placement.core,
        macs=layer.macs,
        bits=(
            layer.weight.bits if layer.weight else None,
            max((t.bits for t in layer.inputs), default=0),
            max((t.bits for t in layer.outputs), default=0),
        ),
        latency_cycles=cost.latency_cycles,
        compute_cycles=cost.compute_cycles,
        dma_cycles=cost.dma_cycles,
        host_cycles=cost.host_cycles,
        job_cycles=cost.job_cycles,
        energy_pj=cost.energy_pj,
        utilization=cost.utilization,
        bound_cycles=cost.bound_cycles,
        share=cost.energy_pj / total_pj if total_pj else 0.0,
        exit=exit_name,
        known=cost.known,
        stall_cycles=cost.stall_cycles,
        load_cycles=cost.load_cycles,
        store_cycles=cost.store_cycles,
        declined=placement.declined,
        detail=cost.detail,
    )
