"""From answers and costs to the figures of ``summary.json`` and the tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from eecompile.exits.proxies import ProxyChoice
from eecompile.exits.statistics import accuracy_interval, paired_drop
from eecompile.run.accelerator import assumed_bits, assumed_schemes, description_hash, is_file
from eecompile.run.curve import curve
from eecompile.run.evidence import Evidence
from eecompile.run.figures import break_even_of, expected_of, ratios_of, saving_of
from eecompile.run.integers.by_form import quantization_of
from eecompile.run.other_models import causes_of, host_rows, interval_of
from eecompile.run_files.summary import (
    DatasetInfo,
    Drop,
    ExitResult,
    Expected,
    ProxyInfo,
    SpeculativeResult,
    StaticResult,
    StudyPoint,
    Summary,
)
from eecompile.training.recipe import NONE
from passes.state import state_of
from targets.evaluation.document import cost_json
from targets.evaluation.intervals import ErrorBars
from targets.evaluation.paths import PathCost
from targets.evaluation.report import CostReport

Array = NDArray[Any]


def _exit_costs(path: PathCost, bars: ErrorBars) -> dict[str, Any]:
    """Return the costs of an exit with their intervals, and those with speculation where it was asked for."""
    ahead = path.speculative
    speculative = ahead and SpeculativeResult(**vars(ahead.cost), wasted_pj=ahead.wasted_pj, pays=ahead.pays)
    return {**cost_json(path.cost, bars), "speculative": speculative}


def costs_only(evidence: Evidence) -> Summary:
    """Return the summary of a run without data: costs, no accuracy."""
    prepared, costs = evidence.prepared, evidence.costs
    exits = [
        ExitResult(
            **_exit_costs(path, costs.error_bars),
            name=e.name,
            mount=e.mount,
            mount_name=prepared.mount_names[e.mount],
            head=e.head_name,
        )
        for path, e in zip(costs.exits, state_of(prepared.graph).exits, strict=True)
    ]
    assumed = [assumed_bits(costs.bits)] if is_file(evidence.options.target) else []
    return Summary(
        **_common(evidence),
        dataset=None,
        static=StaticResult(**cost_json(evidence.static.total, evidence.static.error_bars)),
        exits=tuple(exits),
        expected=None,
        drop=None,
        saving=None,
        warnings=(*filter(None, (prepared.doubt,)), *costs.warnings, *assumed),
    )


def _common(evidence: Evidence) -> dict[str, Any]:
    options, costs = evidence.options, evidence.costs
    return {
        "model": options.model.name,
        "target": costs.target.title,
        "target_description": description_hash(options.target, costs.target),
        "objective": options.objective,
        "cost_model": costs.target.cost_model,
        "known_error": costs.target.known_error,
        **costs.error_bars.to_json(),
        "point": None if costs.point is None else costs.point.name,
        "operating_points": costs.points_json(),
        "break_even": break_even_of(costs, evidence.static, options.objective),
        "max_drop": options.max_drop,
        "optimistic": options.optimistic,
        "seed": options.seed,
        "rules": None if costs.target.search is None else costs.target.search.rules,
        "schedule": costs.schedule.mode,
        "residence": costs.residence,
        "static_residence": evidence.static.residence,
    }


def summarize(
    evidence: Evidence,
    warnings: Sequence[str],
    caution: str | None = None,
    study: StudyPoint | None = None,
) -> Summary:
    """Return the summary of a run with data; every accuracy is on test images.

    Args:
        evidence: What was chosen on val, and what was then seen on test.
        warnings: What the user should be told.
        caution: Why the savings mean nothing, if they do.
        study: What a search told of the network beside what was found, where there was one.
    """
    costs, static = evidence.costs, evidence.static
    test, data = evidence.lowered_test.select(evidence.kept), evidence.dataset
    where, dynamic = test.leaving(evidence.chosen.figures.thresholds)
    correct = test.correct
    ratios = ratios_of(where, len(correct))
    accuracy, low, high = accuracy_interval(dynamic)
    drop = paired_drop(test.static_correct, dynamic)
    expected, saving = expected_of(costs, ratios), saving_of(costs, static, ratios)
    causes = causes_of(evidence.recosted, saving, ratios)
    return Summary(
        **_common(evidence),
        dataset=DatasetInfo(name=data.name, train=len(data.train), val=len(data.val), test=len(data.test)),
        static=_static_result(static, evidence.float_test.static_correct, test.static_correct),
        static_trained=(
            None
            if evidence.baseline is None or evidence.pruned is not None
            else _static_result(static, evidence.float_test.correct[-1], evidence.lowered_test.correct[-1])
        ),
        pruned=_pruned_result(evidence),
        trainer=evidence.training["trainer"],
        quantize=evidence.options.quantize,
        placement=evidence.options.placement,
        bits=dict(evidence.options.bits),
        quantization=None if evidence.options.quantize == NONE else quantization_of(evidence),
        exits=tuple(_exit_results(evidence, where, dynamic)),
        expected=Expected(
            **cost_json(expected, costs.error_bars),
            accuracy=accuracy,
            accuracy_ci95=(low, high),
            edp_of_means_js=expected.edp_of_means_js,
            speculation=costs.speculates,
        ),
        drop=Drop(points=drop.points, ci95=(drop.lo95, drop.hi95)),
        saving=saving,
        saving_interval=interval_of(causes, saving),
        saving_causes=causes,
        host_sensitivity=host_rows(evidence.recosted, costs, static, ratios),
        curve=curve(evidence),
        min_gain=evidence.chosen.min_gain,
        removed_exits=evidence.chosen.removed,
        never_taken=tuple(f"exit_{number}" for number in evidence.chosen.never_taken),
        guarantee=evidence.guarantee,
        proxies=tuple(_proxy(evidence, choice) for choice in evidence.proxies),
        kept_thresholds=evidence.options.keep_thresholds,
        study=study,
        caution=caution,
        warnings=(*warnings, *costs.warnings, *_assumed(evidence)),
    )


def _assumed(evidence: Evidence) -> list[str]:
    """Return with which numbers a network was quantized that nobody named."""
    if evidence.options.quantize == NONE or evidence.prepared.kept:
        return []
    return assumed_schemes(evidence.options.target, evidence.prepared.target)


def _static_result(static: CostReport, plain: Array, quantized: Array) -> StaticResult:
    """Return a network without exits; both have the same layers, so that one report has the costs of both."""
    quant, low, high = accuracy_interval(quantized)
    return StaticResult(
        **cost_json(static.total, static.error_bars),
        accuracy_float=float(plain.mean()),
        accuracy_quant=quant,
        accuracy_quant_ci95=(low, high),
    )


def _pruned_result(evidence: Evidence) -> StaticResult | None:
    """Return the pruned network without exits, as its final exit answers; at the point of all figures."""
    if evidence.pruned is None:
        return None
    point = evidence.costs.point
    costs = evidence.pruned.costs if point is None else evidence.pruned.costs.at(point.name)
    return _static_result(costs, evidence.float_test.correct[-1], evidence.lowered_test.correct[-1])


def _proxy(evidence: Evidence, choice: ProxyChoice) -> ProxyInfo:
    """Return what a choice by MACs saves and loses on test images, by the cost model."""
    figures = choice.figures
    test = evidence.lowered_test.select(figures.kept)
    where, dynamic = test.leaving(figures.thresholds)
    # Shares of static are the same at every operating point, if both are at one.
    static = evidence.chosen.static
    return ProxyInfo(
        proxy=choice.proxy,
        exits=tuple(str(item) for item in choice.candidate.exits),
        saving=saving_of(figures.costs, static, ratios_of(where, len(test.correct))),
        drop=100 * float(test.static_correct.mean() - dynamic.mean()),
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
                **_exit_costs(evidence.costs.exits[number], evidence.costs.error_bars),
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
                confidence=str(item.confidence),
            )
        )
    return results
