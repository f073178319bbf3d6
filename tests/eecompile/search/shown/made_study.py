"""The folder of a search with four designs and three points, made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.eecompile.report.made_traces import tiled, trace_of

STATIC = {"accuracy_val": 0.9, "edp_j_cycles": 0.08, "energy_pj": 4e6, "latency_cycles": 20000, "macs": 5e5}
WORST = STATIC | {
    "accuracy_val": 0.0,
    "edp_j_cycles": 0.1,
    "worst_latency_cycles": 40000,
    "memory_bytes": 0.0,
}


def figures(accuracy: float, edp: float) -> dict[str, float]:
    """Return all figures of a point, by its accuracy on val and its EDP in J·cycles."""
    return {
        "accuracy_val": accuracy,
        "edp_j_cycles": edp,
        "energy_pj": 4e7 * edp,
        "latency_cycles": 2e5 * edp,
        "macs": 5e6 * edp,
        "worst_latency_cycles": 21000.0,
    }


def point(trial: int, place: int, accuracy: float, edp: float, exits: int = 1) -> dict[str, Any]:
    """Return a point as ``front.json`` has it; on test it is a percent less accurate."""
    early = [
        {"name": f"exit_{k}", "mount": f"block_{k}", "head": "linear", "confidence": "margin",
         "threshold": 0.5 if k == 0 else 2.0, "ratio": 0.75 if k == 0 else 0.0}
        for k in range(exits)
    ]  # fmt: skip
    return {
        "trial": trial, "point": place, **figures(accuracy, edp), "memory_bytes": 0.0,
        "accuracy": accuracy - 0.01, "accuracy_ci95": [accuracy - 0.03, accuracy + 0.01],
        "exits": early, "final_ratio": 0.25 if exits else 1.0, "feasible": True,
        "design": f"design{{backbone=resnet{{width={trial}}}}}", "params": {"backbone.width": trial},
        "before": figures(accuracy - 0.02, 1.25 * edp), "summed": figures(accuracy, 1.1 * edp),
    }  # fmt: skip


def known(trial: int, place: int, exits: int = 1) -> dict[str, Any]:
    """Return the file of a point."""
    paths = [{"exit": f"exit_{k}", **figures(0, 0.01 * (k + 1))} for k in range(exits + 1)]
    curve = [
        {"thresholds": [k / 4] * exits, "ratios": [k / 4, *[0.0] * (exits - 1), 1 - k / 4],
         **figures(0.95 - 0.02 * k, 0.02 - 0.004 * k)}
        for k in range(5)
    ]  # fmt: skip
    layer = {
        "name": "conv_0", "op_type": "Conv", "core": "digital", "exit": "exit_0", "macs": 1000,
        "bits": {"weight": 8, "input": 8, "output": 8}, "latency_cycles": 500.0, "energy_pj": 1e4,
        "utilization": 0.5,
    }  # fmt: skip
    training = {
        "epochs": 40,
        "final_epochs": None,
        "quantize": "qat",
        "qat_epochs": 3,
        "inherit": False,
    }
    return {
        "schema_version": 1, "trial": trial, "point": place, "paths": paths, "layers": [layer],
        "curve": curve if exits else [], "training": training,
    }  # fmt: skip


def _seconds(told: dict[str, Any], clock_hz: float) -> dict[str, Any]:
    """Return figures with those in seconds."""
    by = {
        "edp_j_cycles": "edp_js",
        "latency_cycles": "latency_s",
        "worst_latency_cycles": "worst_latency_s",
    }
    return {**told, **{key: told[cycles] / clock_hz for cycles, key in by.items() if cycles in told}}


CLOCKS = {"slow": 1e8, "fast": 2e8}


def run_at_points(folder: Path) -> Path:
    """Let a made search be at two operating points of equal energies; its last point runs at the fast one."""
    front, told = (json.loads((folder / name).read_text()) for name in ("front.json", "trials.json"))
    front |= {"compared_by": ["accuracy_val", "edp_js"], "operating_points": list(CLOCKS)}
    for place, item in enumerate(front["points"]):
        item["operating_point"] = name = "slow" if place < 2 else "fast"
        for part in ("before", "summed"):
            item[part] = _seconds(item[part], CLOCKS[name])
        item.update(_seconds(item, CLOCKS[name]))
        path = folder / f"points/trial_{item['trial']}_{item['point']}.json"
        known = json.loads(path.read_text())
        for part in ("paths", "curve"):
            known[part] = [_seconds(one, CLOCKS[name]) for one in known[part]]
        path.write_text(json.dumps(known))
    for trial in (trial for trial in told["trials"] if "static" in trial):
        trial["static"] = _seconds(trial["static"], CLOCKS["slow"])
        costs = {key: value for key, value in STATIC.items() if key != "accuracy_val"}
        trial["static_at"] = {name: _seconds(costs, clock) for name, clock in CLOCKS.items()}
        trial["points"] = [
            _seconds(one, clock) for one, clock in zip(trial["points"], CLOCKS.values(), strict=True)
        ]
    told["searched"]["reference"] = _seconds(told["searched"]["reference"], CLOCKS["slow"])
    (folder / "front.json").write_text(json.dumps(front))
    (folder / "trials.json").write_text(json.dumps(told))
    return folder


def write_what_if(folder: Path, factor: float = 2.0) -> Path:
    """Write what became of a search on other hardware: costs times ``factor``; the last point cannot run."""
    front = json.loads((folder / "front.json").read_text())
    for place, item in enumerate(front["points"]):
        was = {key: item[key] for key in ("edp_j_cycles", "energy_pj", "latency_cycles", "macs")}
        item.update({key: factor * value for key, value in was.items()} | {"was": was, "feasible": True})
        item["runs"] = place < 2
    changes = [{"path": "memories.l1.size_bytes", "old": 262144, "new": 65536}]
    front["hardware"] = {"of": "diana", "target": "diana", "changes": changes}
    path = folder / "whatif-less.json"
    path.write_text(json.dumps(front))
    return path


def write_study(folder: Path, better: float = 1.0, **asked: Any) -> Path:
    """Write the folder of a search, whose costs are ``better`` times the usual; return it."""
    folder.mkdir(parents=True)
    points = [
        point(2, 0, 0.97, 0.03 * better, exits=2),
        point(1, 1, 0.95, 0.02 * better),
        point(0, 2, 0.90, 0.01 * better, exits=0),
    ]
    target, data = asked.pop("target", "diana"), asked.pop("data", "digits")
    question = {"space": "space.toml", "target": target, "data": data, "preprocess": "auto", "seed": 4}
    question |= {"quantized": True, "hardware": True, "fixed_heads": False, "one_threshold": False, **asked}
    front = {
        "schema_version": 1, "objectives": ["accuracy", "edp"], "target": target, "data": data, "seed": 4,
        "trials_done": 4, "hypervolume": 0.5, "points": points,
    }  # fmt: skip
    trials: list[dict[str, Any]] = [
        {"trial": k, "params": {"backbone.width": k}, "design": f"design {k}", "static": STATIC,
         "points": [figures(0.9 + 0.02 * k, 0.02 * (k + 1) * better), figures(0.8, 0.015 * better)]}
        for k in range(3)
    ]  # fmt: skip
    trials.append({"trial": 3, "params": {"backbone.width": 3}, "error": "it does not fit", "hint": ""})
    searched = {"question": question, "objectives": ["accuracy_val"], "reference": WORST, "version": "9.9"}
    written = {"front.json": front, "trials.json": {"searched": searched, "trials": trials}}
    trace = trace_of(tiled())
    for item in points:
        name = f"points/trial_{item['trial']}_{item['point']}"
        written[f"{name}.json"] = known(item["trial"], item["point"], len(item["exits"]))
        written[f"{name}.trace.json"] = trace
    (folder / "points").mkdir()
    for name, document in written.items():
        (folder / name).write_text(json.dumps(document))
    return folder
