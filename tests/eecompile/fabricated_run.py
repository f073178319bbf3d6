"""A run directory made by hand: what the report and the comparison read, without compiling anything."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.run_files.samples import Samples, ShownImages, SplitSamples

CLOCK_HZ = 260e6
COLUMNS = (
    "name op_type origin core exit macs weight_bits activation_bits latency_cycles compute_cycles dma_cycles "
    "host_cycles job_cycles energy_pj share utilization bound_cycles known"
)
LAYERS = (
    ("conv_0", "Conv", "digital", "exit_0", 442368, 16384, 4800, 16100, 0),
    ("conv_1", "Conv", "digital", "exit_0", 2359296, 46080, 5200, 18400, 0),
    ("conv_2", "Conv", "digital", "exit_0", 2359296, 46080, 5200, 18400, 0),
    ("add_0", "Add", "simd", "exit_0", 16384, 4096, 1800, 6100, 0),
    ("exit_0/maxpool", "MaxPool", "simd", "exit_0", 0, 1024, 900, 1100, 0),
    ("exit_0/conv", "Conv", "digital", "exit_0", 147456, 3110, 1600, 1900, 0),
    ("exit_0/gemm", "Gemm", "digital", "exit_0", 5120, 420, 380, 260, 900),
    ("conv_3", "Conv", "digital", "exit_1", 1179648, 23040, 4100, 9800, 0),
    ("conv_4", "Conv", "digital", "exit_1", 2359296, 46080, 5900, 15100, 0),
    ("conv_5", "Conv", "digital", "exit_1", 131072, 3072, 1100, 1500, 0),
    ("add_1", "Add", "simd", "exit_1", 8192, 2048, 900, 3100, 0),
    ("exit_1/conv", "Conv", "digital", "exit_1", 294912, 6110, 2200, 2500, 0),
    ("exit_1/gemm", "Gemm", "digital", "exit_1", 5120, 420, 380, 260, 900),
    ("conv_6", "Conv", "digital", "final", 1179648, 23040, 6300, 8900, 0),
    ("conv_7", "Conv", "digital", "final", 2359296, 46080, 9200, 14800, 0),
    ("conv_8", "Conv", "digital", "final", 131072, 3072, 1900, 1300, 0),
    ("add_2", "Add", "simd", "final", 4096, 1024, 500, 1700, 0),
    ("averagepool_0", "AveragePool", "simd", "final", 4096, 512, 300, 420, 0),
    ("gemm_0", "Gemm", "host", "final", 640, 0, 0, 300, 2600),
)


def costs(macs: float, cycles: float, energy_pj: float) -> dict[str, float]:
    """Return the cost keys of one path on the fabricated clock."""
    seconds = cycles / CLOCK_HZ
    return {
        "macs": macs,
        "latency_cycles": cycles,
        "latency_s": seconds,
        "energy_pj": energy_pj,
        "edp_js": energy_pj * 1e-12 * seconds,
        "edp_j_cycles": energy_pj * 1e-12 * cycles,
    }


def summary(with_data: bool = True) -> dict[str, Any]:
    """Return a ``summary.json`` of a network with two early exits."""
    exits: list[dict[str, Any]] = [
        {
            "name": "exit_0",
            "mount": "model/add/add",
            "mount_name": "add_0",
            "head": "conv",
            **costs(5.3e6, 152e3, 5.1e6),
        },
        {
            "name": "exit_1",
            "mount": "model/add_1/add",
            "mount_name": "add_1",
            "head": "conv",
            **costs(9.3e6, 262e3, 8.8e6),
        },
        {"name": "final", "mount": "model/add_2/add", "mount_name": "add_2", **costs(13.0e6, 371e3, 12.6e6)},
    ]
    document: dict[str, Any] = {
        "schema_version": 1,
        "model": "resnet8_cifar10",
        "target": "diana",
        "objective": "edp",
        "cost_model": "match",
        "known_error": "Cycles of the digital core lie within 15 % of measurements; host work is a guess.",
        "max_drop": 1.0,
        "optimistic": False,
        "seed": 0,
        "dataset": None,
        "static": costs(12.5e6, 349e3, 11.9e6),
        "exits": exits,
        "expected": None,
        "drop": None,
        "saving": None,
        "warnings": ["Host work is costed with placeholder figures; see the table of host cost."],
    }
    if not with_data:
        return document
    accuracy = (
        (0.931, 0.40, 0.62, 0.74, 0.741, 0.9127),
        (0.902, 0.27, 0.71, 0.82, 0.817, 0.8443),
        (0.788, 0.33, None, 0.871, 0.866, None),
    )
    for entry, (leaving, ratio, _, floating, quantized, threshold) in zip(exits, accuracy, strict=True):
        entry.update(accuracy=leaving, ratio=ratio, accuracy_float=floating, accuracy_quant=quantized)
        entry.update(threshold=threshold, accuracy_quant_ci95=[quantized - 0.023, quantized + 0.022])
    document["dataset"] = {"name": "cifar10_subset", "train": 8068, "val": 611, "test": 1000}
    document["static"].update(accuracy_float=0.874, accuracy_quant=0.868, accuracy_quant_ci95=[0.846, 0.888])
    document["expected"] = {
        **costs(8.92e6, 254e3, 8.57e6),
        "edp_js": 1.01e-8,
        "edp_j_cycles": 1.01e-8 * CLOCK_HZ,
        "accuracy": 0.8621,
        "accuracy_ci95": [0.839, 0.882],
    }
    document["drop"] = {"points": 0.59, "ci95": [-0.41, 1.62]}
    document["saving"] = {"macs": 0.286, "latency": 0.272, "energy": 0.28, "edp": 0.368}
    document["host_sensitivity"] = [
        {
            "host_scale": scale,
            "static_latency_cycles": 345e3 + 4e3 * scale,
            "saving": {"macs": 0.286, "latency": t, "energy": e, "edp": p},
        }
        for scale, t, e, p in ((0, 0.281, 0.288, 0.377), (1, 0.272, 0.28, 0.368), (4, 0.241, 0.255, 0.331))
    ]
    document["break_even"] = {"early": 0.31, "exits": [0.12, 0.6]}
    spans = {key: [value - 0.05, value + 0.03] for key, value in document["saving"].items()}
    document["saving_interval"] = spans | {"edp": [0.331, 0.421]}
    document["saving_causes"] = [
        {
            "cause": "host scale",
            "interval": spans | {"edp": [0.331, 0.377]},
            "alternatives": [
                {"name": f"host x{row['host_scale']}", "saving": row["saving"], "reason": None}
                for row in document["host_sensitivity"]
                if row["host_scale"] != 1
            ],
        },
        {
            "cause": "cost model",
            "interval": spans | {"edp": [0.368, 0.421]},
            "alternatives": [
                {"name": "odimo", "saving": document["saving"] | {"edp": 0.421}, "reason": None},
                {"name": "engine", "saving": None, "reason": "no mapping fits"},
            ],
        },
    ]
    points = (
        (0, -0.2, 0.1, 0.15, 0.14),
        (0.25, 0.16, 0.3, 0.24, 0.23),
        (0.5, 0.33, 0.2, 0.29, 0.3),
        (1.0, 0.65, 0.59, 0.37, 0.368),
        (2.0, 1.5, 1.7, 0.47, 0.46),
        (4.0, 3.3, 3.9, 0.58, 0.57),
    )
    document["curve"] = [
        {
            "max_drop": d,
            "val_drop": v,
            "test_drop": t,
            "saving_edp_val": a,
            "saving_edp_test": b,
            "ratios": [0.3, 0.3, 0.4],
            "thresholds": [0.9, 0.9, None],
        }
        for d, v, t, a, b in points
    ]
    document["removed_exits"] = [
        {"name": "exit_2", "mount_name": "relu_1", "reason": "its head costs more than leaving there saves"}
    ]
    return document


def write_run(folder: Path, document: dict[str, Any] | None = None) -> Path:
    """Write a run directory; ``document`` replaces the fabricated summary."""
    folder.mkdir(parents=True, exist_ok=True)
    document = document or summary()
    (folder / "summary.json").write_text(json.dumps(document))
    (folder / "run.json").write_text(json.dumps(run_info(document["dataset"] is not None)))
    (folder / "schedule.trace.json").write_text(json.dumps({"traceEvents": trace()}))
    total = sum(0.8 * row[5] + 30 * row[6] + 12 * row[7] for row in LAYERS)
    with (folder / "layers.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS.split())
        for name, op, core, leaves, macs, compute, scratch, dma, host in LAYERS:
            energy = 0.8 * compute + 30 * scratch + 12 * dma
            known = "placeholder" if core == "host" else "published"
            latency = compute + dma + host + 400
            weight_bits = 8 if op in ("Conv", "Gemm") else ""
            origin = f"functional_1/{name}/BiasAdd;functional_1/{name}/Conv2D"
            cycles = [latency, compute, dma, host, 400]
            rest = [energy, energy / total, min(1, macs / 256 / latency), macs / 256, known]
            writer.writerow([name, op, origin, core, leaves, macs, weight_bits, 8, *cycles, *rest])
    return folder


def samples(val: int = 611, test: int = 1000, classes: int = 10) -> Samples:
    """Return answers per image of three exits, drawn at random: deeper exits are more often right."""
    rng = np.random.default_rng(0)

    def split(count: int) -> SplitSamples:
        label = rng.integers(0, classes, count).astype(np.int32)
        hard = rng.random(count)
        right = np.stack([hard + 0.2 * rng.random(count) < bound for bound in (0.75, 0.85, 0.95)])
        prediction = np.where(right, label, (label + 1 + rng.integers(0, 3, count)) % classes)
        sure = 1 - 0.9 * (0.15 + 0.7 * hard + 0.3 * (rng.random((3, count)) - 0.5))
        probability = sure.astype(np.float32)
        static = prediction[-1].copy()
        static[:7] = label[:7]
        return SplitSamples(
            label, probability[:-1], prediction.astype(np.int32), probability, static.astype(np.int32)
        )

    seen = split(val), split(test)
    index = np.array([3, 5, 8], np.int32)
    pixels = rng.integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    shown = ShownImages(index, np.array([0, 1, 2], np.int32), np.array([0, 1, 2], np.int32), pixels)
    return Samples(*seen, shown, tuple(f"class {number}" for number in range(classes)))


def training() -> dict[str, Any]:
    """Return ``training`` of a ``run.json``."""
    rows = ((1, 1.9, 0.5, 0.8), (2, 1.1, 0.66, 0.84), (3, 0.9, 0.71, 0.86))
    epochs = [
        {"epoch": e, "loss": loss, "rate": 0.01, "accuracy": {"exit_0": a, "final": f}}
        for e, loss, a, f in rows
    ]
    return {"trainer": "frozen", "epochs": epochs, "accuracy_on": "val"}


def run_info(with_data: bool) -> dict[str, Any]:
    """Return a ``run.json``."""
    info: dict[str, Any] = {
        "command": "eecompile run resnet8_cifar10.onnx --target diana --data cifar10_subset.npz",
        "versions": {"eecompile": "0.1.0", "onnx": "1.23.2", "onnxruntime": "1.31.1", "python": "3.11.7"},
        "inputs": {"resnet8_cifar10.onnx": "9f2c" * 16},
        "wall_s": {"load": 0.21, "features": 11.4, "heads": 48.9, "thresholds": 3.1, "validation": 22.7},
        "preprocess_tried": [["raw", 0.1016], ["unit", 0.8633]],
        "assumptions": [
            "weights are resident in the core after the first image",
            "the input is in L2 when the run starts",
        ],
    }
    if with_data:
        info["measured"] = {
            "static_ms": 0.412,
            "dynamic_ms": 0.291,
            "per_exit_ms": [0.171, 0.288, 0.442],
            "images": 1000,
        }
        info["agreement"] = {
            "images": 1000,
            "dynamic_prediction": 1000,
            "dynamic_exit": 1000,
            "stages_prediction": 1000,
            "stages_exit": 1000,
        }
    return info


def trace() -> list[dict[str, Any]]:
    """Return the trace events of the longest path, as the scheduler writes them."""
    tracks = {"digital": 1, "dma": 2, "host": 3, "simd": 4}
    names = (
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": t, "args": {"name": n}} for n, t in tracks.items()
    )
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "full path, all exits"}},
        *names,
    ]

    def at(cycle: int) -> float:
        return cycle * 1e6 / CLOCK_HZ

    def slot(kind: str, layer: str, track: str, start: int, length: int) -> None:
        spent = {"ts": at(start), "dur": at(length), "args": {"start_cycle": start, "cycles": length}}
        events.append({"ph": "X", "name": layer, "cat": kind, "pid": 1, "tid": tracks[track], **spent})

    now = 0
    for name, _, core, _, _, compute, _, dma, host in LAYERS:
        phases = [("dma", "dma", dma), ("compute", core, compute), ("host", "host", host)]
        for kind, track, length in phases:
            if length:
                slot(kind, name, track, now, length)
                if kind == "compute":
                    slot("wait", name, "host", now, length)
                now += length
        if name.endswith("/gemm") or name == "gemm_0":
            leaves = "final" if name == "gemm_0" else name.split("/")[0]
            events.append(
                {"ph": "i", "name": leaves, "pid": 1, "tid": 0, "ts": at(now), "args": {"cycle": now}}
            )
    return events
