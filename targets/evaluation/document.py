"""The parts of a cost report in the document of ``eecompile cost --json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from targets.contract.placement import Refusal
from targets.cost.model.solution import Solution
from targets.description.architecture import OperatingPoint
from targets.evaluation.break_even import BreakEven
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.layers import LayerReport
from targets.evaluation.paths import Cost, PathCost
from targets.evaluation.schedule_report import ScheduleReport
from targets.schedule.exact.solve import Exact

SCHEMA_VERSION = 1


def schedule_json(schedule: ScheduleReport, exits: Sequence[PathCost]) -> dict[str, Any]:
    """Return the keys a schedule adds to the document."""
    return {
        "schedule": {
            "mode": schedule.mode,
            "weights": schedule.weights,
            "resident": [
                {"layer": kept.layer, "bits": kept.bits, "stores": list(kept.stores)}
                for kept in schedule.resident
            ],
            "latency_cycles": schedule.latency_cycles,
            "runs": schedule.runs,
            "moves": schedule.moves,
            "groups": schedule.groups,
        },
        "memories": [
            {
                "name": memory.store,
                "capacity_bits": memory.capacity_bits,
                "peak_bits": memory.peak_bits,
                "peaks_bits": list(memory.peaks_bits),
            }
            for memory in schedule.memories.values()
        ],
        "utilization": [
            {
                "resource": item.resource,
                "group": item.group,
                "capacity": item.capacity,
                "working": list(item.working),
                "taken": list(item.taken),
                "bits": list(item.bits),
            }
            for item in schedule.utilisation
        ],
        "energy": [
            {"exit": path.name, **split._asdict()} for path, split in zip(exits, schedule.energy, strict=True)
        ],
    }


def exact_json(exact: Exact) -> dict[str, Any]:
    """Return what the solver found and proved."""
    return {
        "value": exact.value,
        "bound": exact.bound,
        "gap": exact.gap,
        "proven": exact.proven,
    }


def layer_figures(report: LayerReport) -> dict[str, Any]:
    """Return what is known of a layer beside its mapping, as plain values."""
    layer, cost = report.layer, report.cost
    weight, inputs, outputs = report.bits
    return {
        "name": layer.name,
        "op_type": layer.op_type,
        "origin": list(layer.origin),
        "core": report.core,
        "macs": layer.macs,
        "bits": {"weight": weight, "input": inputs, "output": outputs},
        "latency_cycles": cost.latency_cycles,
        "compute_cycles": cost.compute_cycles,
        "dma_cycles": cost.dma_cycles,
        "host_cycles": cost.host_cycles,
        "job_cycles": cost.job_cycles,
        "energy_pj": report.energy_pj,
        "utilization": cost.utilization,
        "bound_cycles": cost.bound_cycles,
        "share": report.share,
        "exit": report.exit,
        "known": cost.known,
        "stall_cycles": cost.stall_cycles,
        "load_cycles": cost.load_cycles,
        "store_cycles": cost.store_cycles,
        "padding_bytes": cost.padding_bytes,
        "overlapped_cycles": cost.overlapped_cycles,
        "declined": [{"core": r.core, "rule": r.rule} for r in report.declined],
        "cores": list(report.cores),
        "tiles": report.tiles,
        "axis": report.axis,
        "start_cycle": report.start_cycle,
        "end_cycle": report.end_cycle,
        "move_energy_pj": report.move_energy_pj,
        "group": report.group,
    }


def detail_json(detail: Solution | None) -> dict[str, Any]:
    """Return the mapping of a layer, if one was searched."""
    if detail is None:
        return {}
    mapping = detail.mapping
    return {
        "mapping": {
            "spatial": {dimension: dict(loops) for dimension, loops in mapping.spatial.items()},
            "loops": [list(loop) for loop in mapping.loops],
            "levels": {operand: list(levels) for operand, levels in mapping.levels.items()},
        },
        "latency": {
            "compute": detail.compute_cycles,
            "stall": detail.stall_cycles,
            "onload": detail.onload_cycles,
            "offload": detail.offload_cycles,
            "stalling_port": detail.stalls[0][0] if detail.stalls and detail.stall_cycles else None,
        },
        "energy": {
            "operations_pj": detail.operation_energy_pj,
            "accesses": [dict(vars(access)) for access in detail.accesses],
        },
        "gap": detail.gap,
    }


def cost_json(cost: Cost, bars: ErrorBars) -> dict[str, Any]:
    """Return a cost with the intervals around it."""
    return {**vars(cost), **bars.around(cost)}


def path_json(path: PathCost, bars: ErrorBars) -> dict[str, Any]:
    """Return the cost of one exit path."""
    found = {
        "name": path.name,
        "mount": path.mount,
        **cost_json(path.cost, bars),
        "complete": path.complete,
    }
    if path.speculative is None:
        return found
    costs = {name: value for name, value in vars(path.speculative.cost).items() if name != "macs"}
    ahead = {"wasted_pj": path.speculative.wasted_pj, "pays": path.speculative.pays}
    return {**found, "speculative": costs | ahead}


def expected_json(expected: Cost, speculates: bool, bars: ErrorBars) -> dict[str, Any]:
    """Return what an input costs on average."""
    return {
        **cost_json(expected, bars),
        "edp_of_means_js": expected.edp_of_means_js,
        "edp_of_means_j_cycles": expected.edp_of_means_j_cycles,
        "speculation": speculates,
    }


def break_even_json(found: BreakEven, exits: Sequence[PathCost]) -> dict[str, Any]:
    """Return whether exits pay; shares of inputs are from 0 to 1, null where no share is enough."""
    return {
        "share": found.early,
        "exits": {path.name: share for path, share in zip(exits, found.exits, strict=False)},
        "mean_over_static": found.mean_over_static,
    }


def point_json(point: OperatingPoint, exits: Sequence[PathCost], bars: ErrorBars) -> dict[str, Any]:
    """Return what the exits cost at an operating point; cycles are the same at all."""
    shown = ("latency_s", "energy_pj", "edp_js")
    costs = [
        {"name": p.name, **{key: getattr(p.cost, key) for key in shown}, **bars.around(p.cost)} for p in exits
    ]
    return {
        "name": point.name,
        "clock_hz": point.clock_hz.value,
        "voltage_v": None if point.voltage_v is None else point.voltage_v.value,
        "energy_scale": point.scale,
        "energy_scale_source": None if point.energy_scale is None else point.energy_scale.source,
        "exits": costs,
        "total": costs[-1],
    }


def refusal_json(refusal: Refusal) -> dict[str, Any]:
    """Return why no core takes a layer."""
    return {
        "layer": refusal.layer,
        "op_type": refusal.op_type,
        "origin": list(refusal.origin),
        "reasons": [{"core": r.core, "rule": r.rule} for r in refusal.reasons],
        "hint": refusal.hint,
    }
