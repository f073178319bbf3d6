"""What a network costs on a target: per layer, per exit, in total."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.shown_result import Row, ShownResult
from targets.contract.placement import Refusal
from targets.contract.target import Target
from targets.cost.imc.area import core_areas, core_clocks_ns, core_peaks
from targets.description.architecture import OperatingPoint
from targets.evaluation.break_even import BreakEven, break_even
from targets.evaluation.document import (
    SCHEMA_VERSION,
    break_even_json,
    cost_json,
    detail_json,
    exact_json,
    expected_json,
    layer_figures,
    path_json,
    point_json,
    refusal_json,
    schedule_json,
)
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.layers import LayerReport, layer_reports
from targets.evaluation.paths import Cost, PathCost, expected_cost, path_costs
from targets.evaluation.residence import residence
from targets.evaluation.schedule_report import ScheduleReport, schedule_report
from targets.evaluation.scheduling import Planned, Wishes, schedule_workload
from targets.evaluation.stage_uses import stage_uses
from targets.network.batch import unrolled
from targets.network.layer import Bits
from targets.network.workload import FreeLayer, Workload, build_workload
from targets.objective import EDP, Objective, uniform
from targets.residence import Residence
from targets.schedule.view.drawing import timeline_of
from targets.schedule.view.timeline import Timeline
from targets.schedule.view.trace import to_trace
from targets.stage_use import StageUse

# Ratios come rounded from tables.
RATIO_SLACK = 1e-3


@dataclass(frozen=True, repr=False)
class CostReport(ShownResult):
    """A scheduled network, and what it costs at the operating point of its target.

    Attributes:
        target: The accelerator with its options.
        objective: What the schedule minimises.
        planned: The schedule with all that it was made from; energies are those at the first point.
        wishes: What the user asked of it.
        bits: Precision of float tensors.
        given_ratios: Share of inputs at each exit as they were given; ``None`` if they were not.
        fusion: Layers hold the activations that follow them.
        models: Cycles by each cost model of the target; ``None`` for one that cannot cost the network.
        notes: What was assumed for lack of better knowledge.
        static: The report of the same network without its early exits; ``None`` where that was not costed.
    """

    target: Target
    objective: Objective
    planned: Planned
    wishes: Wishes
    bits: Bits
    given_ratios: tuple[float, ...] | None = None
    fusion: bool = True
    models: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    static: CostReport | None = None

    def at(self, point: str) -> CostReport:
        """Return the report at operating point ``point``; raises InputError for an unknown one.

        Cycles are the same at every point, and so is the schedule, because all energies scale alike.
        """
        static = None if self.static is None else self.static.at(point)
        return replace(self, target=self.target.at_point(point), static=static)

    @property
    def at_all_points(self) -> tuple[CostReport, ...]:
        """The report at every operating point of the target, in the order of its description."""
        return tuple(self.at(point.name) for point in self.target.arch.operating_points)

    @property
    def point(self) -> OperatingPoint | None:
        """The operating point of all figures; ``None`` where the target has none."""
        return self.target.operating_point

    @property
    def clock_hz(self) -> float | None:
        """Clock in Hz; ``None`` where none is known."""
        return None if self.point is None else self.point.clock_hz.value

    @property
    def error_bars(self) -> ErrorBars:
        """The intervals around all figures."""
        return ErrorBars.of(self.target)

    @cached_property
    def _planned(self) -> Planned:
        """The schedule with the energies of the operating point."""
        return self.planned if self.point is None else self.planned.at_energy(self.point.scale)

    @property
    def workload(self) -> Workload:
        """The layers and exits of the network, those that cannot be placed included."""
        return self.planned.network.workload

    @cached_property
    def layers(self) -> tuple[LayerReport, ...]:
        """Cost of each layer, in topological order."""
        return layer_reports(self._planned, self.target)

    @cached_property
    def exits(self) -> tuple[PathCost, ...]:
        """Cost of each exit path, shallow to deep."""
        planned, refused = self._planned, {refusal.layer for refusal in self.refusals}
        ways = [planned.way(number) for number in range(len(self.workload.exits))]
        return path_costs(self.workload, ways, planned.speculative, refused, self.clock_hz)

    @property
    def total(self) -> Cost:
        """Cost of the deepest path: every layer, head and decision runs, but for heads that compute apart."""
        return self.exits[-1].cost

    @property
    def ratios(self) -> tuple[float, ...]:
        """Share of inputs at each exit that the schedule was made for."""
        return uniform(len(self.workload.exits)) if self.given_ratios is None else self.given_ratios

    @property
    def expected(self) -> Cost | None:
        """What an input costs on average; ``None`` where no ratios were given."""
        return None if self.given_ratios is None else expected_cost(self.exits, self.given_ratios)

    @property
    def break_even(self) -> BreakEven | None:
        """Exits against none, at the shares given or equal ones; ``None`` where static was not costed."""
        if self.static is None or len(self.exits) < 2:
            return None
        return break_even(self.exits, self.ratios, self.static.total, self.objective)

    @property
    def speculates(self) -> bool:
        """Exits also tell their costs with speculation, and expected costs are with it."""
        return self.planned.speculative is not None

    @cached_property
    def residence(self) -> Residence:
        """What it leaves in the memories between inferences, and between stages of one."""
        return residence(self._planned)

    @property
    def stage_uses(self) -> tuple[StageUse, ...]:
        """When each stage takes what of the machine."""
        return stage_uses(self._planned)

    @property
    def free(self) -> tuple[FreeLayer, ...]:
        """Layers of the graph that cost nothing, and why."""
        return self.workload.free

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Layers no core takes; empty unless refusals were allowed."""
        return self.planned.refusals

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the figures leave out."""
        rows = (self.target.row_model().caution,) if self.planned.rows else ()
        made = (*_incomplete(self.refusals), *_apart(self.planned), *rows)
        found = (*made, *self.target.warnings(self.workload))
        return found if self.worse_than_static is None else (self.worse_than_static, *found)

    @property
    def worse_than_static(self) -> str | None:
        """A warning where the mean input costs more than one of the network without early exits."""
        found = self.break_even
        if found is None or not found.is_worse:
            return None
        shares = "equal shares" if self.given_ratios is None else "the given shares"
        times = found.mean_over_static
        by = "" if times is None else f", {times:.2f} times as much"
        way_out = "leaving early saves nothing, however many do"
        if found.early is not None:
            spread = ", as many at each exit" if len(found.exits) > 1 else ""
            way_out = f"they pay if more than {100 * found.early:.1f} % leave early{spread}"
        return (
            f"with these exits and {shares} of inputs at each, the mean {self.objective.words} is above that "
            f"of the network without exits{by}; {way_out}"
        )

    @cached_property
    def timeline(self) -> Timeline:
        """The schedule behind the latencies."""
        return timeline_of(self._planned.schedule, self.planned.network, self.target.arch)

    @cached_property
    def schedule(self) -> ScheduleReport:
        """What it does with cores, links and memories."""
        return schedule_report(self._planned, self.target, self.wishes, self.timeline)

    def _words(self) -> str:
        total = self.total
        what = f"{len(self.exits)} exits" if len(self.exits) > 1 else "a network without early exits"
        return (
            f"{what} on {self.target.title}: {total.macs:.3g} MACs, {total.latency_cycles:.3g} cycles, "
            f"{total.energy_pj:.3g} pJ to the last"
        )

    def _rows(self) -> list[Row]:
        return [
            {
                "exit": path.name,
                "macs": path.cost.macs,
                "latency_cycles": path.cost.latency_cycles,
                "latency_s": path.cost.latency_s,
                "energy_pj": path.cost.energy_pj,
                "edp_j_cycles": path.cost.edp_j_cycles,
            }
            for path in self.exits
        ]

    def _axes(self) -> tuple[str, str]:
        return "exit", "energy_pj"

    def to_json(self) -> dict[str, Any]:
        """Return the document of ``eecompile cost --json``."""
        target, search = self.target, self.target.search
        return {
            "schema_version": SCHEMA_VERSION,
            "target": target.title,
            "objective": self.objective.name,
            "cost_model": target.cost_model,
            "known_error": target.known_error,
            "host_scale": target.host_scale,
            "clock_hz": self.clock_hz,
            "bits": {
                "weight": self.bits.weight,
                "activation": self.bits.activation,
                "partial_sum": self.bits.accumulator,
                "logits": self.bits.logits,
            },
            "locality": None if search is None else ("on" if search.locality else "off"),
            "fusion": "on" if self.fusion else "off",
            "lpf_limit": None if search is None else (search.lpf_limit or "full"),
            "rules": None if search is None else search.rules,
            "models": dict(self.models),
            "layers": [layer_figures(layer) | detail_json(layer.cost.detail) for layer in self.layers],
            "exits": [path_json(path, self.error_bars) for path in self.exits],
            "total": {
                **cost_json(self.total, self.error_bars),
                "complete": self.exits[-1].complete,
            },
            "free": [{"name": f.name, "origin": list(f.origin), "reason": f.reason} for f in self.free],
            "refusals": [refusal_json(refusal) for refusal in self.refusals],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "areas": {core: dict(parts) for core, parts in core_areas(target.arch).items()},
            "clocks_ns": {core: dict(parts) for core, parts in core_clocks_ns(target.arch).items()},
            "peaks": {core: peak._asdict() for core, peak in core_peaks(target.arch).items()},
            "ratios": list(self.ratios),
            "expected": None
            if self.expected is None
            else expected_json(self.expected, self.speculates, self.error_bars),
            "static": None if self.static is None else cost_json(self.static.total, self.error_bars),
            "break_even": None if self.break_even is None else break_even_json(self.break_even, self.exits),
            **schedule_json(self.schedule, self.exits),
            "exact": None if self.planned.exact is None else exact_json(self.planned.exact),
            "point": None if self.point is None else self.point.name,
            "operating_points": self.points_json(),
            **self.error_bars.to_json(),
        }

    def points_json(self) -> list[dict[str, Any]]:
        """Return what the exits cost at every operating point."""
        found = self.at_all_points
        return [point_json(r.point, r.exits, r.error_bars) for r in found if r.point is not None]

    def to_trace(self) -> dict[str, Any]:
        """Return the schedule, without speculation, as a Chrome trace."""
        schedule = self.schedule
        return to_trace(self.timeline, self.clock_hz, self.target.title, schedule.memories, schedule.energy)


def evaluate(
    graph: gs.Graph,
    target: Target,
    objective: Objective = EDP,
    *,
    bits: Bits | None = None,
    allow_refused: bool = False,
    ratios: Sequence[float] | None = None,
    wishes: Wishes | None = None,
    images: int = 1,
) -> CostReport:
    """Cost ``graph`` on ``target``: schedule its layers on the cores, and sum up per exit path.

    Args:
        graph: Batch 1, static shapes, float or lowered, after ``fuse-layers``.
        target: The accelerator with its options.
        objective: What the schedule minimises, expected over the exits; EDP for MACs, which it cannot change.
        bits: Precision of float tensors; that of the target if not given.
        allow_refused: Report layers no core takes instead of raising.
        ratios: Share of inputs that leave at each exit; equal shares if not given.
        wishes: What the user asks of the schedule.
        images: How many are taken at once; all figures are of so many. See `targets.network.batch`.

    Raises:
        InputError: Ratios that are none.
        NoSolutionError: Some layer cannot be placed, or tensors do not fit; the message says what and why.
    """
    bits, wishes = bits or target.precision, wishes or Wishes()
    workload = unrolled(build_workload(graph, bits), images)
    check_ratios(ratios, len(workload.exits))
    target = target.for_objective(objective.for_schedules)
    planned = schedule_workload(workload, target, objective.for_schedules, ratios, wishes, allow_refused)
    given = None if ratios is None else tuple(ratios)
    return CostReport(target, objective, planned, wishes, bits, given)


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


def _apart(planned: Planned) -> tuple[str, ...]:
    names = [planned.network.workload.layers[i].name for i in planned.skipped]
    if not names:
        return ()
    return (
        f"the schedule as it is drawn has the ways of the network behind each other; the costs of an exit "
        f"are those of its way alone, and others leave out {', '.join(names)}",
    )


def _incomplete(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    if not refusals:
        return ()
    return (f"{len(refusals)} layers have no cost: exits marked incomplete cost more than is shown",)
