"""What a network costs on a target: per layer, per exit, in total."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from passes.errors import InputError, NoSolutionError
from targets.area import core_areas, core_clocks_ns, core_peaks
from targets.base import Search, Target
from targets.cost.imc import Peak
from targets.layer import Bits
from targets.layer_report import LayerReport, layer_reports
from targets.placement import Refusal, objective_key
from targets.report_json import report_document
from targets.schedule.candidates import Freedom
from targets.schedule.drawing import timeline_of
from targets.schedule.objective import J_PER_PJ, uniform
from targets.schedule.result import Schedule
from targets.schedule.timeline import Timeline
from targets.scheduling import Planned, schedule_workload
from targets.workload import ExitPath, FreeLayer, Workload, build_workload

# Ratios come rounded from tables.
RATIO_SLACK = 1e-3


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
        planned: The schedule with all that it was made from.
        ratios: Share of inputs at each exit that the schedule was made for.
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
    planned: Planned | None = None
    ratios: tuple[float, ...] = ()

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
    ratios: Sequence[float] | None = None,
    freedom: Freedom | None = None,
) -> CostReport:
    """Cost ``graph`` on ``target``: schedule its layers on the cores, and sum up per exit path.

    Args:
        graph: Batch 1, static shapes, float or lowered, after ``fuse-layers``.
        target: The accelerator with its options.
        objective: What the schedule minimises, expected over the exits: ``edp``, ``latency`` or ``energy``.
        bits: Precision of float tensors; that of the target if not given.
        allow_refused: Report layers no core takes instead of raising.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        freedom: What the scheduler may do; all the target allows if not given.

    Raises:
        InputError: Unknown objective, or ratios that are none.
        NoSolutionError: Some layer cannot be placed, or tensors do not fit; the message says what and why.
    """
    objective_key(objective)
    bits = bits or target.precision
    workload = build_workload(graph, bits)
    check_ratios(ratios, len(workload.exits))
    target = target.for_objective(objective)
    planned = schedule_workload(workload, target, objective, ratios, freedom)
    refusals = planned.refusals
    if refusals and not allow_refused:
        raise NoSolutionError(
            f"{len(refusals)} of {len(workload.layers)} layers cannot be placed on {target.title}",
            "\n".join(str(refusal) for refusal in refusals),
        )
    exits = _exit_costs(workload, planned.schedule, refusals, target.arch.clock_hz)
    return CostReport(
        target=target.title,
        objective=objective,
        cost_model=target.cost_model,
        known_error=target.cost_models[target.cost_model].known_error,
        host_scale=target.host_scale,
        layers=layer_reports(planned.network, planned.schedule, target),
        exits=exits,
        total=exits[-1],
        free=workload.free,
        refusals=refusals,
        warnings=(*_incomplete(refusals), *target.warnings(workload)),
        timeline=timeline_of(planned.schedule, planned.network, target.arch),
        clock_hz=target.arch.clock_hz,
        bits=bits,
        search=target.search,
        areas=core_areas(target.arch),
        clocks_ns=core_clocks_ns(target.arch),
        peaks=core_peaks(target.arch),
        planned=planned,
        ratios=tuple(ratios) if ratios is not None else uniform(len(exits)),
    )


def check_ratios(ratios: Sequence[float] | None, exits: int) -> None:
    """Check that there is a share for each exit, and that they add up to 1.

    Raises:
        InputError: They do not.
    """
    if ratios is None:
        return
    if len(ratios) != exits:
        raise InputError(f"{len(ratios)} ratios for {exits} exits", "give one per exit, the final one included")
    if any(not (math.isfinite(r) and 0 <= r <= 1) for r in ratios) or abs(sum(ratios) - 1) > RATIO_SLACK:
        given = ", ".join(f"{ratio:g}" for ratio in ratios)
        raise InputError(f"the ratios {given} are no shares that add up to 1", "they are parts of all inputs")


def _incomplete(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    if not refusals:
        return ()
    return (f"{len(refusals)} layers have no cost: exits marked incomplete cost more than is shown",)


def _exit_costs(
    workload: Workload, schedule: Schedule, refusals: tuple[Refusal, ...], clock_hz: float | None
) -> tuple[PathCost, ...]:
    refused = {refusal.layer for refusal in refusals}
    costs = []
    for number, (path, cycles) in enumerate(zip(workload.exits, schedule.stage_end_cycles, strict=True)):
        energy_pj = schedule.energy_until(number)
        complete = all(workload.layers[i].name not in refused for i in path.layers)
        costs.append(_path_cost(path, cycles, energy_pj, clock_hz, complete))
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
