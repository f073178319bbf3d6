"""Networks that could be delivered, and what each of them costs and loses on validation images.

Nothing here reads or writes files, trains, or looks at a clock: the same candidate has the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.exits.answers import Answers
from eecompile.exits.budgets import Budget, Constraints
from eecompile.exits.statistics import DropBound
from eecompile.exits.subset_costs import NetworkCost, SubsetCosts
from eecompile.exits.thresholds import MAX_NODES, Choice, Limit, choose_within, least_of
from passes.confidence import ConfidenceRule
from passes.errors import NoSolutionError
from passes.state import state_of
from targets.evaluation.paths import Cost
from targets.evaluation.report import CostReport
from targets.objective import Objective

# By how much the value of a network may lie below that of its parts together, or scheduled for the shares
# that leave below that for equal ones; of all 26 subsets of three mounts x two families of ResNet8 on
# edge_tpu_quad, whose schedules vary most, it was 6.3 % at most, and 0 on diana.
# tools/bench/bench_exit_choice.py prints it.
MARGIN = 0.1
# Boxes of thresholds that are looked at where many networks are only compared.
QUICK_NODES = 30
_EPSILON = 1e-9


@dataclass(frozen=True)
class CandidateExit:
    """An exit that was tried.

    Attributes:
        name: Its name in the network with all exits that were tried.
        mount: What the tensor it reads is called: as the user did, else its short name.
        head: Family of its head; empty for one that the network brought along.
        rule: By which its confidence is computed.
        reads: Name of the exit before it whose head its own reads; empty if it reads none. Without that one
            it is in no network.
    """

    name: str
    mount: str
    head: str
    rule: ConfidenceRule
    reads: str = ""

    def __str__(self) -> str:
        head = f"{self.head} head" if self.head else "exit"
        return f"{head} at {self.mount}"


def candidate_exits(graph: gs.Graph, mount_names: Mapping[str, str]) -> list[CandidateExit]:
    """Return the early exits of a network, shallow to deep; ``mount_names``: tensor -> what it is called."""
    return [
        CandidateExit(e.name, mount_names[e.mount], e.head_name, e.confidence, e.reads)
        for e in state_of(graph).exits[:-1]
    ]


def called(graph: gs.Graph, mount_names: Mapping[str, str]) -> dict[str, str]:
    """Return exit -> what it is called while none are chosen; the final one keeps its name."""
    return {item.name: str(item) for item in candidate_exits(graph, mount_names)}


def names_in_files(
    graph: gs.Graph, mount_names: Mapping[str, str], kept: Sequence[CandidateExit]
) -> dict[str, str]:
    """Return exit -> its name in the files and the report, of those that are removed what they are called."""
    files = {item.name: f"exit_{number}" for number, item in enumerate(kept)}
    return called(graph, mount_names) | files


def renamed(told: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return what is told of trainings with the exits called by other names.

    Args:
        told: A log of :class:`eecompile.training.contract.TrainingLog`, or what has one.
        names: Exit -> name; those that are not there keep theirs.
    """
    found = dict(told)
    for part in ("training", "static"):
        if isinstance(found.get(part), Mapping):
            found[part] = renamed(found[part], names)
    if "trained" in found:
        found["trained"] = [names.get(name, name) for name in found["trained"]]
    if "epochs" in found:
        found["epochs"] = [
            {**epoch, "accuracy": {names.get(name, name): value for name, value in epoch["accuracy"].items()}}
            for epoch in found["epochs"]
        ]
    return found


@dataclass(frozen=True)
class Candidate:
    """A network that may be delivered: the early exits it has, shallow to deep."""

    exits: tuple[CandidateExit, ...] = ()

    @property
    def text(self) -> str:
        """What tells it from all others."""
        return " + ".join(f"{item.name}: {item}, {item.rule}" for item in self.exits)


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
        drop: Accuracy lost against static, in points, the plain estimate.
        gap: No thresholds give less than ``value`` by more than this share.
        allowed: The constraints are kept; if not, nobody leaves early and, with exits, ``value`` is infinite.
    """

    kept: tuple[int, ...]
    thresholds: tuple[np.float32, ...]
    ratios: tuple[float, ...]
    costs: CostReport
    value: float
    accuracy: float
    drop: float
    gap: float = 0.0
    allowed: bool = True


class Evaluation:
    """Asks what candidates are worth: networks with some of the exits that were tried.

    Args:
        graph: The lowered network with all exits that were tried.
        tried: What these exits are.
        val: Answers of ``graph`` on validation images.
        limit: Allowed drop.
        objective: What is minimised.
        cost: Costs a network on the target.
        constraints: What thresholds must keep besides.
    """

    def __init__(
        self,
        graph: gs.Graph,
        tried: Sequence[CandidateExit],
        val: Answers,
        limit: Limit,
        objective: Objective,
        cost: NetworkCost,
        constraints: Constraints | None = None,
    ) -> None:
        self.tried = tuple(tried)
        self.limit = limit
        self._val = val
        self._bound = DropBound(len(val.labels))
        self.objective = objective
        self.constraints = constraints or Constraints()
        names = [item.name for item in self.tried]
        reads = [names.index(item.reads) if item.reads else None for item in self.tried]
        self._costs = SubsetCosts(graph, reads, cost, val.weights)
        self._known: dict[tuple[str, bool], Figures] = {}
        self._bounds: dict[tuple[str, bool], Choice | None] = {}
        self._seen: dict[str, Candidate] = {}

    def evaluate(self, candidate: Candidate, speculate: bool = False) -> Figures:
        """Return the figures of a candidate; each is found out once.

        A head costs every image that passes it, so each candidate is a network of its own. It is scheduled
        for equal shares of images at each exit, then for the shares that its thresholds give, for which they
        are chosen anew.

        Raises:
            NoSolutionError: The target cannot run it.
            ValueError: It has an exit that was not tried.
        """
        key = (candidate.text, speculate)
        self._seen[candidate.text] = candidate
        if key not in self._known:
            self._known[key] = self._evaluated(candidate, speculate)
        return self._known[key]

    def is_network(self, candidate: Candidate) -> bool:
        """Return whether each of its exits is there together with the one whose head it reads."""
        return self._costs.is_closed(self._kept(candidate))

    def at_least(self, candidate: Candidate) -> float:
        """Return what the value of a candidate is not expected to be less than, from what is known so far.

        That is its value once it was evaluated; before, ``MARGIN`` below what thresholds make of its costs:
        of its schedule for equal shares if there is one, else of its parts. What the target cannot run is
        infinite.
        """
        self._seen[candidate.text] = candidate
        if self.is_evaluated(candidate):
            return self.evaluate(candidate).value
        scheduled = self._costs.is_scheduled(self._kept(candidate))
        key = (candidate.text, scheduled)
        if key not in self._bounds:
            paths = self._paths(candidate)
            if paths is None:
                return math.inf
            val = self._val.select(self._kept(candidate))
            self._bounds[key] = self._choice(val, paths, 1 / (1 - MARGIN), QUICK_NODES)
        found = self._bounds[key]
        return math.inf if found is None else (1 - MARGIN) * found.cost

    def refusal(self, candidate: Candidate) -> NoSolutionError | None:
        """Return why the target cannot run a candidate, if that was found out."""
        return self._costs.refusal(self._kept(candidate))

    @property
    def seen(self) -> tuple[Candidate, ...]:
        """The candidates that were evaluated or bounded, in the order of the first time."""
        return tuple(self._seen.values())

    def is_evaluated(self, candidate: Candidate) -> bool:
        """Return whether the value of a candidate is known, not only bounded."""
        return (candidate.text, False) in self._known

    def is_ever_taken(self, item: CandidateExit) -> bool:
        """Return whether images leave at an exit in any network that was evaluated or bounded."""
        for candidate in self.seen:
            if item in candidate.exits:
                found = [choice for key, choice in self._bounds.items() if key[0] == candidate.text]
                known = [self.evaluate(candidate)] if self.is_evaluated(candidate) else []
                number = candidate.exits.index(item)
                made = [one for one in (*found, *known) if one is not None]
                if any(one.thresholds[number] != item.rule.never for one in made):
                    return True
        return False

    def schedule(self, candidate: Candidate) -> bool:
        """Schedule a candidate for equal shares; False if that was tried already."""
        kept = self._kept(candidate)
        if self._costs.is_scheduled(kept) or self._costs.refusal(kept) is not None:
            return False
        try:
            self._costs.of(kept)
        except NoSolutionError:
            if not kept:
                raise
        return True

    def _paths(self, candidate: Candidate) -> Sequence[Cost] | None:
        """Return the cost of each exit path: of its schedule, else of its parts; None if it cannot run."""
        kept = self._kept(candidate)
        if self._costs.is_scheduled(kept):
            return [path.cost for path in self._costs.of(kept).exits]
        try:
            return self._costs.estimated(kept)
        except NoSolutionError:
            if self._costs.refusal(kept) is None:
                raise  # static cannot run, so nothing can
            return None

    def _kept(self, candidate: Candidate) -> tuple[int, ...]:
        return tuple(self.tried.index(item) for item in candidate.exits)

    def _choice(
        self, val: Answers, paths: Sequence[Cost], slack: float = 1.0, nodes: int = MAX_NODES
    ) -> Choice | None:
        values = [cost.value(self.objective) for cost in paths]
        budgets = self._budgets(paths, slack)
        return choose_within(val.observed(), values, self.limit, budgets, self._bound, nodes)

    def _budgets(self, paths: Sequence[Cost], slack: float = 1.0) -> tuple[Budget, ...]:
        return self.constraints.budgets(paths, self._costs.of(()).total, self.objective, slack)

    def rated(
        self, candidate: Candidate, thresholds: Sequence[np.float32], costs: CostReport
    ) -> float | None:
        """Return the value of other thresholds at given costs; ``None`` where they break a constraint."""
        ratios = shares(self._val.select(self._kept(candidate)), thresholds)
        reached: list[int] = []
        for number, item in enumerate(candidate.exits):
            if thresholds[number] != item.rule.never:
                reached.append(number)
            if thresholds[number] == item.rule.always:
                break
        else:
            reached.append(len(thresholds))
        for budget in self._budgets([path.cost for path in costs.exits]):
            spent = sum(ratio * amount for ratio, amount in zip(ratios, budget.amounts, strict=True))
            if budget.of_every_input:
                spent = max(budget.amounts[number] for number in reached)
            if spent > budget.at_most + _EPSILON:
                return None
        return expected_cost_value(costs, ratios, self.objective)

    def nothing_allowed(self) -> NoSolutionError:
        """Return what to tell where no network keeps the constraints: which binds, what can be reached.

        Where the target can run none of them, that is told.
        """
        best: dict[str, tuple[float, Budget]] = {}
        refusals = [self.refusal(candidate) for candidate in self.seen if candidate.exits]
        if refusals and refusals[0] is not None and None not in refusals:
            return refusals[0]
        for candidate in self.seen:
            val, paths = self._val.select(self._kept(candidate)), self._paths(candidate)
            for budget in () if paths is None else self._budgets(paths):
                least = least_of(val.observed(), budget, self.limit, self._bound)
                if budget.option not in best or least < best[budget.option][0]:
                    best[budget.option] = least, budget
        if not best:
            nearest = min(figures.drop for figures in self._known.values())
            return NoSolutionError(
                f"the trained network is {nearest:.2f} points less accurate on val than static even at its "
                f"final exit: no thresholds keep {self.limit}",
                "allow more with `max_drop`, train longer (`epochs`, `prune_epochs`), train heads only "
                "(`train` frozen), or prune less (`prune`)",
            )
        binding = {o: (least, b) for o, (least, b) in best.items() if least > b.at_most + 1e-9}
        shown = binding or best
        facts = "; ".join(
            f"`{option}`: {budget.name} is {least:.3g} at least, and {budget.at_most:.3g} are allowed"
            for option, (least, budget) in shown.items()
        )
        which = "" if binding else "each alone can be kept, not all together: "
        return NoSolutionError(
            f"no exits and thresholds keep {self.limit}, and {which}{facts}",
            "allow more with " + " or ".join(f"`{option}`" for option in (*shown, "max_drop")),
        )

    def _evaluated(self, candidate: Candidate, speculate: bool) -> Figures:
        kept = self._kept(candidate)
        val = self._val.select(kept)
        scheduled_for: tuple[float, ...] | None = None
        costs = self._costs.of(kept)
        for _ in range(2):
            choice = self._choice(val, [path.cost for path in costs.exits])
            if choice is None:
                return self._refused(candidate, val, costs)
            ratios = shares(val, choice.thresholds)
            if not kept or ratios == scheduled_for:
                break
            scheduled_for, costs = ratios, self._costs.of(kept, ratios)
        assert choice is not None  # the loop returns where it is
        if speculate:
            costs = self._costs.of(kept, ratios, True)
        seen = _accuracy(val, choice.thresholds)
        return Figures(kept, choice.thresholds, ratios, costs, choice.cost, *seen, choice.gap)

    def _refused(self, candidate: Candidate, val: Answers, costs: CostReport) -> Figures:
        """Return the figures of a network whose thresholds cannot keep the constraints."""
        never = tuple(item.rule.never for item in candidate.exits)
        value = math.inf if never else costs.total.value(self.objective)
        ratios = shares(val, never)
        kept = self._kept(candidate)
        return Figures(kept, never, ratios, costs, value, *_accuracy(val, never), allowed=False)

    def by_macs(self, candidate: Candidate, power: int) -> Choice | None:
        """Return the thresholds that are cheapest if a path costs its MACs to some power; without schedules.

        Constraints on costs are held to the sums of parts. ``None``: no thresholds keep them, or the target
        cannot run one of the parts.
        """
        val = self._val.select(self._kept(candidate))
        try:
            paths = self._costs.estimated(self._kept(candidate))
        except NoSolutionError:
            return None
        values = [float(path.macs) ** power for path in paths]
        budgets = self._budgets(paths)
        return choose_within(val.observed(), values, self.limit, budgets, self._bound, QUICK_NODES)

    def with_thresholds(
        self, candidate: Candidate, thresholds: Sequence[np.float32], speculate: bool = False
    ) -> Figures:
        """Return a candidate with other thresholds than its own, scheduled for the shares they give."""
        kept, thresholds = self._kept(candidate), tuple(thresholds)
        val = self._val.select(kept)
        ratios = shares(val, thresholds)
        costs = self._costs.of(kept, ratios, speculate)
        value = expected_cost_value(costs, ratios, self.objective)
        return Figures(kept, thresholds, ratios, costs, value, *_accuracy(val, thresholds))

    def idle(self, candidate: Candidate) -> tuple[int, ...]:
        """Return the numbers of the exits that are never taken, and that no exit behind them asks either."""
        asks = [number for number, item in enumerate(candidate.exits) if item.rule.reads_before]
        never = self.never_taken(candidate)
        asking = [number for number in asks if number not in never]
        return tuple(number for number in never if number >= max(asking, default=-1))

    def never_taken(self, candidate: Candidate) -> tuple[int, ...]:
        """Return the numbers of the exits for which no threshold holds the limit."""
        found = zip(candidate.exits, self.evaluate(candidate).thresholds, strict=True)
        return tuple(number for number, (item, t) in enumerate(found) if t == item.rule.never)


def expected_cost_value(costs: CostReport, ratios: Sequence[float], objective: Objective) -> float:
    """Return what is minimised, expected over exits, without speculation."""
    values = [path.cost.value(objective) for path in costs.exits]
    return sum(ratio * value for ratio, value in zip(ratios, values, strict=True))


def _accuracy(seen: Answers, thresholds: Sequence[np.float32]) -> tuple[float, float]:
    """Return the accuracy where images leave, and what static has more, in points."""
    _, right = seen.leaving(thresholds)
    accuracy = float(right.mean())
    return accuracy, 100 * (float(seen.static_correct.mean()) - accuracy)


def shares(seen: Answers, thresholds: Sequence[np.float32]) -> tuple[float, ...]:
    """Return the share of images that leave at each exit."""
    where, _ = seen.leaving(thresholds)
    return tuple(float(count) / len(where) for count in np.bincount(where, minlength=len(thresholds) + 1))
