"""A cost report as the document of ``eecompile cost --json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    return {
        "schema_version": SCHEMA_VERSION,
        "target": report.target,
        "objective": report.objective.name,
        "cost_model": report.cost_model,
        "known_error": report.known_error,
        "host_scale": report.host_scale,
        "clock_hz": report.clock_hz,
        "bits": {
            "weight": report.bits.weight,
            "activation": report.bits.activation,
            "partial_sum": report.bits.accumulator,
            "logits": report.bits.logits,
        },
        "locality": None if report.search is None else ("on" if report.search.locality else "off"),
        "fusion": "on" if report.fusion else "off",
        "lpf_limit": None if report.search is None else (report.search.lpf_limit or "full"),
        "models": dict(report.models),
        "layers": [_layer_json(layer) for layer in report.layers],
        "exits": _exits_json(report),
        "total": {k: v for k, v in _path_json(report.total).items() if k not in ("name", "mount")},
        "free": [{"name": f.name, "origin": list(f.origin), "reason": f.reason} for f in report.free],
        "refusals": [_refusal_json(refusal) for refusal in report.refusals],
        "warnings": list(report.warnings),
        "notes": list(report.notes),
        "areas": {core: dict(parts) for core, parts in report.areas.items()},
        "clocks_ns": {core: dict(parts) for core, parts in report.clocks_ns.items()},
        "peaks": {core: peak._asdict() for core, peak in report.peaks.items()},
        "ratios": list(report.ratios),
        "expected": None if report.expected is None else dict(vars(report.expected)),
        **_schedule_json(report.schedule, report.exits),
        "exact": None if report.planned.exact is None else _exact_json(report.planned.exact),
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


def _layer_json(layer: LayerReport) -> dict[str, Any]:
    fields = dict(vars(layer))
    weight, inputs, outputs = layer.bits
    fields["origin"] = list(layer.origin)
    fields["cores"] = list(layer.cores)
    fields["bits"] = {"weight": weight, "input": inputs, "output": outputs}
    fields["declined"] = [{"core": r.core, "rule": r.rule} for r in layer.declined]
    return fields | _detail_json(fields.pop("detail"))


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


def _exits_json(report: CostReport) -> list[dict[str, Any]]:
    if not report.speculative:
        return [_path_json(path) for path in report.exits]
    return [
        {**_path_json(path), "speculative": dict(vars(cost))}
        for path, cost in zip(report.exits, report.speculative, strict=True)
    ]


def _path_json(path: PathCost) -> dict[str, Any]:
    return dict(vars(path))


def _refusal_json(refusal: Refusal) -> dict[str, Any]:
    return {
        "layer": refusal.layer,
        "op_type": refusal.op_type,
        "origin": list(refusal.origin),
        "reasons": [{"core": r.core, "rule": r.rule} for r in refusal.reasons],
        "hint": refusal.hint,
    }
