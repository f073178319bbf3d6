"""One round of pruning: branches and channels go until the goal is reached; what is left is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.data.dataset import Split
from eecompile.pruning.branches import Attempt
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.plan import CostOf, Counts, PruningPlan, plan_counts
from eecompile.pruning.ranking import Ranking
from eecompile.pruning.restore import restore_outputs
from eecompile.pruning.sensitivity import loss_of, sensitivities
from eecompile.training.contract import TrainingImages
from passes.canonical.canonicalize import Canonicalize
from passes.errors import NoSolutionError
from passes.pruning.groups import MAKERS, Dependencies, find_groups
from passes.pruning.prune_branches import PruneBranches
from passes.pruning.prune_channels import PruneChannels
from passes.state import copy_graph
from targets.evaluation.report import CostReport

NetworkCost = Callable[[gs.Graph], CostReport]
Branches = tuple[str, ...]


@dataclass(frozen=True)
class Reached:
    """A network that reaches the goal of a round, fitted and not yet trained.

    Attributes:
        graph: The network.
        measure: What the goal is about: ``cycles`` or ``energy``.
        branches: What ``prune-branches`` removed.
        layers: Names of the layers with weights that went with them.
        sizes: Name of a group of channels that is left -> how many there were.
        channels: What ``prune-channels`` removed, behind that and ``canonicalize``.
        plan: How many channels stay, and what that costs.
        loss: Of an image before training, against labels and the answers of the network as it was given.
    """

    graph: gs.Graph
    measure: str
    branches: Branches
    layers: tuple[str, ...]
    sizes: Counts
    channels: tuple[str, ...]
    plan: PruningPlan
    loss: float

    @property
    def cost(self) -> float:
        """What the goal is about, in cycles or pJ."""
        return self.plan.cost

    def text(self, before: float) -> str:
        """Return what is told of it; ``before``: the cost as given."""
        counts = ", ".join(f"{name} {count}" for name, count in self.plan.counts.items())
        return (
            f"{self.measure} {100 * (self.cost / before - 1):+.1f} %, "
            f"without branches {'+'.join(self.branches) or '(none)'}, channels {counts or '(all)'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in ``run.json``."""
        return {
            "branches": list(self.branches),
            "layers": list(self.layers),
            "remove": list(self.channels),
            "channels": dict(self.plan.counts),
            "channels_before": dict(self.sizes),
            self.measure: self.cost,
            "loss": self.loss,
            "schedules": self.plan.tried,
        }


@dataclass(frozen=True)
class PruningRound:
    """One round.

    Attributes:
        now: The network as it is before the round.
        given: The network as it was given, whose answers count.
        goal: What shall be less.
        most: What it may cost at most behind the round.
        images: Of the training set. What is left is fitted to one half of them, losses are seen on the other.
        cost: The whole schedule.
        quick: One by which plans are looked for, or ``None``.
    """

    now: gs.Graph
    given: gs.Graph
    goal: PruningGoal
    most: float
    images: TrainingImages
    cost: NetworkCost
    quick: NetworkCost | None
    _cut: dict[Branches, gs.Graph] = field(default_factory=dict, init=False)
    _losses: dict[Branches, float] = field(default_factory=dict, init=False)

    def saved(self, branches: Branches) -> float:
        """Return what the network costs less without branches, in cycles or pJ."""
        return self._of(self.now, self.cost) - self._of(self._without(branches), self.cost)

    def loss(self, branches: Branches) -> float:
        """Return the loss without branches."""
        if branches not in self._losses:
            self._losses[branches] = self._loss(self._without(branches))
        return self._losses[branches]

    def reach(self, branches: Branches) -> Attempt[Reached]:
        """Return the network without branches and so many channels that the goal is reached.

        Raises:
            NoSolutionError: It is not, with as few channels as there can be; says what is.
        """
        cut = self._without(branches)
        found, whole = find_groups(cut), self._of(cut, self.cost)
        sizes = {group.name: len(group) for group in found.groups}
        removed: tuple[str, ...] = ()
        if whole <= self.most:
            pruned, plan, loss = copy_graph(cut), PruningPlan(sizes, whole, 0.0, 1), self.loss(branches)
        else:
            pruned, removed, plan = self._without_channels(cut, found)
            loss = self._loss(pruned)
        stay = {node.name for node in cut.nodes}
        layers = tuple(node.name for node in self.now.nodes if node.op in MAKERS and node.name not in stay)
        reached = Reached(pruned, self.goal.measure, branches, layers, sizes, removed, plan, loss)
        return Attempt(branches, loss, reached)

    def _without_channels(
        self, cut: gs.Graph, found: Dependencies
    ) -> tuple[gs.Graph, tuple[str, ...], PruningPlan]:
        """Return a network with so many channels that the goal is reached, what went, and the plan."""
        losses = sensitivities(cut, found, self.images.train, self.images.preprocess, self.given)
        ranking = Ranking(cut, found, losses)
        exact = None if self.quick is None else self._cost_of(ranking, self.cost)
        quick = self._cost_of(ranking, self.quick or self.cost)
        plan = plan_counts(ranking.groups, quick, self.most, exact, self._of(self.given, self.cost))
        step, pruned = PruneChannels(remove=ranking.texts(plan.counts)), copy_graph(cut)
        step(pruned)
        fitted, rule = self._half(0), self.images.preprocess
        restore_outputs(pruned, self.now, found, ranking.gone(plan.counts), fitted, rule)
        return pruned, step.remove, plan

    def _without(self, branches: Branches) -> gs.Graph:
        """Return the network without branches, fitted; not to be changed."""
        if not branches:
            return self.now
        if branches not in self._cut:
            cut = copy_graph(self.now)
            PruneBranches(remove=branches)(cut)
            Canonicalize()(cut)
            restore_outputs(cut, self.now, find_groups(self.now), (), self._half(0), self.images.preprocess)
            self._cut[branches] = cut
        return self._cut[branches]

    def _half(self, which: int) -> Split:
        train = self.images.train
        return Split(train.x[which::2], train.y[which::2])

    def _loss(self, graph: gs.Graph) -> float:
        return loss_of(graph, self._half(1), self.images.preprocess, self.given)

    def _of(self, graph: gs.Graph, cost: NetworkCost) -> float:
        """Return what the goal is about; infinite where the target cannot run it."""
        try:
            return self.goal.of(cost(graph).total)
        except NoSolutionError:
            return math.inf

    def _cost_of(self, ranking: Ranking, cost: NetworkCost) -> CostOf:
        def found(counts: Counts) -> float:
            return self._of(ranking.shape(counts), cost)

        return found
