"""From answers and costs to the figures of ``summary.json`` and the tables beside it."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.data.preprocess_choice import PreprocessChoice
from eecompile.deployment.proof import Agreement
from eecompile.evidence import Evidence
from eecompile.exits.answers import Answers
from eecompile.exits.statistics import DropBound, accuracy_interval, paired_drop
from eecompile.exits.thresholds import Limit, choose
from eecompile.results import (
    CurvePoint,
    DatasetInfo,
    Drop,
    ExitResult,
    Expected,
    HostSensitivity,
    Saving,
    SpeculativeResult,
    StaticResult,
    Summary,
)
from eecompile.run_options import RunOptions
from passes.state import state_of
from targets.path_cost import Cost, PathCost, expected_cost
from targets.report import CostReport
from targets.report_json import layer_figures

CURVE_DROPS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
Array = NDArray[Any]
MIN_VAL_IMAGES = 100


def _exit_costs(path: PathCost) -> dict[str, Any]:
    """Return the costs of an exit, with those with speculation where it was asked for."""
    ahead = path.speculative
    speculative = ahead and SpeculativeResult(**vars(ahead.cost), wasted_pj=ahead.wasted_pj, pays=ahead.pays)
    return {**vars(path.cost), "speculative": speculative}


def _expected(costs: CostReport, ratios: Array) -> Cost:
    return expected_cost(costs.exits, [float(ratio) for ratio in ratios])


def _saving(costs: CostReport, static: CostReport, ratios: Array) -> Saving:
    expected, base = _expected(costs, ratios), static.total
    return Saving(
        macs=1 - expected.macs / base.macs,
        latency=1 - expected.latency_cycles / base.latency_cycles,
        energy=1 - expected.energy_pj / base.energy_pj,
        edp=1 - expected.edp_j_cycles / base.edp_j_cycles,
    )


def _ratios(where: Array, count: int) -> Array:
    return np.bincount(where, minlength=count) / len(where)


def costs_only(evidence: Evidence) -> Summary:
    """Return the summary of a run without data: costs, no accuracy."""
    prepared, costs = evidence.prepared, evidence.costs
    exits = [
        ExitResult(
            **_exit_costs(path),
            name=e.name,
            mount=e.mount,
            mount_name=prepared.mount_names[e.mount],
            head=e.head_name,
        )
        for path, e in zip(costs.exits, state_of(prepared.graph).exits, strict=True)
    ]
    return Summary(
        **_common(evidence),
        dataset=None,
        static=StaticResult(**vars(evidence.static.total)),
        exits=tuple(exits),
        expected=None,
        drop=None,
        saving=None,
        warnings=costs.warnings,
    )


def _common(evidence: Evidence) -> dict[str, Any]:
    options, costs = evidence.options, evidence.costs
    return {
        "model": options.model.name,
        "target": options.target,
        "objective": options.objective,
        "cost_model": costs.target.cost_model,
        "known_error": costs.target.model.known_error,
        "max_drop": options.max_drop,
        "optimistic": options.optimistic,
        "seed": options.seed,
    }


def summarize(evidence: Evidence, warnings: Sequence[str], caution: str | None = None) -> Summary:
    """Return the summary of a run with data; every accuracy is on test images.

    Args:
        evidence: What was chosen on val, and what was then seen on test.
        warnings: What the user should be told.
        caution: Why the savings mean nothing, if they do.
    """
    costs, static = evidence.costs, evidence.static
    test, data = evidence.lowered_test.select(evidence.kept), evidence.dataset
    where, dynamic = test.leaving(evidence.chosen.figures.thresholds)
    correct = test.correct
    ratios = _ratios(where, len(correct))
    accuracy, low, high = accuracy_interval(dynamic)
    drop = paired_drop(correct[-1], dynamic)
    quant, quant_low, quant_high = accuracy_interval(correct[-1])
    expected = _expected(costs, ratios)
    return Summary(
        **_common(evidence),
        dataset=DatasetInfo(name=data.name, train=len(data.train), val=len(data.val), test=len(data.test)),
        static=StaticResult(
            **vars(static.total),
            accuracy_float=float(evidence.float_test.correct[-1].mean()),
            accuracy_quant=quant,
            accuracy_quant_ci95=(quant_low, quant_high),
        ),
        exits=tuple(_exit_results(evidence, where, dynamic)),
        expected=Expected(
            **vars(expected),
            accuracy=accuracy,
            accuracy_ci95=(low, high),
            edp_of_means_js=expected.edp_of_means_js,
            speculation=costs.speculates,
        ),
        drop=Drop(points=drop.points, ci95=(drop.lo95, drop.hi95)),
        saving=_saving(costs, static, ratios),
        host_sensitivity=tuple(
            HostSensitivity(
                host_scale=factor,
                static_latency_cycles=base.total.latency_cycles,
                saving=_saving(scaled, base, ratios),
            )
            for factor, scaled, base in evidence.sensitivity
        ),
        curve=curve(evidence),
        removed_exits=evidence.chosen.removed,
        never_taken=tuple(f"exit_{number}" for number in evidence.chosen.never_taken),
        caution=caution,
        warnings=(*warnings, *costs.warnings),
    )


def _exit_results(evidence: Evidence, where: Array, dynamic: Array) -> list[ExitResult]:
    seen = (evidence.float_test, evidence.quant_test, evidence.lowered_test)
    plain, quant, lowered = (answers.select(evidence.kept).correct for answers in seen)
    results = []
    for number, item in enumerate(state_of(evidence.forms.exits).exits):
        leaves = where == number
        _, low, high = accuracy_interval(quant[number])
        results.append(
            ExitResult(
                **_exit_costs(evidence.costs.exits[number]),
                name=item.name,
                mount=item.mount,
                mount_name=evidence.prepared.mount_names[item.mount],
                head=item.head_name,
                threshold=item.threshold,
                ratio=float(leaves.mean()),
                accuracy=float(dynamic[leaves].mean()) if leaves.any() else None,
                accuracy_float=float(plain[number].mean()),
                accuracy_quant=float(quant[number].mean()),
                accuracy_lowered=float(lowered[number].mean()),
                accuracy_quant_ci95=(low, high),
            )
        )
    return results


def curve(evidence: Evidence) -> tuple[CurvePoint, ...]:
    """Choose thresholds on val for a row of allowed drops; show what each gives on val and on test."""
    options, costs, static = evidence.options, evidence.costs, evidence.static
    values = [path.cost.value(options.objective) for path in costs.exits]
    val, test = (seen.select(evidence.kept) for seen in (evidence.val, evidence.lowered_test))
    bound = DropBound(len(val.labels))
    points = []
    for allowed in sorted({*CURVE_DROPS, options.max_drop}):
        choice = choose(val.observed(), values, Limit(allowed, options.optimistic), bound)
        on_val, on_test = (_operating_point(a, choice.thresholds, costs, static) for a in (val, test))
        points.append(
            CurvePoint(
                max_drop=allowed,
                val_drop=on_val[0],
                test_drop=on_test[0],
                saving_edp_val=on_val[1],
                saving_edp_test=on_test[1],
                ratios=on_test[2],
                thresholds=tuple(float(t) for t in choice.thresholds),
            )
        )
    return tuple(points)


def _operating_point(
    seen: Answers, thresholds: Sequence[np.float32], costs: CostReport, static: CostReport
) -> tuple[float, float, tuple[float, ...]]:
    where, dynamic = seen.leaving(thresholds)
    correct = seen.correct
    ratios = _ratios(where, len(correct))
    points = 100 * float(correct[-1].mean() - dynamic.mean())
    return points, _saving(costs, static, ratios).edp, tuple(float(r) for r in ratios)


def exit_rows(summary: Summary) -> list[Mapping[str, Any]]:
    """Return the rows of ``exits.csv``."""
    return [e.model_dump(mode="json", exclude={"accuracy_quant_ci95", "speculative"}) for e in summary.exits]


def layer_rows(costs: CostReport) -> Sequence[Mapping[str, Any]]:
    """Return the rows of ``layers.csv``, one per placed layer."""
    rows = []
    for layer in costs.layers:
        row = layer_figures(layer)
        del row["bits"], row["declined"]
        row["origin"] = json.dumps(row.pop("origin"))
        row["cores"] = json.dumps(row.pop("cores"))
        weight, activation, output = layer.bits
        row.update(weight_bits=weight, activation_bits=activation, output_bits=output)
        rows.append(row)
    return rows


def few_images(val_images: int, max_drop: float) -> list[str]:
    """Return a warning if validation images are too few to hold a drop to ``max_drop`` points.

    A limit of 0 asks for no lost image at all, which is no finer than any validation set.
    """
    step = 100 / val_images
    if val_images >= MIN_VAL_IMAGES and not 0 < max_drop < step:
        return []
    return [
        f"val has only {val_images} images: one image is {step:.2g} points, so a bound of {max_drop:g} "
        "points on the drop means little; give more validation images"
    ]


def caution(tried: PreprocessChoice) -> str | None:
    """Return what stands before the savings of a network that answers near chance."""
    if tried.warning is None:
        return None
    seen = f"{100 * tried.accuracy:.1f} % on {tried.images} validation images"
    return f"Accuracy is near chance ({seen}): the savings below mean nothing."


def disagreement(agreement: Agreement) -> str:
    """Return on what the early-exit files differ from the flat model; empty if on nothing."""
    if agreement.complete:
        return ""
    counts = asdict(agreement)
    images = counts.pop("images")
    return "; ".join(
        f"{key.replace('_', ' ')} the same on {same} of {images} test images"
        for key, same in counts.items()
        if same != images
    )


def command(options: RunOptions) -> str:
    """Return the command line of a run: target, objective, and all that was told."""
    words = ["eecompile", "run", str(options.model)]
    for name, value in vars(options).items():
        if name in ("target", "objective") or name in options.told:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [text])]
    return shlex.join(words)


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
