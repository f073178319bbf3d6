"""A cost report as the document of ``eecompile cost --json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from targets.area import core_areas, core_clocks_ns, core_peaks
from targets.cost.solution import Solution
from targets.placement import Refusal

if TYPE_CHECKING:
    from targets.layer_report import LayerReport
    from targets.path_cost import PathCost
    from targets.report import CostReport
    from targets.schedule.exact import Exact
    from targets.schedule_report import ScheduleReport

SCHEMA_VERSION = 1


def report_document(report: CostReport) -> dict[str, Any]:
    """Return ``report`` as plain values, ready for JSON."""
    target, search = report.target, report.target.search
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.title,
        "objective": report.objective.name,
        "cost_model": target.cost_model,
        "known_error": target.model.known_error,
        "host_scale": target.host_scale,
        "clock_hz": report.clock_hz,
        "bits": {
            "weight": report.bits.weight,
            "activation": report.bits.activation,
            "partial_sum": report.bits.accumulator,
            "logits": report.bits.logits,
        },
        "locality": None if search is None else ("on" if search.locality else "off"),
        "fusion": "on" if report.fusion else "off",
        "lpf_limit": None if search is None else (search.lpf_limit or "full"),
        "models": dict(report.models),
        "layers": [layer_figures(layer) | _detail_json(layer.cost.detail) for layer in report.layers],
        "exits": [_path_json(path) for path in report.exits],
        "total": {**vars(report.total), "complete": report.exits[-1].complete},
        "free": [{"name": f.name, "origin": list(f.origin), "reason": f.reason} for f in report.free],
        "refusals": [_refusal_json(refusal) for refusal in report.refusals],
        "warnings": list(report.warnings),
        "notes": list(report.notes),
        "areas": {core: dict(parts) for core, parts in core_areas(target.arch).items()},
        "clocks_ns": {core: dict(parts) for core, parts in core_clocks_ns(target.arch).items()},
        "peaks": {core: peak._asdict() for core, peak in core_peaks(target.arch).items()},
        "ratios": list(report.ratios),
        "expected": _expected_json(report),
        **_schedule_json(report.schedule, report.exits),
        "exact": None if report.planned.exact is None else _exact_json(report.planned.exact),
        "point": None if report.point is None else report.point.name,
        "operating_points": [_point_json(found) for found in report.at_all_points],
    }


def _schedule_json(schedule: ScheduleReport, exits: Sequence[PathCost]) -> dict[str, Any]:
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


def _exact_json(exact: Exact) -> dict[str, Any]:
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
        "declined": [{"core": r.core, "rule": r.rule} for r in report.declined],
        "cores": list(report.cores),
        "tiles": report.tiles,
        "axis": report.axis,
        "start_cycle": report.start_cycle,
        "end_cycle": report.end_cycle,
        "move_energy_pj": report.move_energy_pj,
        "group": report.group,
    }


def _detail_json(detail: Solution | None) -> dict[str, Any]:
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


def _path_json(path: PathCost) -> dict[str, Any]:
    found = {"name": path.name, "mount": path.mount, **vars(path.cost), "complete": path.complete}
    if path.speculative is None:
        return found
    costs = {name: value for name, value in vars(path.speculative.cost).items() if name != "macs"}
    ahead = {"wasted_pj": path.speculative.wasted_pj, "pays": path.speculative.pays}
    return {**found, "speculative": costs | ahead}


def _expected_json(report: CostReport) -> dict[str, Any] | None:
    if report.expected is None:
        return None
    return {
        **vars(report.expected),
        "edp_of_means_js": report.expected.edp_of_means_js,
        "edp_of_means_j_cycles": report.expected.edp_of_means_j_cycles,
        "speculation": report.speculates,
    }


def _point_json(report: CostReport) -> dict[str, Any]:
    """Return what the exits cost at an operating point, which has a clock."""
    shown = ("latency_s", "energy_pj", "edp_js")
    exits = [{"name": p.name, **{key: getattr(p.cost, key) for key in shown}} for p in report.exits]
    voltage = None if report.point is None else report.point.voltage_v
    return {
        "name": report.point and report.point.name,
        "clock_hz": report.clock_hz,
        "voltage_v": None if voltage is None else voltage.value,
        "exits": exits,
        "total": exits[-1],
    }


def _refusal_json(refusal: Refusal) -> dict[str, Any]:
    return {
        "layer": refusal.layer,
        "op_type": refusal.op_type,
        "origin": list(refusal.origin),
        "reasons": [{"core": r.core, "rule": r.rule} for r in refusal.reasons],
        "hint": refusal.hint,
    }
