"""Which of the candidate exits a network keeps, and with which thresholds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.results import RemovedExit
from eecompile.statistics import DropBound
from eecompile.thresholds import Choice, Limit, choose, leaves_at
from eecompile.validation import Answers
from passes.exits import keep_exits
from passes.state import state_of
from targets.objective import Objective
from targets.report import CostReport

MIN_GAIN = 0.02


@dataclass(frozen=True)
class Candidate:
    """An exit that may be kept: short name of its mount, family of its head (empty: the user's own)."""

    mount: str
    head: str


@dataclass(frozen=True)
class ExitChoice:
    """The exits of the files.

    Attributes:
        kept: Indices of the kept early exits among the candidates.
        thresholds: One per kept early exit.
        costs: Costs of the network with these exits.
        static: Costs of the network without exits.
        removed: The other candidates, with the reason.
    """

    kept: tuple[int, ...]
    thresholds: tuple[np.float32, ...]
    costs: CostReport
    static: CostReport
    removed: tuple[RemovedExit, ...]


def choose_exits(
    graph: gs.Graph,
    candidates: Sequence[Candidate],
    val: Answers,
    limit: Limit,
    objective: Objective,
    cost: Callable[[gs.Graph, Sequence[float] | None], CostReport],
) -> ExitChoice:
    """Try every subset of the candidate exits; the cheapest on val within the limit is kept.

    A head costs every image that passes it, so each subset is costed as a network of its own: scheduled for
    equal shares of images at each exit first, then for the shares that its thresholds gave. An exit more must
    save at least ``MIN_GAIN`` of static: less is within the noise of a validation set, and not worth its
    weights.

    Args:
        graph: Network with all candidate exits.
        candidates: What these exits are; of those on one mount, one at most is kept.
        val: Its answers on validation images.
        limit: Allowed drop.
        objective: What is minimised.
        cost: Costs a network on the target, scheduled for shares of images that leave at each exit.
    """
    names = [e.name for e in state_of(graph).exits[:-1]]
    bound = DropBound(len(val.labels))
    found: dict[tuple[int, ...], tuple[Choice, CostReport]] = {}
    for size in range(len(names) + 1):
        for subset in itertools.combinations(range(len(names)), size):
            if len({candidates[i].mount for i in subset}) < size:
                continue
            network = keep_exits(graph, [names[i] for i in subset])
            ratios = None
            for _ in range(2 if subset else 1):
                costs = cost(network, ratios)
                values = [e.value(objective) for e in costs.exits]
                seen = val.observed().select(subset)
                choice = choose(seen, values, limit, bound)
                if any(t == rule.never for t, rule in zip(choice.thresholds, seen.rules, strict=True)):
                    break  # a smaller subset is cheaper still
                ratios = shares(val.select(subset), choice.thresholds)
            else:
                found[subset] = choice, costs
    kept = _sparing(found)
    choice, costs = found[kept]
    return ExitChoice(kept, choice.thresholds, costs, found[()][1], _removed(candidates, kept, found, limit))


def shares(seen: Answers, thresholds: Sequence[np.float32]) -> tuple[float, ...]:
    """Return the share of images that leave at each exit."""
    where, _ = seen.leaving(thresholds)
    return tuple(float(count) / len(where) for count in np.bincount(where, minlength=len(thresholds) + 1))


def _sparing(found: dict[tuple[int, ...], tuple[Choice, CostReport]]) -> tuple[int, ...]:
    """Return the cheapest subset, an exit counting as ``MIN_GAIN`` of static."""
    static = found[()][0].cost
    return min(found, key=lambda subset: (found[subset][0].cost + MIN_GAIN * static * len(subset), subset))


def _removed(
    candidates: Sequence[Candidate],
    kept: tuple[int, ...],
    found: dict[tuple[int, ...], tuple[Choice, CostReport]],
    limit: Limit,
) -> tuple[RemovedExit, ...]:
    removed = []
    for index, candidate in enumerate(candidates):
        if index in kept:
            continue
        rivals = [choice.cost for subset, (choice, _) in found.items() if index in subset]
        reason = _why_removed(limit, min(rivals, default=None), found[kept][0].cost, found[()][0].cost)
        # Kept exits are numbered anew, so the old number would be another exit's.
        name = (
            f"{candidate.head} head at {candidate.mount}" if candidate.head else f"exit at {candidate.mount}"
        )
        removed.append(RemovedExit(name=name, mount_name=candidate.mount, reason=reason))
    return tuple(removed)


def _why_removed(limit: Limit, with_it: float | None, without: float, static: float) -> str:
    kind = "estimated drop" if limit.optimistic else "upper 90 % bound of the drop"
    if with_it is None:
        return (
            f"no thresholds here keep the {kind} on val (and the mean drop over neighbouring thresholds) "
            f"within {limit.max_drop:g} points"
        )
    return (
        f"the best network with it costs {100 * with_it / static:.1f} % of static on val, the one without it "
        f"{100 * without / static:.1f} %; an exit must save {100 * MIN_GAIN:g} %"
    )


def oversized(val: Answers, thresholds: Sequence[np.float32]) -> list[str]:
    """Return a warning if nothing ever reaches the final exit."""
    deepest = int(leaves_at(val.confidence, thresholds).max())
    if deepest == len(thresholds):
        return []
    return [f"no val image gets past exit_{deepest}: within the allowed drop this task needs nothing deeper"]
