"""A network is pruned to a goal on its schedule: ranked, planned, cut and trained, in a few rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.plan import CostOf, Counts, PrunableGroup, plan_counts
from eecompile.pruning.restore import restore_outputs
from eecompile.pruning.sensitivity import sensitivities
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import JointRecipe
from passes.errors import InputError, NoSolutionError
from passes.pruning.groups import Dependencies, find_groups
from passes.pruning.prune_channels import PruneChannels, removal
from passes.pruning.remove import remove_channels
from passes.state import copy_graph
from targets.evaluation.report import CostReport

ROUNDS = 1
"""The goal is reached in so many rounds, each of which is ranked anew and trained."""
_SHORTER = 4
"""By what the training of each round but the last is shorter."""

NetworkCost = Callable[[gs.Graph], CostReport]


@dataclass(frozen=True)
class PrunedNetwork:
    """A network that was pruned, and how.

    Attributes:
        graph: The network.
        before: What the goal is about, in cycles or pJ, of the network as it was given.
        after: The same of the pruned network; both by the whole schedule.
        rounds: What each round did: text of the pass, channels that stay, costs, the log of its training.
    """

    graph: gs.Graph
    before: float
    after: float
    rounds: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Ranking:
    """The channels of a network in the order in which they may go.

    Attributes:
        graph: The network.
        found: Its channels.
        losses: Root of a channel -> what its removal adds to the loss.
    """

    graph: gs.Graph
    found: Dependencies
    losses: Mapping[int, float]

    def order(self, name: str) -> list[int]:
        """Return the units of a group, those that are missed least first; equal ones as they lie."""
        group = next(group for group in self.found.groups if group.name == name)
        return sorted(group.units, key=lambda unit: (self.losses[unit], group.units.index(unit)))

    @property
    def groups(self) -> list[PrunableGroup]:
        """The groups of more than one channel, as the plan sees them."""
        return [
            PrunableGroup(group.name, tuple(self.losses[unit] for unit in self.order(group.name)))
            for group in self.found.groups
            if len(group) > 1
        ]

    def texts(self, counts: Counts) -> tuple[str, ...]:
        """Return what `prune-channels` removes where so many channels stay."""
        found = {group.name: group for group in self.found.groups}
        gone = self.gone(counts)
        going = {name: [unit for unit in found[name].units if unit in gone] for name in counts}
        return tuple(removal(found[name], units) for name, units in going.items() if units)

    def gone(self, counts: Counts) -> set[int]:
        """Return the units that go where so many channels stay."""
        orders = {name: self.order(name) for name in counts}
        return {unit for name, count in counts.items() for unit in orders[name][: len(orders[name]) - count]}

    def shape(self, counts: Counts) -> gs.Graph:
        """Return a copy of the network with so many channels."""
        pruned = copy_graph(self.graph)
        remove_channels(pruned, self.found, self.gone(counts))
        return pruned


def prune(
    graph: gs.Graph,
    goal: PruningGoal,
    images: TrainingImages,
    recipe: JointRecipe,
    course: Course,
    cost: NetworkCost,
    quick: NetworkCost | None = None,
    rounds: int = ROUNDS,
) -> PrunedNetwork:
    """Return ``graph`` with fewer channels, trained to answer as it did; ``graph`` is not changed.

    Each round takes an equal part of the way. Channels are ranked by what their removal adds to the loss on
    training images, against labels and the answers of ``graph``; which go is planned on the schedule.

    Args:
        graph: A float network without early exits, in canonical form.
        goal: What shall be less, and by which share.
        images: What it is ranked and trained on.
        recipe: How it is trained in the last round; in those before for a quarter of it.
        course: Seed, checkpoints, progress.
        cost: The whole schedule of a network.
        quick: A schedule that is found sooner, by which plans are looked for; ``None``: ``cost`` is.
        rounds: In how many steps.

    Raises:
        InputError: No channel of it may go, or it cannot be trained.
        NoSolutionError: The goal cannot be reached; says what can.
    """
    before = goal.of(cost(graph).total)
    now, told, after = graph, list[dict[str, Any]](), before
    for number in range(1, rounds + 1):
        found = find_groups(now)
        if not any(len(group) > 1 for group in found.groups):
            raise _nothing(found)
        teacher = None if now is graph else graph
        ranking = Ranking(now, found, sensitivities(now, found, images.train, images.preprocess, teacher))
        most = before * (1 - goal.less * number / rounds)
        exact = None if quick is None else _cost_of(ranking, goal, cost)
        plan = plan_counts(ranking.groups, _cost_of(ranking, goal, quick or cost), most, exact)
        step = PruneChannels(remove=ranking.texts(plan.counts))
        pruned = copy_graph(now)
        step(pruned)
        restore_outputs(pruned, now, found, ranking.gone(plan.counts), images.train, images.preprocess)
        after = plan.cost
        course.progress(
            f"round {number} of {rounds}: {goal.measure} {100 * (after / before - 1):+.1f} %, channels "
            + ", ".join(f"{name} {count}" for name, count in plan.counts.items())
        )
        part = replace(course, checkpoints=course.checkpoints.part(f"round-{number}"))
        how = recipe if number == rounds else _shorter(recipe)
        log = train_jointly(pruned, images, how, part, [], teacher=graph)
        told.append(
            {
                "remove": list(step.remove),
                "channels": dict(plan.counts),
                goal.measure: after,
                "loss": plan.loss,
                "schedules": plan.tried,
                "training": log.to_json(),
            }
        )
        now = pruned
    return PrunedNetwork(now, before, after, told)


def _cost_of(ranking: Ranking, goal: PruningGoal, cost: NetworkCost) -> CostOf:
    """Return what counts cost, in what the goal is about; infinite where the target cannot run them."""

    def found(counts: Counts) -> float:
        try:
            return goal.of(cost(ranking.shape(counts)).total)
        except NoSolutionError:
            return math.inf

    return found


def _shorter(recipe: JointRecipe) -> JointRecipe:
    epochs = None if recipe.epochs is None else max(1, recipe.epochs // _SHORTER)
    least = max(1, recipe.least_epochs // _SHORTER)
    return replace(recipe, samples=recipe.samples // _SHORTER, epochs=epochs, least_epochs=least)


def _nothing(found: Dependencies) -> InputError:
    reasons = [f"{found.short[name]}: {why}" for name, why in found.kept.items()]
    return InputError(
        "no channel of this network may go: " + ("; ".join(reasons) or "no layer makes any"),
        "leave `prune` away",
    )
