"""A network is pruned to a goal on its schedule: ranked, planned, cut and trained, in a few rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.pruning.branches import choose_branches
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.restore import with_biases
from eecompile.pruning.round import NetworkCost, PruningRound, Reached
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.joint import train_jointly
from eecompile.training.recipe import JointRecipe
from passes.errors import InputError
from passes.progress import each
from passes.pruning.groups import find_groups
from passes.pruning.prune_branches import find_branches

ROUNDS = 1
"""The goal is reached in so many rounds, each of which is ranked anew and trained."""
_SHORTER = 4
"""By what the training of each round but the last is shorter."""


@dataclass(frozen=True)
class PrunedNetwork:
    """A network that was pruned, and how.

    Attributes:
        graph: The network.
        before: What the goal is about, in cycles or pJ, of the network as it was given.
        after: The same of the pruned network; both by the whole schedule.
        rounds: What each round did: texts of the passes, channels that stay, costs, the log of its training.
    """

    graph: gs.Graph
    before: float
    after: float
    rounds: Sequence[Mapping[str, Any]]


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
    """Return ``graph`` with fewer layers and channels, trained to answer as it did; ``graph`` is not changed.

    Branches that go are chosen first, for the whole goal. Channels go in rounds, each of which takes an equal
    part of the way. They are ranked by what their removal adds to the loss on training images, against labels
    and the answers of ``graph``; which go is planned on the schedule.

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
        InputError: Nothing of it may go, or it cannot be trained.
        NoSolutionError: The goal cannot be reached; says what can.
    """
    if not find_branches(graph) and all(len(group) < 2 for group in find_groups(graph).groups):
        raise _nothing(graph)
    before, whole = goal.of(cost(graph).total), whole_way(graph, goal, images, cost, quick)
    chosen = reach_goal(whole)
    now, told = whole.now, list[dict[str, Any]]()
    for number in each(range(1, rounds + 1), "rounds"):
        this = replace(whole, now=now, most=before * (1 - goal.less * number / rounds))
        reached = chosen if rounds == 1 else this.reach(chosen.branches if number == 1 else ()).found
        course.progress(f"round {number} of {rounds}: {reached.text(before)}")
        now = reached.graph
        part = replace(course, checkpoints=course.checkpoints.part(f"round-{number}"))
        how = recipe if number == rounds else _shorter(recipe)
        log = train_jointly(now, images, how, part, [], teacher=graph)
        told.append({**reached.to_json(), "training": log.to_json()})
    return PrunedNetwork(now, before, reached.cost, told)


def whole_way(
    graph: gs.Graph,
    goal: PruningGoal,
    images: TrainingImages,
    cost: NetworkCost,
    quick: NetworkCost | None = None,
) -> PruningRound:
    """Return the round that reaches the whole goal; arguments as those of :func:`prune`."""
    most = goal.of(cost(graph).total) * (1 - goal.less)
    return PruningRound(with_biases(graph), graph, goal, most, images, cost, quick)


def reach_goal(whole: PruningRound) -> Reached:
    """Return the network that reaches the goal in one round and is not yet trained, its branches chosen.

    Raises:
        NoSolutionError: The goal cannot be reached; says what can.
    """
    needed = whole.goal.of(whole.cost(whole.given).total) - whole.most
    return choose_branches(whole.now, needed, whole.saved, whole.loss, whole.reach).found


def _shorter(recipe: JointRecipe) -> JointRecipe:
    epochs = None if recipe.epochs is None else max(1, recipe.epochs // _SHORTER)
    least = max(1, recipe.least_epochs // _SHORTER)
    return replace(recipe, samples=recipe.samples // _SHORTER, epochs=epochs, least_epochs=least)


def _nothing(graph: gs.Graph) -> InputError:
    found = find_groups(graph)
    reasons = [f"{found.short[name]}: {why}" for name, why in found.kept.items()]
    return InputError(
        "no channel of this network may go: " + ("; ".join(reasons) or "no layer makes any"),
        "leave `prune` away",
    )
