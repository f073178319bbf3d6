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
from targets.objective import EDP, Objective, uniform
from targets.path_cost import (
    ExpectedCost,
    PathCost,
    SpeculativeCost,
    expected_cost,
    path_costs,
    speculative_costs,
)
from targets.placement import Refusal
from targets.report_json import report_document
from targets.schedule.drawing import timeline_of
from targets.schedule.timeline import Timeline
from targets.schedule.trace import to_trace
from targets.schedule_report import ScheduleReport, schedule_report
from targets.scheduling import Planned, Wishes, schedule_workload
from targets.workload import FreeLayer, build_workload

# Ratios come rounded from tables.
RATIO_SLACK = 1e-3


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
        planned: The schedule with all that it was made from.
        schedule: What it did with cores, links and memories.
        bits: Precision of float tensors.
        search: How mappings were searched; ``None`` where the cost model has none.
        fusion: Layers hold the activations that follow them.
        models: Cycles by each cost model of the target; ``None`` for one that cannot cost the network.
        notes: What was assumed for lack of better knowledge.
        areas: Area of each core by part, in the unit of its description (mm2 for in-memory arrays);
            cores without known areas are left out.
        clocks_ns: Least clock period of in-memory arrays by part, in ns.
        peaks: What these arrays reach when fully used.
        ratios: Share of inputs at each exit that the schedule was made for.
        speculative: Costs of the exits with speculation; empty where it was not asked for.
        expected: What an input costs on average; ``None`` where no ratios were given.
    """

    target: str
    objective: Objective
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
    planned: Planned
    schedule: ScheduleReport
    bits: Bits = field(default_factory=Bits)
    search: Search | None = None
    fusion: bool = True
    models: Mapping[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    areas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    clocks_ns: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    peaks: Mapping[str, Peak] = field(default_factory=dict)
    ratios: tuple[float, ...] = ()
    speculative: tuple[SpeculativeCost, ...] = ()
    expected: ExpectedCost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``eecompile cost --json``."""
        return report_document(self)

    def to_trace(self) -> dict[str, Any]:
        """Return the schedule, without speculation, as a Chrome trace."""
        schedule = self.schedule
        return to_trace(self.timeline, self.clock_hz, self.target, schedule.memories, schedule.energy)


def evaluate(
    graph: gs.Graph,
    target: Target,
    objective: Objective = EDP,
    *,
    bits: Bits | None = None,
    allow_refused: bool = False,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
) -> CostReport:
    """Cost ``graph`` on ``target``: schedule its layers on the cores, and sum up per exit path.

    Args:
        graph: Batch 1, static shapes, float or lowered, after ``fuse-layers``.
        target: The accelerator with its options.
        objective: What the schedule minimises, expected over the exits.
        bits: Precision of float tensors; that of the target if not given.
        allow_refused: Report layers no core takes instead of raising.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        wishes: What the user asks of the schedule.

    Raises:
        InputError: Ratios that are none.
        NoSolutionError: Some layer cannot be placed, or tensors do not fit; the message says what and why.
    """
    bits = bits or target.precision
    workload = build_workload(graph, bits)
    check_ratios(ratios, len(workload.exits))
    target = target.for_objective(objective)
    planned = schedule_workload(workload, target, objective, ratios, wishes)
    refusals = planned.refusals
    if refusals and not allow_refused:
        raise NoSolutionError(
            f"{len(refusals)} of {len(workload.layers)} layers cannot be placed on {target.title}",
            "\n".join(str(refusal) for refusal in refusals),
        )
    clock_hz = target.arch.clock_hz
    exits = path_costs(workload, planned.schedule, {refusal.layer for refusal in refusals}, clock_hz)
    speculative = speculative_costs(planned.speculative, clock_hz) if planned.speculative else ()
    timeline = timeline_of(planned.schedule, planned.network, target.arch)
    wishes = wishes or Wishes()
    return CostReport(
        target=target.title,
        objective=objective,
        cost_model=target.cost_model,
        known_error=target.cost_models[target.cost_model].known_error,
        host_scale=target.host_scale,
        layers=layer_reports(planned, target),
        exits=exits,
        total=exits[-1],
        free=workload.free,
        refusals=refusals,
        warnings=(*_incomplete(refusals), *target.warnings(workload)),
        timeline=timeline,
        clock_hz=clock_hz,
        planned=planned,
        schedule=schedule_report(planned, target, wishes, timeline),
        bits=bits,
        search=target.search,
        areas=core_areas(target.arch),
        clocks_ns=core_clocks_ns(target.arch),
        peaks=core_peaks(target.arch),
        ratios=tuple(ratios) if ratios is not None else uniform(len(exits)),
        speculative=speculative,
        expected=None if ratios is None else expected_cost(exits, ratios, speculative),
    )


def check_ratios(ratios: Sequence[float] | None, exits: int) -> None:
    """Check that there is a share for each exit, and that they add up to 1.

    Raises:
        InputError: They do not.
    """
    if ratios is None:
        return
    if len(ratios) != exits:
        raise InputError(
            f"{len(ratios)} ratios for {exits} exits", "give one per exit, the final one included"
        )
    if any(not (math.isfinite(r) and 0 <= r <= 1) for r in ratios) or abs(sum(ratios) - 1) > RATIO_SLACK:
        given = ", ".join(f"{ratio:g}" for ratio in ratios)
        raise InputError(
            f"the ratios {given} are no shares that add up to 1",
            "give numbers from 0 to 1 that add up to 1, one per exit, such as 0.6,0.4",
        )


def _incomplete(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    if not refusals:
        return ()
    return (f"{len(refusals)} layers have no cost: exits marked incomplete cost more than is shown",)
