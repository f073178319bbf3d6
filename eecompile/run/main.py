"""The main job: from options to a run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.deployment.proof import Agreement
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.placements import MIXED
from eecompile.quantization.wishes import check_mixed
from eecompile.run import provenance
from eecompile.run.accelerator import open_target
from eecompile.run.clock import Clock
from eecompile.run.evidence import Evidence
from eecompile.run.finished import Finished
from eecompile.run.integers import kept_integers
from eecompile.run.kept.work import KeptWork, kept_work
from eecompile.run.options import RunOptions
from eecompile.run.prepare import DEFAULT_EXITS, JOINT_EXITS, Prepared, cost_of, prepare
from eecompile.run.pruning import prune_network
from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from eecompile.run.steps import COST_STEPS, STEPS, Step
from eecompile.run_files import directory
from eecompile.run_files.log import RunLog
from eecompile.run_files.summary import Summary
from eecompile.training.recipe import FROZEN, SCRATCH
from eecompile.training.torch_needed import import_torch
from passes.confidence import confidence_rule
from passes.errors import InputError
from passes.exits.chain import set_rules
from passes.exits.stages import cut
from passes.model.control_flow import check_thresholds_replaceable
from passes.model.in_memory import Network
from passes.shown_result import Row, ShownResult
from passes.state import copy_graph, state_of
from targets.evaluation.points import at_point, choose_point
from targets.evaluation.report import CostReport

__all__ = ["RunOptions", "RunResult", "prepare", "run"]


@dataclass(frozen=True, repr=False)
class RunResult(ShownResult):
    """What a run gives back.

    Attributes:
        out: The run directory.
        summary: As in ``summary.json``.
        costs: Cost of the network in the files, layer by layer.
        info: As in ``run.json``.
    """

    out: Path
    summary: Summary
    costs: CostReport
    info: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the early-exit files answered every test image as the flat model did, if there were any."""
        return not self.failure

    @property
    def failure(self) -> str:
        """On what the early-exit files and the flat model disagree; empty if on nothing."""
        counts = self.info.get("agreement")
        return provenance.disagreement(Agreement(**counts)) if counts else ""

    def to_json(self) -> dict[str, Any]:
        """Return ``summary.json`` with the run directory as ``out``, and whether its files agree."""
        return {**self.summary.model_dump(mode="json"), "out": str(self.out), "passed": self.passed}

    def _words(self) -> str:
        summary = self.summary
        found = f"{summary.model} on {summary.target}: {len(summary.exits)} exits"
        if summary.expected is not None and summary.drop is not None and summary.saving is not None:
            found += (
                f", {100 * summary.saving.edp:.1f} % less EDP, {summary.drop.points:.2f} points below static "
                f"on test ({100 * summary.expected.accuracy:.2f} %)"
            )
        return f"{found}; in {self.out}"

    def _rows(self) -> list[Row]:
        return [
            {
                "exit": item.name,
                "mount": item.mount_name,
                "head": item.head,
                "ratio": item.ratio,
                "accuracy": item.accuracy,
                "macs": item.macs,
                "latency_cycles": item.latency_cycles,
                "energy_pj": item.energy_pj,
                "edp_j_cycles": item.edp_j_cycles,
            }
            for item in self.summary.exits
        ]

    def _axes(self) -> tuple[str, str]:
        return "exit", "energy_pj"


def run(
    options: RunOptions,
    progress: Callable[[str], None] = lambda _: None,
    finished: Finished | None = None,
) -> RunResult:
    """Run the main job and write the run directory.

    Args:
        options: What was asked for.
        progress: Told of each step.
        finished: What a search found of the network: all of that is kept.

    Raises:
        InputError: Wrong input; nothing is written.
        NoSolutionError: The target cannot run the network.
    """
    log = RunLog(progress)
    clock = Clock(log)
    target, _ = open_target(options.target, options.cost_model or "", None)
    target = at_point(target, options.point, options.max_latency)
    out = options.out or Path("runs") / f"{options.model.stem}-{target.title}"
    if options.rules is not None:
        target = target.counted_by(options.rules)
    wishes = wishes_of(ScheduleOptions(options.schedule, speculate=options.speculate), target)
    clock.step("load and cost")
    if options.data is not None and finished is None:
        import_torch()
    prepared = prepare(
        options.model,
        target,
        options.objective,
        options.exits,
        options.head,
        _tried(options) if finished is None else 0,
        wishes=wishes,
        requantize=options.requantize,
        keep=options.data is not None,
    )
    if prepared.kept:
        kept_integers.check_options(options, prepared)
    _check_told(options, prepared)
    if options.data is not None:
        _check_trainable(prepared.graph, options.model, fresh=options.train == SCRATCH)
        if options.train == SCRATCH:
            from eecompile.training.fresh_weights import draw_network

            for graph in (prepared.plain, prepared.graph):
                draw_network(graph, options.seed)
    _check_wish(prepared, options)
    if options.confidence is not None:
        rule = confidence_rule(options.confidence)
        set_rules(prepared.graph, [rule] * len(state_of(prepared.graph).exits))
    _check_recycling(prepared.graph, options)
    _check_promise(prepared.graph, options)
    if options.prune is None:  # else it may be in time once it is pruned
        _check_in_time(prepared, options)
    kept = None if options.data is None or finished is not None else kept_work(options.cache, log)
    with directory.run_directory(out) as work, _told_that_it_is_kept(kept, log):
        evidence = Evidence(options, prepared, clock, work, finished=finished)
        for step in _steps_of(options):
            clock.step(step.name)
            if kept is None:
                step.run(evidence)
            else:
                kept.run(step.name, step.run, evidence)
        log.write(work, provenance.command(options))
        return RunResult(out, evidence.summary, evidence.costs, evidence.info)


def _tried(options: RunOptions) -> int:
    """Return how many exits a network without gets if that was not told."""
    return DEFAULT_EXITS if options.train == FROZEN else JOINT_EXITS


def _check_wish(prepared: Prepared, options: RunOptions) -> None:
    """Find out before anything is trained whether layers can have the numbers that are asked for."""
    if options.from_study is not None:
        return  # layers have theirs
    graph, target = prepared.graph, prepared.target
    if options.placement == MIXED:
        check_mixed(weighted_layers(graph, target), target)
    if options.wish:
        assign_precisions(copy_graph(graph), target, options.objective.for_schedules, wish=options.wish)


def _steps_of(options: RunOptions) -> Sequence[Step]:
    if options.data is None:
        return COST_STEPS
    opened, *others = STEPS
    return STEPS if options.prune is None else (opened, Step("prune", _prune), *others)


def _prune(evidence: Evidence) -> None:
    prune_network(evidence)
    _check_in_time(evidence.prepared, evidence.options)


@contextmanager
def _told_that_it_is_kept(kept: KeptWork | None, progress: Callable[[str], None]) -> Iterator[None]:
    """Tell of a run that ends before it is over that nothing is lost."""
    try:
        yield
    except BaseException:
        if kept is not None and kept.begun:
            progress(f"what was done so far is kept in {kept.store.folder}: the same run goes on from there")
        raise


def _check_told(options: RunOptions, prepared: Prepared) -> None:
    """Refuse options that say nothing of this network."""
    if "head" in options.told and not prepared.inserted:
        raise InputError(
            f"`head` says what inserted heads look like, and {options.model} brings exits of its own",
            "leave `head` away, or give the network without exits",
        )
    if options.prune is not None and not prepared.inserted:
        raise InputError(
            f"`prune` is for a network before exits are put in, and {options.model} brings exits of its own",
            "give the network without exits, or leave `prune` away",
        )
    if options.keep_thresholds:
        exits = state_of(prepared.graph).exits[:-1]
        lacking = [item.name for item in exits if item.threshold is None]
        if prepared.inserted or lacking:
            whose = (
                f"{lacking[0]} of {options.model}" if exits and not prepared.inserted else str(options.model)
            )
            raise InputError(
                f"`keep_thresholds` keeps thresholds that the network brings, and {whose} has none",
                "leave `keep_thresholds` away: they are chosen on images",
            )
    if options.min_gain is not None and prepared.asked:
        raise InputError(
            "`min_gain` says which exits that were tried are kept, and exits given by name or by the network "
            "are all kept",
            "give a number with `exits`, or leave `min_gain` away",
        )
    if options.train == FROZEN and not prepared.inserted and "epochs" in options.told:
        raise InputError(
            f"nothing is trained: {options.model} brings exits of its own, and `train` frozen leaves them as "
            "they are",
            "leave `epochs` away, or say `train` joint",
        )


def _check_in_time(prepared: Prepared, options: RunOptions) -> None:
    """Refuse a bound on latency that cannot be met before anything is trained.

    Exits that the user asked for stay, so their costs count; of those that are tried any may go.

    Raises:
        NoSolutionError: No operating point is as fast as that.
    """
    if options.max_latency is None:
        return
    surely = prepared.costs
    if options.data is not None and not prepared.asked:
        surely = cost_of(prepared.plain, prepared.target, options.objective)
    choose_point(surely, options.max_latency, options.point)


def _check_recycling(graph: gs.Graph, options: RunOptions) -> None:
    """Refuse to change the logits for which a rule was fitted."""
    own = [item for item in state_of(graph).exits[:-1] if item.confidence.of_own_logits]
    if options.recycle and own:
        raise InputError(
            f"`recycle` changes logits, and '{own[0].confidence}', by which {own[0].name} decides, is "
            "fitted to its own",
            "leave `recycle` away, or take a rule without fitted parameters: max_softmax",
        )


def _check_promise(graph: gs.Graph, options: RunOptions) -> None:
    """Refuse to fit on val what a guarantee then tests there."""
    fitted = [e.name for e in state_of(graph).exits if e.confidence.unfitted == "temperature"]
    if options.guarantee is not None and fitted:
        raise InputError(
            f"`guarantee` tests thresholds on images that chose nothing, and the temperature of {fitted[0]} "
            "would be fitted on them, too",
            "give the temperature as a number in `confidence`, or leave `guarantee` away",
        )


def _check_trainable(graph: gs.Graph, model: Network, fresh: bool = False) -> None:
    if state_of(graph).symbolic and not fresh:
        raise InputError(
            f"{model} has no weights",
            "without `data` its costs can be reported; `train` scratch draws new ones",
        )
    check_thresholds_replaceable(graph, str(model))
    try:
        cut(graph)
    except ValueError as error:
        raise InputError(
            f"{model} cannot be cut into stages: {error}", "list its exits from shallow to deep"
        ) from None
