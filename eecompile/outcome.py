"""From answers and costs to the figures of ``summary.json`` and the tables beside it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.dataset import Dataset
from eecompile.results import (
    CurvePoint,
    DatasetInfo,
    Drop,
    ExitResult,
    Expected,
    HostSensitivity,
    RemovedExit,
    Saving,
    StaticResult,
    Summary,
)
from eecompile.statistics import DropBound, accuracy_interval, paired_drop
from eecompile.thresholds import Limit, choose, leaves_at
from eecompile.validation import Answers
from passes.mounts import find_mounts
from passes.state import state_of
from targets.report import CostReport, PathCost
from targets.schedule.trace import to_trace

if TYPE_CHECKING:
    from eecompile.pipeline import RunOptions

CURVE_DROPS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
COST_KEYS = ("macs", "latency_cycles", "latency_s", "energy_pj", "edp_js", "edp_j_cycles")


@dataclass(frozen=True)
class Evidence:
    """What was seen on test images, and what was chosen on val.

    Attributes:
        dataset: The images.
        float_answers: Answers of the float network with the kept exits.
        quant_answers: Answers of the flat quantized network.
        lowered_answers: Answers of the lowered network.
        thresholds: One per kept early exit.
        limit: The allowed drop.
        removed: Name and reason of the candidate exits that were not kept.
        curve: Operating points.
        sensitivity: (host scale, costs of the network, costs of static).
    """

    dataset: Dataset
    float_answers: Answers
    quant_answers: Answers
    lowered_answers: Answers
    thresholds: tuple[np.float32, ...]
    limit: Limit
    removed: list[tuple[str, str]]
    curve: tuple[CurvePoint, ...]
    sensitivity: list[tuple[float, CostReport, CostReport]]


def objective_value(costs: PathCost, objective: str) -> float:
    """Return what is minimised: EDP (J x cycles), latency (cycles) or energy (pJ) of an exit path."""
    return float(
        {"edp": costs.edp_j_cycles, "latency": costs.latency_cycles, "energy": costs.energy_pj}[objective]
    )


def _costs(source: PathCost) -> dict[str, Any]:
    return {key: getattr(source, key) for key in COST_KEYS}


def _expected_costs(costs: CostReport, ratios: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Sum of ratio times the value at each exit; for EDP that is the expectation of the product."""
    result: dict[str, Any] = {}
    for key in COST_KEYS:
        values = [getattr(e, key) for e in costs.exits]
        result[key] = None if values[0] is None else float(np.dot(ratios, np.array(values, np.float64)))
    return result


def _saving(costs: CostReport, static: CostReport, ratios: np.ndarray[Any, Any]) -> Saving:
    expected, base = _expected_costs(costs, ratios), static.exits[-1]
    return Saving(
        macs=1 - expected["macs"] / base.macs,
        latency=1 - expected["latency_cycles"] / base.latency_cycles,
        energy=1 - expected["energy_pj"] / base.energy_pj,
        edp=1 - expected["edp_j_cycles"] / base.edp_j_cycles,
    )


def _ratios(where: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    return np.bincount(where, minlength=count) / len(where)


def costs_only(options: RunOptions, graph: gs.Graph, costs: CostReport, static: CostReport) -> Summary:
    """Return the summary of a run without data: costs, no accuracy."""
    mounts = {m.tensor: m.name for m in find_mounts(graph)}
    exits = [
        ExitResult(
            **_costs(c),
            name=e.name,
            mount=e.mount,
            mount_name=mounts.get(e.mount, ""),
            head=_head(options, e.name),
        )
        for c, e in zip(costs.exits, state_of(graph).exits, strict=True)
    ]
    return Summary(
        **_common(options, costs), dataset=None, static=StaticResult(**_costs(static.exits[-1])), exits=tuple(exits),
        expected=None, drop=None, saving=None, warnings=tuple(costs.warnings),
    )  # fmt: skip


def _common(options: RunOptions, costs: CostReport) -> dict[str, Any]:
    return {
        "model": options.model.name,
        "target": options.target,
        "objective": options.objective,
        "cost_model": costs.cost_model,
        "known_error": costs.known_error,
        "max_drop": options.max_drop,
        "optimistic": options.optimistic,
        "seed": options.seed,
    }


def _head(options: RunOptions, name: str) -> str:
    return options.head if name != "final" else ""


def summarize(
    options: RunOptions, graph: gs.Graph, plain: gs.Graph, costs: CostReport, static: CostReport,
    evidence: Evidence, warnings: Sequence[str],
) -> Summary:  # fmt: skip
    """Return the summary of a run with data; every accuracy is on test images."""
    test = evidence.lowered_answers
    where = leaves_at(test.confidence, evidence.thresholds)
    correct = test.correct
    count = len(correct)
    dynamic = correct[where, np.arange(len(where))]
    ratios = _ratios(where, count)
    accuracy, low, high = accuracy_interval(dynamic)
    drop = paired_drop(correct[-1], dynamic)
    quant, quant_low, quant_high = accuracy_interval(correct[-1])
    expected = _expected_costs(costs, ratios)
    mean_energy, mean_time = expected["energy_pj"] * 1e-12, expected["latency_s"]
    data = evidence.dataset
    return Summary(
        **_common(options, costs),
        dataset=DatasetInfo(name=data.name, train=len(data.train), val=len(data.val), test=len(data.test)),
        static=StaticResult(
            **_costs(static.exits[-1]), accuracy_float=float(evidence.float_answers.correct[-1].mean()),
            accuracy_quant=quant, accuracy_quant_ci95=(quant_low, quant_high),
        ),
        exits=tuple(_exit_results(options, graph, plain, costs, evidence, where, dynamic)),
        expected=Expected(
            **expected, accuracy=accuracy, accuracy_ci95=(low, high),
            edp_of_means_js=None if mean_time is None else mean_energy * mean_time,
        ),
        drop=Drop(points=drop.points, ci95=(drop.lo95, drop.hi95)),
        saving=_saving(costs, static, ratios),
        host_sensitivity=tuple(
            HostSensitivity(host_scale=f, static_latency_cycles=s.exits[-1].latency_cycles, saving=_saving(c, s, ratios))
            for f, c, s in evidence.sensitivity
        ),
        curve=evidence.curve,
        removed_exits=tuple(RemovedExit(name=n, mount_name="", reason=r) for n, r in evidence.removed),
        warnings=(*warnings, *costs.warnings),
    )  # fmt: skip


def _exit_results(
    options: RunOptions, graph: gs.Graph, plain: gs.Graph, costs: CostReport, evidence: Evidence,
    where: np.ndarray[Any, Any], dynamic: np.ndarray[Any, Any],
) -> list[ExitResult]:  # fmt: skip
    mounts = {m.tensor: m.name for m in find_mounts(plain)}
    quant = evidence.quant_answers.correct
    results = []
    for number, item in enumerate(state_of(graph).exits):
        leaves = where == number
        _, low, high = accuracy_interval(quant[number])
        results.append(
            ExitResult(
                **_costs(costs.exits[number]),
                name=item.name,
                mount=item.mount,
                mount_name=mounts.get(item.mount, ""),
                head=_head(options, item.name),
                threshold=item.threshold,
                ratio=float(leaves.mean()),
                accuracy=float(dynamic[leaves].mean()) if leaves.any() else 0.0,
                accuracy_float=float(evidence.float_answers.correct[number].mean()),
                accuracy_quant=float(quant[number].mean()),
                accuracy_lowered=float(evidence.lowered_answers.correct[number].mean()),
                accuracy_quant_ci95=(low, high),
            )
        )
    return results


def curve(
    val: Answers, test: Answers, costs: CostReport, static: CostReport, options: RunOptions
) -> tuple[CurvePoint, ...]:
    """Choose thresholds on val for a row of allowed drops; show what each gives on val and on test."""
    values = [objective_value(e, options.objective) for e in costs.exits]
    bound = DropBound(len(val.labels))
    points = []
    for allowed in sorted({*CURVE_DROPS, options.max_drop}):
        choice = choose(val.observed(), values, Limit(allowed, options.optimistic), bound)
        seen = [_operating_point(a, choice.thresholds, costs, static) for a in (val, test)]
        points.append(
            CurvePoint(
                max_drop=allowed, val_drop=seen[0][0], test_drop=seen[1][0], saving_edp_val=seen[0][1],
                saving_edp_test=seen[1][1], ratios=seen[1][2],
                thresholds=tuple(float(t) for t in choice.thresholds),
            )
        )  # fmt: skip
    return tuple(points)


def _operating_point(
    seen: Answers, thresholds: Sequence[np.float32], costs: CostReport, static: CostReport
) -> tuple[float, float, tuple[float, ...]]:
    where = leaves_at(seen.confidence, thresholds)
    correct = seen.correct
    dynamic = correct[where, np.arange(len(where))]
    ratios = _ratios(where, len(correct))
    points = 100 * float(correct[-1].mean() - dynamic.mean())
    return points, _saving(costs, static, ratios).edp, tuple(float(r) for r in ratios)


def exit_rows(summary: Summary) -> list[Mapping[str, Any]]:
    """Return the rows of ``exits.csv``."""
    return [e.model_dump(mode="json", exclude={"accuracy_quant_ci95"}) for e in summary.exits]


def layer_rows(costs: CostReport) -> Sequence[Mapping[str, Any]]:
    """Return the rows of ``layers.csv``, one per placed layer."""
    rows = []
    for layer in costs.layers:
        row = {k: v for k, v in vars(layer).items() if k not in ("bits", "declined", "origin")}
        weight, activation, output = layer.bits
        row["origin"] = json.dumps(list(layer.origin))
        row.update(weight_bits=weight, activation_bits=activation, output_bits=output)
        rows.append(row)
    return rows


def trace(costs: CostReport) -> dict[str, Any]:
    """Return the schedule as Chrome trace events."""
    return to_trace(costs.timeline, costs.clock_hz, costs.target)


def versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries results depend on."""
    names = ("eecompile", "numpy", "onnx", "onnx-graphsurgeon", "onnxruntime", "torch")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
