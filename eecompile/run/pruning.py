"""The network is pruned before exits are put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.run.evidence import Evidence, Pruned
from eecompile.run.options import RunOptions
from eecompile.run.prepare import DEFAULT_EXITS, JOINT_EXITS, Prepared, cost_of, prepare_graph
from eecompile.run.schedule_options import ScheduleOptions, wishes_of
from eecompile.training.recipe import FROZEN, PRUNED
from passes.confidence import confidence_rule
from passes.exits.chain import set_rules
from passes.state import copy_graph, state_of
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes

QUICK = "layers"
"""The mode of schedules by which plans are looked for, where the whole schedule is in another."""


def prune_network(evidence: Evidence) -> None:
    """Take channels away, train what is left, and put the exits in anew.

    The schedules that say what is saved are those of the network without exits, for what the run minimises.
    """
    options, prepared = evidence.options, evidence.prepared
    if options.prune is None:
        raise ValueError("the steps of a run without `prune` do not prune")
    from eecompile.pruning.prune import prune
    from eecompile.training.checkpoint import Checkpoints
    from eecompile.training.contract import Course, TrainingImages

    target, goal = prepared.target, options.prune
    modes = list(target.schedules)
    whole = options.schedule or modes[0]

    def scheduled(mode: str) -> Callable[[gs.Graph], CostReport]:
        return lambda graph: cost_of(graph, target, options.objective, wishes=Wishes(mode))

    recipe = PRUNED if options.prune_epochs is None else replace(PRUNED, epochs=options.prune_epochs)
    checkpoints = Checkpoints.kept_in(evidence.checkpoints).part("pruning")
    found = prune(
        prepared.plain,
        goal,
        TrainingImages(evidence.dataset.train, evidence.dataset.val, evidence.preprocess),
        recipe,
        Course(options.seed, evidence.clock.detail, checkpoints),
        scheduled(whole),
        scheduled(QUICK) if QUICK in modes and whole != QUICK else None,
    )
    info: dict[str, Any] = {
        "goal": str(goal),
        "before": found.before,
        "after": found.after,
        "rounds": [dict(told) for told in found.rounds],
    }
    evidence.pruned = Pruned(prepared.plain, info)
    evidence.prepared = with_exits_as_asked(copy_graph(found.graph), prepared, options)


def with_exits_as_asked(graph: gs.Graph, before: Prepared, options: RunOptions) -> Prepared:
    """Return a network with the exits that the options ask for, as it is prepared at the start of a run."""
    target = before.target
    found = prepare_graph(
        graph,
        options.model,
        target,
        options.objective,
        options.exits,
        options.head,
        DEFAULT_EXITS if options.train == FROZEN else JOINT_EXITS,
        wishes=wishes_of(ScheduleOptions(options.schedule, speculate=options.speculate), target),
    )
    if options.confidence is not None:
        rule = confidence_rule(options.confidence)
        set_rules(found.graph, [rule] * len(state_of(found.graph).exits))
    return found
