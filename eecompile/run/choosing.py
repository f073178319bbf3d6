"""The choice of a run: exits, heads and thresholds on validation images, and what is promised of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eecompile.data.dataset import halves
from eecompile.exits.answers import Answers
from eecompile.exits.budgets import Constraints
from eecompile.exits.candidates import Candidate, Evaluation, Figures, candidate_exits
from eecompile.exits.choice import (
    MIN_GAIN,
    ExitChoice,
    choose_exits,
    choose_heads,
    unacceptable,
)
from eecompile.exits.guarantee import (
    Differences,
    Tested,
    Thresholds,
    differences,
    fixed_sequence,
    form_for,
    images_needed,
    path_through,
)
from eecompile.exits.proxies import ProxyChoice, proxy_choices
from eecompile.exits.removed import RemovedExit
from eecompile.exits.subset_costs import NetworkCost
from eecompile.exits.thresholds import Limit
from eecompile.run.evidence import Evidence
from eecompile.run.options import RunOptions
from eecompile.run_files.summary import GuaranteeInfo
from passes.errors import InputError, NoSolutionError
from passes.state import state_of
from targets.contract.target import Target


@dataclass(frozen=True)
class OnVal:
    """What is chosen on val.

    Attributes:
        chosen: The exits and thresholds of the files.
        guarantee: What is promised of them, if anything.
        notes: What the user is told.
        proxies: What had been chosen by MACs.
    """

    chosen: ExitChoice
    guarantee: GuaranteeInfo | None
    notes: list[str]
    proxies: tuple[ProxyChoice, ...]


def choose_on_val(evidence: Evidence, cost: NetworkCost) -> OnVal:
    """Return the exits and thresholds of the files, and what else is found out on val.

    With a guarantee one half of val chooses all of it, and the other only tests thresholds.
    """
    options, prepared = evidence.options, evidence.prepared
    chooses, tests = halves(len(evidence.val.labels), options.seed)
    val = evidence.val if options.guarantee is None else evidence.val.part(chooses)
    evaluation = Evaluation(
        evidence.lowered,
        candidate_exits(prepared.graph, prepared.mount_names),
        val,
        Limit(options.max_drop, options.optimistic),
        options.objective,
        cost,
        constraints_of(options, prepared.target),
    )
    if options.keep_thresholds:
        return _kept(evaluation, [e.threshold for e in state_of(prepared.graph).exits[:-1]], options)
    if not prepared.asked:
        gain = MIN_GAIN if options.min_gain is None else options.min_gain
        chosen = choose_exits(evaluation, options.speculate, gain)
    else:
        chosen = choose_heads(evaluation, options.speculate)
    proxies = proxy_choices(evaluation, chosen.among, chosen.min_gain, options.speculate)
    if options.guarantee is None:
        return OnVal(chosen, None, unacceptable(evaluation, chosen), proxies)
    held = evidence.val.part(tests)
    return OnVal(*_promised(evaluation, chosen, val, held, options, prepared.asked), proxies)


def _kept(evaluation: Evaluation, thresholds: Sequence[float | None], options: RunOptions) -> OnVal:
    """Return all exits with the thresholds that the network brought."""
    candidate = Candidate(evaluation.tried)
    given = tuple(np.float32(value) for value in thresholds if value is not None)
    figures = evaluation.with_thresholds(candidate, given, options.speculate)
    static = evaluation.evaluate(Candidate()).costs
    return OnVal(ExitChoice(candidate, figures, static, ()), None, [], ())


def constraints_of(options: RunOptions, target: Target) -> Constraints:
    """Return what networks and thresholds must keep.

    Raises:
        InputError: A bound in seconds, on a target without a clock.
    """
    point = target.operating_point
    for name in ("max_latency_p95", "max_worst_latency"):
        if getattr(options, name) is not None and point is None:
            raise InputError(
                f"`{name}` is in seconds, and no clock is known of {target.title}",
                "bound shares of images or of cost instead, or give a target with a clock",
            )
    clock_hz = None if point is None else point.clock_hz.value
    return Constraints(
        options.max_latency_p95,
        options.max_worst_latency,
        options.max_final_ratio,
        options.max_cost_ratio,
        clock_hz,
    )


def _promised(
    evaluation: Evaluation,
    chosen: ExitChoice,
    val: Answers,
    held: Answers,
    options: RunOptions,
    asked: bool,
) -> tuple[ExitChoice, GuaranteeInfo, list[str]]:
    """Return the choice with the cheapest thresholds that pass on ``held``, or with nobody leaving early."""
    level, kept, costs = options.guarantee or 0.0, chosen.figures.kept, chosen.figures.costs
    seen, unseen = val.select(kept).observed(), held.select(kept).observed()
    # What constraints forbid on the images that choose is no part of the path.
    rated = {
        thresholds: value
        for thresholds in path_through(seen, chosen.figures.thresholds)
        if (value := evaluation.rated(chosen.kept, thresholds, costs)) is not None
    }
    form = form_for(len(held.labels), options.max_drop)
    tested = fixed_sequence(tuple(rated), unseen, options.max_drop, level, form)
    accepted = tested.path[: tested.accepted]
    static = evaluation.evaluate(Candidate())
    best = min(accepted, key=lambda thresholds: rated[thresholds], default=None)
    if best is not None and (asked or not static.allowed or rated[best] < static.value):
        figures = evaluation.with_thresholds(chosen.kept, best, options.speculate)
        promise = _info(options, tested, best, val, held, differences(unseen, best))
        return replace(chosen, figures=figures, never_taken=_never(chosen, figures)), promise, []
    if evaluation.rated(chosen.kept, [item.rule.never for item in chosen.kept.exits], costs) is None:
        raise NoSolutionError(
            f"no thresholds that keep the constraints could be shown to hold the drop: of {len(rated)} from "
            f"safe to bold the first failed on {len(held.labels)} images that chose nothing",
            "give more validation images, a larger `max_drop` or `guarantee`, or looser constraints",
        )
    reason = _why_none(options, len(held.labels), tested, bool(accepted))
    promise = _info(options, tested, None, val, held, None)
    if asked:
        never = tuple(item.rule.never for item in chosen.kept.exits)
        figures = evaluation.with_thresholds(chosen.kept, never, options.speculate)
        return replace(chosen, figures=figures, never_taken=_never(chosen, figures)), promise, [reason]
    removed = tuple(
        RemovedExit(name=str(item), mount_name=item.mount, reason=reason) for item in chosen.kept.exits
    )
    none = replace(chosen, kept=Candidate(), figures=static, removed=(*chosen.removed, *removed))
    return none, promise, [reason] if removed else []


def _never(chosen: ExitChoice, figures: Figures) -> tuple[int, ...]:
    pairs = zip(chosen.kept.exits, figures.thresholds, strict=True)
    return tuple(number for number, (item, t) in enumerate(pairs) if t == item.rule.never)


def _why_none(options: RunOptions, images: int, tested: Tested, passed: bool) -> str:
    promise = f"a drop above {options.max_drop:g} points has a probability of {options.guarantee:g} at most"
    if passed:
        return f"of the thresholds for which {promise}, none costs less than the network without exits"
    needed = images_needed(options.max_drop, options.guarantee or 0.0)
    more = (
        f"; no fewer than {needed} images can show that, and half of val is {images}"
        if images < needed
        else f", not even those where fewest leave early (p = {tested.p_values[0]:.2g} on {images} images)"
        if tested.p_values
        else ", because no exit is worth having within that drop"
    )
    return f"no thresholds could be shown for which {promise}{more}: nobody leaves early"


def _info(
    options: RunOptions,
    tested: Tested,
    best: Thresholds | None,
    val: Answers,
    held: Answers,
    difference: Differences | None,
) -> GuaranteeInfo:
    p_value = None if best is None else tested.p_values[tested.path.index(best)]
    return GuaranteeInfo(
        level=options.guarantee or 0.0,
        max_drop=options.max_drop,
        test=tested.test,
        chosen_on=len(val.labels),
        images=len(held.labels),
        path=len(tested.path),
        accepted=tested.accepted,
        p_value=p_value,
        lost=None if difference is None else int(np.count_nonzero(difference > 0)),
        gained=None if difference is None else int(np.count_nonzero(difference < 0)),
        seed=options.seed,
    )
