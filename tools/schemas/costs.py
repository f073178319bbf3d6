"""What a network costs: the document of `cost`, and the parts it shares with others."""

from __future__ import annotations

from tools.schemas.shapes import (
    FLAG,
    INTEGER,
    NUMBER,
    TEXT,
    Document,
    Shape,
    any_of,
    maybe,
    pair,
    record,
    rows,
    said,
    table,
    versioned,
)  # fmt: skip

INTERVAL = record(
    {"low": NUMBER, "high": NUMBER, "nominal_coverage": maybe(NUMBER), "basis": TEXT},
    "Factors on a figure between which it lies if the model is as far off as where chips were measured.",
)
INTERVALS = maybe(
    record({"latency": maybe(INTERVAL), "energy": maybe(INTERVAL), "command": TEXT, "note": TEXT})
)
BARS: dict[str, Shape] = {
    "latency_interval": maybe(pair(NUMBER)), "energy_interval": maybe(pair(NUMBER)), "validation": TEXT,
}  # fmt: skip
COST: dict[str, Shape] = {
    "macs": NUMBER, "latency_cycles": NUMBER, "latency_s": maybe(NUMBER), "energy_pj": NUMBER,
    "edp_js": maybe(NUMBER), "edp_j_cycles": NUMBER,
}  # fmt: skip
AHEAD = {name: shape for name, shape in COST.items() if name != "macs"}
SPECULATIVE = record({**AHEAD, "wasted_pj": NUMBER, "pays": FLAG}, "With the next stage started before.")
AT_POINT = record(
    {"name": TEXT, "latency_s": maybe(NUMBER), "energy_pj": NUMBER, "edp_js": maybe(NUMBER), **BARS}
)
POINT = record(
    {
        "name": TEXT, "clock_hz": NUMBER, "voltage_v": maybe(NUMBER), "energy_scale": NUMBER,
        "energy_scale_source": maybe(TEXT), "exits": rows(AT_POINT), "total": AT_POINT,
    }
)  # fmt: skip
BITS_OF_LAYER = record({"weight": maybe(INTEGER), "input": INTEGER, "output": INTEGER})
_ACCESS = record({"operand": TEXT, "memory": TEXT, "direction": TEXT, "words": NUMBER, "energy_pj": NUMBER})
_LAYER = record(
    {
        "name": TEXT, "op_type": TEXT, "origin": rows(TEXT), "core": TEXT, "macs": INTEGER,
        "bits": BITS_OF_LAYER, "latency_cycles": NUMBER, "compute_cycles": NUMBER, "dma_cycles": NUMBER,
        "host_cycles": NUMBER, "job_cycles": NUMBER, "energy_pj": NUMBER, "utilization": NUMBER,
        "bound_cycles": NUMBER, "share": NUMBER, "exit": TEXT, "known": TEXT, "stall_cycles": NUMBER,
        "load_cycles": NUMBER, "store_cycles": NUMBER, "padding_bytes": NUMBER, "overlapped_cycles": NUMBER,
        "declined": rows(record({"core": TEXT, "rule": TEXT})), "cores": rows(TEXT), "tiles": INTEGER,
        "axis": TEXT, "start_cycle": NUMBER, "end_cycle": NUMBER, "move_energy_pj": NUMBER,
        "group": maybe(INTEGER),
        "mapping": record(
            {
                "spatial": said("Array dimension -> loop -> how far it is unrolled.", table(table(NUMBER))),
                "loops": said("Temporal loops, innermost first: name and size.", rows(rows(any_of(TEXT,
                NUMBER)))),
                "levels": said("Operand -> how many loops lie below each memory level.",
                table(rows(INTEGER))),
            },
            "How the loops of the layer run on its core, where that was searched.",
        ),
        "latency": record(
            {"compute": NUMBER, "stall": NUMBER, "onload": NUMBER, "offload": NUMBER,
            "stalling_port": maybe(TEXT)},
            "Its latency in parts, cycles.",
        ),
        "energy": record(
            {"operations_pj": NUMBER, "accesses": rows(_ACCESS)}, "Its energy in parts."
        ),
        "gap": maybe(NUMBER),
    },
    sometimes=("mapping", "latency", "energy", "gap"),
)  # fmt: skip
_PATH = record(
    {"name": TEXT, "mount": TEXT, **COST, **BARS, "complete": FLAG, "speculative": SPECULATIVE},
    sometimes=("speculative",),
)
_EXPECTED = record(
    {**COST, **BARS, "edp_of_means_js": maybe(NUMBER), "edp_of_means_j_cycles": NUMBER, "speculation": FLAG}
)
_REFUSAL = record(
    {
        "layer": TEXT, "op_type": TEXT, "origin": rows(TEXT),
        "reasons": rows(record({"core": TEXT, "rule": TEXT})), "hint": TEXT,
    }
)  # fmt: skip
_SCHEDULE = record(
    {
        "mode": TEXT, "weights": TEXT,
        "resident": rows(record({"layer": TEXT, "bits": INTEGER, "stores": rows(TEXT)})),
        "latency_cycles": NUMBER, "runs": said("How many tiles are computed.", INTEGER), "moves": INTEGER,
        "groups": INTEGER,
    }
)  # fmt: skip
_USE = record(
    {
        "resource": TEXT, "group": said("What it is: a core, a link, …", TEXT), "capacity": NUMBER,
        "working": rows(NUMBER), "taken": rows(NUMBER), "bits": said("Moved, per exit path.", rows(NUMBER)),
    }
)  # fmt: skip
_MEMORY = record(
    {"name": TEXT, "capacity_bits": maybe(INTEGER), "peak_bits": INTEGER, "peaks_bits": rows(INTEGER)}
)
_SPLIT = record(
    {"exit": TEXT, "cores_pj": NUMBER, "onchip_pj": NUMBER, "offchip_pj": NUMBER, "links_pj": NUMBER}
)
_PARTS = table(table(any_of(NUMBER, TEXT, {"type": "null"})))

COST_REPORT = Document(
    "cost",
    "`eecompile cost --json`, `api.cost(…).save('x.json')`",
    versioned(
        {
            "target": TEXT, "objective": TEXT, "cost_model": TEXT, "known_error": TEXT, "host_scale": NUMBER,
            "clock_hz": maybe(NUMBER),
            "bits": record(
                {"weight": INTEGER, "activation": INTEGER, "partial_sum": INTEGER, "logits": maybe(INTEGER)}
            ),
            "locality": maybe(TEXT), "fusion": TEXT, "lpf_limit": maybe(any_of(INTEGER, TEXT)),
            "rules": maybe(TEXT), "models": table(maybe(NUMBER)), "layers": rows(_LAYER),
            "exits": rows(_PATH),
            "total": record({**COST, **BARS, "complete": FLAG}, "The deepest path: all that can run."),
            "free": rows(record({"name": TEXT, "origin": rows(TEXT), "reason": TEXT})),
            "refusals": rows(_REFUSAL), "warnings": rows(TEXT), "notes": rows(TEXT), "areas": _PARTS,
            "clocks_ns": _PARTS, "peaks": _PARTS, "ratios": rows(NUMBER), "expected": maybe(_EXPECTED),
            "static": maybe(record({**COST, **BARS})),
            "break_even": maybe(
                record({"share": maybe(NUMBER), "exits": table(maybe(NUMBER)),
                "mean_over_static": maybe(NUMBER)})
            ),
            "schedule": _SCHEDULE, "memories": rows(_MEMORY), "utilization": rows(_USE),
            "energy": rows(_SPLIT),
            "exact": maybe(record({"value": NUMBER, "bound": NUMBER, "gap": NUMBER, "proven": FLAG})),
            "point": maybe(TEXT), "operating_points": rows(POINT), "validation": TEXT, "intervals": INTERVALS,
        }
    ),
)  # fmt: skip
DOCUMENTS = (COST_REPORT,)
