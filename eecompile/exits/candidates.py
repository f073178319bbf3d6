"""Networks that could be delivered, and what each of them costs and loses on validation images.

Nothing here reads or writes files, trains, or looks at a clock: the same candidate has the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.exits.answers import Answers
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit, choose_sparing
from passes.confidence import ConfidenceRule
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.evaluation.report import CostReport
from targets.objective import Objective

# From a network, the shares of inputs that leave at each of its exits (``None``: equal ones), and whether the
# next stage may start while a head decides.
Cost = Callable[[gs.Graph, Sequence[float] | None, bool], CostReport]


@dataclass(frozen=True)
class CandidateExit:
    """An exit that was tried.

    Attributes:
        name: Its name in the network with all exits that were tried.
        mount: What the tensor it reads is called: as the user did, else its short name.
        head: Family of its head; empty for one that the network brought along.
        rule: By which its confidence is computed.
    """

    name: str
    mount: str
    head: str
    rule: ConfidenceRule

    def __str__(self) -> str:
        head = f"{self.head} head" if self.head else "exit"
        return f"{head} at {self.mount}"


@dataclass(frozen=True)
class Candidate:
    """A network that may be delivered: the early exits it has, shallow to deep."""

    exits: tuple[CandidateExit, ...] = ()

    @property
    def text(self) -> str:
        """What tells it from all others."""
        return " + ".join(f"{item.name}: {item}, {item.rule.name}" for item in self.exits)


@dataclass(frozen=True)
class Figures:
    """What a candidate costs and how accurate it is; all that is about images was seen on val.

    Attributes:
        kept: Positions of its exits among those that were tried.
        thresholds: One per early exit: those of least cost within the limit on the drop.
        ratios: Share of images that leave at each exit, the final one included.
        costs: Costs of the network, scheduled for these shares.
        value: What is minimised, expected over the images; costs are without speculation.
        accuracy: Share of right answers where each image leaves.
        drop: Accuracy lost against the final exit, in points, the plain estimate.
    """

    kept: tuple[int, ...]
    thresholds: tuple[np.float32, ...]
    ratios: tuple[float, ...]
    costs: CostReport
    value: float
    accuracy: float
    drop: float


class Evaluation:
    """Asks what candidates are worth: networks with some of the exits that were tried.

    Args:
        graph: The lowered network with all exits that were tried.
        tried: What these exits are.
        val: Answers of ``graph`` on validation images.
        limit: Allowed drop.
        objective: What is minimised.
        cost: Costs a network on the target.
    """

    def __init__(
        self,
        graph: gs.Graph,
        tried: Sequence[CandidateExit],
        val: Answers,
        limit: Limit,
        objective: Objective,
        cost: Cost,
    ) -> None:
        self.tried = tuple(tried)
        self.limit = limit
        self._graph = graph
        self._names = [e.name for e in state_of(graph).exits[:-1]]
        self._val = val
        self._bound = DropBound(len(val.labels))
        self._objective = objective
        self._cost = cost
        self._known: dict[tuple[str, bool], Figures] = {}

    def evaluate(self, candidate: Candidate, speculate: bool = False) -> Figures:
        """Return the figures of a candidate; each is found out once.

        A head costs every image that passes it, so each candidate is a network of its own. It is scheduled
        for equal shares of images at each exit, then for the shares that its thresholds give, for which they
        are chosen anew.

        Raises:
            ValueError: It has an exit that was not tried.
        """
        key = (candidate.text, speculate)
        if key not in self._known:
            self._known[key] = self._evaluated(candidate, speculate)
        return self._known[key]

    def _evaluated(self, candidate: Candidate, speculate: bool) -> Figures:
        kept = tuple(self.tried.index(item) for item in candidate.exits)
        network = keep_exits(self._graph, [self._names[k] for k in kept])
        val = self._val.select(kept)
        scheduled_for: tuple[float, ...] | None = None
        costs = self._cost(network, None, False)
        for _ in range(2):
            values = [path.cost.value(self._objective) for path in costs.exits]
            choice = choose_sparing(val.observed(), values, self.limit, self._bound)
            ratios = shares(val, choice.thresholds)
            if not kept or ratios == scheduled_for:
                break
            scheduled_for, costs = ratios, self._cost(network, ratios, False)
        if speculate:
            costs = self._cost(network, ratios, True)
        _, right = val.leaving(choice.thresholds)
        accuracy = float(right.mean())
        drop = 100 * (float(val.correct[-1].mean()) - accuracy)
        return Figures(kept, choice.thresholds, ratios, costs, choice.cost, accuracy, drop)

    def never_taken(self, candidate: Candidate) -> tuple[int, ...]:
        """Return the numbers of the exits for which no threshold holds the limit."""
        found = zip(candidate.exits, self.evaluate(candidate).thresholds, strict=True)
        return tuple(number for number, (item, t) in enumerate(found) if t == item.rule.never)


def shares(seen: Answers, thresholds: Sequence[np.float32]) -> tuple[float, ...]:
    """Return the share of images that leave at each exit."""
    where, _ = seen.leaving(thresholds)
    return tuple(float(count) / len(where) for count in np.bincount(where, minlength=len(thresholds) + 1))
