"""The front of one supernet: over its subsets of exits, heads, confidence rules and thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.answers import right
from eecompile.exits.fronts.front_points import FrontPoint, SubsetFront
from eecompile.exits.fronts.front_problem import (
    ACCURACY,
    FINAL_RATIO,
    MEMORY,
    WORST_LATENCY,
    AskingExits,
    FrontLimits,
    FrontProblem,
    Kept,
)
from eecompile.exits.fronts.individual_front import individual_front
from eecompile.exits.fronts.pareto import nondominated
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.statistics import DropBound
from eecompile.exits.thresholds import Limit
from eecompile.search.backbones.final_head import FinalHead, final_name, split_finals
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.worth.at_points import at_first_point, figures_at, reason_at
from eecompile.search.worth.fitted_rules import FittedRules
from eecompile.search.worth.genetic_front import GeneticSearch, genetic_front
from eecompile.search.worth.part_costs import EDP, ENERGY, LATENCY, MACS, PartCosts
from passes.confidence import ConfidenceRule
from passes.state import Exit, state_of
from targets.description.architecture import OperatingPoint

Float32 = NDArray[np.float32]
MOST_POINTS = 64
"""So many points of a front are kept, evenly over it, both ends among them."""
KEYS = {
    ACCURACY: "accuracy_val",
    EDP: "edp_j_cycles",
    LATENCY: "latency_cycles",
    ENERGY: "energy_pj",
    MACS: "macs",
    WORST_LATENCY: "worst_latency_cycles",
    MEMORY: "memory_bytes",
}
"""What an objective is called in files."""
_IN_SECONDS = {EDP: "edp_js", LATENCY: "latency_s", WORST_LATENCY: "worst_latency_s"}
# Largest expected figures that can be asked for, by the key of the constraint.
_MEANS = {
    "max_edp_j_cycles": EDP,
    "max_latency_cycles": LATENCY,
    "max_energy_pj": ENERGY,
    "max_macs": MACS,
}


def keys_of(points: Sequence[OperatingPoint | None]) -> dict[str, str]:
    """Return what each objective is compared by: at several operating points in seconds, not cycles."""
    return KEYS | (_IN_SECONDS if len(points) > 1 else {})


@dataclass(frozen=True)
class InnerFront:
    """What a supernet holds.

    Attributes:
        points: As they stand in files, those that keep all constraints.
        why: Constraints that no network keeps: name, what it is at least (of shares and accuracy: at best),
            and what is asked.
        violation: By how much they are broken, as shares of what is asked, added up.
        networks: How many networks were looked at.
    """

    points: list[dict[str, Any]]
    why: list[dict[str, Any]]
    violation: float
    networks: int


@dataclass(frozen=True)
class TriedExit:
    """An exit that may be kept: a head on a mount, and the rule it decides by.

    Attributes:
        exit: As the supernet has it.
        number: Of it among the early exits of the supernet.
        rule: As it was asked for.
        fitted: The same with all parameters.
    """

    exit: Exit
    number: int
    rule: ConfidenceRule
    fitted: ConfidenceRule


@dataclass(frozen=True)
class AnsweredSupernet:
    """A supernet with what it answered, and what its parts cost.

    Attributes:
        graph: The supernet.
        logits: What its exits answered, the final one last.
        labels: What is right.
        costs: Of its parts.
        finals: Final heads among its exits. Drops and ratios of costs are against the network without early
            exits and with the first of them.
        fitted: From a rule that lacks parameters to those that were fitted to each early exit.
    """

    graph: gs.Graph
    logits: Sequence[Float32]
    labels: NDArray[np.int64]
    costs: PartCosts
    finals: Sequence[FinalHead] = (None,)
    fitted: FittedRules = field(default_factory=dict)

    def tried(self, rules: Sequence[ConfidenceRule]) -> list[TriedExit]:
        """Return the early exits, each with any of some rules."""
        early, _ = split_finals(state_of(self.graph).exits, self.finals)
        return [
            TriedExit(item, number, rule, self.fitted[rule][number] if rule.unfitted else rule)
            for number, item in enumerate(early)
            for rule in rules
        ]


@dataclass(frozen=True)
class FrontQuestion:
    """What is sought in a supernet.

    Attributes:
        rules: Each exit may decide by any of these.
        objectives: Two or three.
        constraints: What all points keep.
        most_exits: Early exits of a network; ``None``: as many as there are mounts.
        joint: One threshold and rule for all exits of a network: the front is exact. Else one for each, begun
            at that front; of ``objectives`` one at least is then a mean cost.
        genetic: It is not solved but searched by a genetic algorithm, with so many evaluations in all.
    """

    rules: Sequence[ConfidenceRule]
    objectives: tuple[str, ...]
    constraints: ConstraintsTable
    most_exits: int | None = None
    joint: bool = True
    genetic: GeneticSearch | None = None


def inner_front(
    supernet: AnsweredSupernet,
    question: FrontQuestion,
    points: Sequence[OperatingPoint | None] = (None,),
) -> InnerFront:
    """Return the front of a supernet on the images it answered.

    Args:
        supernet: What is searched.
        question: What is sought.
        points: Operating points that networks may run at; of several, times are compared in seconds.
            ``None``: no clock is known.
    """
    solved: dict[ConstraintsTable, InnerFront] = {}
    told = []
    for point in points:
        asked = at_first_point(question.constraints, point)
        if asked not in solved:
            solved[asked] = _solved(supernet, replace(question, constraints=asked))
        told.append(_told_at(solved[asked], question.constraints, point))
    found = _merged(told, question.objectives, keys_of(points))
    return replace(
        found, points=_thinned(found.points), networks=sum(front.networks for front in solved.values())
    )


def _solved(supernet: AnsweredSupernet, question: FrontQuestion) -> InnerFront:
    """Return the front at the first operating point of a target."""
    rules, genetic = question.rules, question.genetic
    together = [[rule] for rule in rules] if question.joint else [rules]  # one threshold compares one thing
    if genetic is not None:
        genetic = replace(genetic, evaluations=max(1, genetic.evaluations // len(together)))
    found = [_front_of(supernet, replace(question, rules=some, genetic=genetic)) for some in together]
    return _merged(found, question.objectives, KEYS)


def _merged(fronts: Sequence[InnerFront], objectives: tuple[str, ...], keys: Mapping[str, str]) -> InnerFront:
    """Return what several fronts hold together; without any points, the one that is nearest to some."""
    points = [point for front in fronts for point in front.points]
    networks = sum(front.networks for front in fronts)
    if not points:
        nearest = min(fronts, key=lambda front: front.violation)
        return replace(nearest, networks=networks)
    rows = [[-p[keys[n]] if n == ACCURACY else p[keys[n]] for n in objectives] for p in points]
    kept = nondominated(np.array(rows, np.float64))
    return InnerFront([points[k] for k in kept.tolist()], [], 0.0, networks)


def _told_at(front: InnerFront, constraints: ConstraintsTable, point: OperatingPoint | None) -> InnerFront:
    """Return a front at an operating point."""
    name = None if point is None else point.name
    found = [{**figures_at(item, point), "operating_point": name} for item in front.points]
    return replace(front, points=found, why=[reason_at(item, constraints, point) for item in front.why])


def _front_of(supernet: AnsweredSupernet, question: FrontQuestion) -> InnerFront:
    """Return the front where each exit may decide by any of the rules."""
    exits, problem = front_problem(supernet, question)
    if question.genetic is not None:
        front = genetic_front(problem, question.genetic, joint=question.joint)
    else:
        front = (global_front if question.joint else individual_front)(problem)
    points = [
        {**_point(item, exits, problem), "final_head": final_name(supernet.finals[item.final])}
        for item in front.points
    ]
    why = [] if points else list(_out_of_reach(front, problem))
    return InnerFront(points, why, sum(item["excess"] for item in why), front.subsets)


def front_problem(
    supernet: AnsweredSupernet, question: FrontQuestion
) -> tuple[list[TriedExit], FrontProblem]:
    """Return the exits that may be kept, and the problem over them."""
    logits, labels, costs, finals = supernet.logits, supernet.labels, supernet.costs, supernet.finals
    exits = supernet.tried(question.rules)
    images = len(labels)
    closing = np.array([right(found, labels) for found in split_finals(logits, finals)[1]], bool)
    problem = FrontProblem(
        np.array([told.fitted.evaluate(logits[told.number]) for told in exits], np.float32).reshape(
            -1, images
        ),
        np.array([right(logits[told.number], labels) for told in exits], bool).reshape(-1, images),
        tuple(costs.mounts[told.number] for told in exits),
        closing,
        closing[0],
        {name: _of_rules(figure, exits) for name, figure in costs.figures.items()},
        question.objectives,
        _limits(question, images),
        memory=lambda kept, final: costs.memory_of([exits[k].number for k in kept], final),
        reads=tuple(_read(told, exits) for told in exits),
        kinds=_kinds(exits),
        asking=_asking(exits, logits),
    )
    return exits, problem


def _read(told: TriedExit, exits: Sequence[TriedExit]) -> frozenset[int] | None:
    """Return the exits whose head that of another reads: that head, with any rule."""
    if not told.exit.reads:
        return None
    return frozenset(k for k, other in enumerate(exits) if other.exit.name == told.exit.reads)


def _kinds(exits: Sequence[TriedExit]) -> tuple[int, ...]:
    """Return a number for each exit, the same for those that differ in what they read alone."""
    kinds = [
        (told.exit.mount, told.exit.head if told.exit.reads else told.number, told.rule) for told in exits
    ]
    return tuple(kinds.index(kind) for kind in kinds)


def _asking(exits: Sequence[TriedExit], logits: Sequence[Float32]) -> AskingExits | None:
    """Return those of the exits whose rules read what exits before them answer."""
    asking = {k: told.fitted for k, told in enumerate(exits) if told.fitted.reads_before}
    if not asking:
        return None
    read = {rule: {told.number: rule.read(logits[told.number]) for told in exits} for rule in asking.values()}

    def confidence(before: Kept, k: int) -> Float32:
        seen = read[asking[k]]
        return asking[k].sure(seen[exits[k].number], [seen[exits[b].number] for b in before])

    most = len({told.exit.mount for told in exits}) - 1
    values = np.unique(np.concatenate([rule.after(most) for rule in read]))
    return AskingExits(frozenset(asking), confidence, values)


def _of_rules(costs: AdditiveCosts, exits: Sequence[TriedExit]) -> AdditiveCosts:
    """Return costs where a head is there once for each rule."""
    heads = costs.heads[[told.number for told in exits]]
    return AdditiveCosts(costs.stages, heads.reshape(len(exits), costs.stages.shape[1]), costs.finals)


def ratio_figure(objectives: Sequence[str]) -> str:
    """Return which cost the ratio of costs is of: the first mean cost that is sought."""
    return next((name for name in objectives if name in (EDP, LATENCY, ENERGY, MACS)), EDP)


def _limits(question: FrontQuestion, images: int) -> FrontLimits:
    constraints = question.constraints
    allows = None
    if constraints.max_drop is not None:
        limit, bound = Limit(constraints.max_drop, optimistic=True), DropBound(images)

        def allows(lost: NDArray[Any], gained: NDArray[Any]) -> NDArray[np.bool_]:
            return limit.allows(bound, lost, gained)

    asked = {name: getattr(constraints, key) for key, name in _MEANS.items()}
    return FrontLimits(
        constraints.max_final_ratio,
        constraints.max_cost_ratio,
        ratio_figure(question.objectives),
        constraints.max_worst_latency_cycles,
        constraints.max_memory_bytes,
        allows,
        {name: most for name, most in asked.items() if most is not None},
        constraints.min_accuracy,
        question.most_exits,
    )


def _point(item: FrontPoint, exits: Sequence[TriedExit], problem: FrontProblem) -> dict[str, Any]:
    """Return a point as it stands in files."""
    found: dict[str, Any] = {KEYS[ACCURACY]: item.accuracy}
    found |= {key: float(item.figures[name]) for name, key in KEYS.items() if name in item.figures}
    early = []
    for position, threshold, ratio in zip(item.kept, item.thresholds, item.ratios, strict=False):
        told = exits[position]
        chosen = told.rule.never if threshold is None else threshold
        early.append(
            {
                "name": told.exit.name,
                "mount": told.exit.mount,
                "head": "" if told.exit.head is None else told.exit.head.name,
                "confidence": str(told.rule),
                "threshold": float(np.ceil(chosen) if told.rule.whole else chosen),
                "ratio": float(ratio),
            }
        )
    found["exits"] = early
    found["final_ratio"] = float(item.ratios[-1])
    static = problem.static_costs[problem.limits.figure]
    found["cost_ratio"] = float(item.figures[problem.limits.figure]) / static
    found["static_accuracy_val"] = float(problem.static.mean())
    return found


def _out_of_reach(front: SubsetFront, problem: FrontProblem) -> Iterator[dict[str, Any]]:
    """Yield the limits that no network keeps at whatever threshold, each on its own."""
    limits = problem.limits
    asked = {
        "max_final_ratio": (FINAL_RATIO, limits.final_ratio),
        "max_cost_ratio": ("cost_ratio", limits.cost_ratio),
        "max_worst_latency_cycles": (WORST_LATENCY, limits.worst_latency),
        "max_memory_bytes": (MEMORY, limits.memory),
        **{key: (name, limits.means.get(name)) for key, name in _MEANS.items()},
        "min_accuracy": (ACCURACY, limits.accuracy),
    }
    least = dict(front.least)
    if limits.accuracy is not None and ACCURACY not in least:
        free = global_front(replace(problem, limits=FrontLimits()))
        least[ACCURACY] = max(point.accuracy for point in free.points)
    alone = False
    for key, (name, wanted) in asked.items():
        reached = least.get(name)
        if wanted is None or reached is None:
            continue
        excess = 1 - reached / wanted if name == ACCURACY else reached / wanted - 1
        if excess > 1e-9:
            alone = True
            yield {"constraint": key, "reached": float(reached), "asked": wanted, "excess": excess}
    if not alone:
        kept = [key for key, (_, most) in asked.items() if most is not None]
        kept += ["max_drop"] if limits.allows is not None else []
        yield {"constraint": " with ".join(kept), "reached": None, "asked": None, "excess": 1e-3}


def _thinned(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(points) <= MOST_POINTS:
        return points
    chosen = np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))
    return [points[k] for k in chosen]
