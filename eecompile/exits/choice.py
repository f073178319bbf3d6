"""Which of the exits that were tried a network keeps, and with which thresholds."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, CandidateExit, Evaluation, Figures
from eecompile.exits.removed import RemovedExit
from eecompile.exits.thresholds import leaves_at
from passes.errors import NoSolutionError
from targets.evaluation.report import CostReport

# What an exit more must save, in points of static: less is within the noise of a validation set, and not
# worth its weights.
MIN_GAIN = 2.0


@dataclass(frozen=True)
class ExitChoice:
    """The exits of the files.

    Attributes:
        kept: The exits of the files, and their figures.
        figures: What is known of the network with these exits.
        static: Costs of the network without exits.
        removed: The other exits that were tried, with the reason.
        never_taken: Numbers of the kept exits that no threshold makes acceptable: no image leaves there.
        min_gain: What an exit more had to save, in points of static; ``None`` where all mounts were kept.
        among: The networks that it was chosen from.
    """

    kept: Candidate
    figures: Figures
    static: CostReport
    removed: tuple[RemovedExit, ...]
    never_taken: tuple[int, ...] = ()
    min_gain: float | None = None
    among: tuple[Candidate, ...] = ()


def choose_exits(evaluation: Evaluation, speculate: bool = False, min_gain: float = MIN_GAIN) -> ExitChoice:
    """Choose among the subsets of the exits that were tried the cheapest on val whose exits are all of use.

    An exit is, where images leave at it or it is asked by the rule of one behind it at which they do.

    Args:
        evaluation: Of networks with some of the exits; of those on one mount, one at most is kept.
        speculate: The next stage may start while a head decides, in the costs of the network that is chosen.
        min_gain: What an exit more must save, in points of static.
    """
    worth = min_gain / 100 * evaluation.evaluate(Candidate()).value

    def value(candidate: Candidate) -> float:
        if evaluation.idle(candidate) or not evaluation.evaluate(candidate).allowed:
            return math.inf
        return evaluation.evaluate(candidate).value + worth * len(candidate.exits)

    among = tuple(networks_of(evaluation))
    kept = _cheapest(
        evaluation,
        among,
        value,
        lambda candidate: evaluation.at_least(candidate) + worth * len(candidate.exits),
    )
    return _chosen(evaluation, kept, among, speculate, min_gain)


def choose_heads(evaluation: Evaluation, speculate: bool = False) -> ExitChoice:
    """Keep an exit on every mount that was tried, with the head that makes the network cheapest on val."""
    among = tuple(networks_on_all_mounts(evaluation))
    kept = _cheapest(
        evaluation,
        among,
        lambda candidate: evaluation.evaluate(candidate).value,
        evaluation.at_least,
    )
    return _chosen(evaluation, kept, among, speculate, None)


def _cheapest(
    evaluation: Evaluation,
    candidates: Iterable[Candidate],
    value: Callable[[Candidate], float],
    at_least: Callable[[Candidate], float],
) -> Candidate:
    """Return the candidate of least value; those that cannot have it are never scheduled, or only once.

    What bounds least is looked at first: scheduled for equal shares, which bounds it anew, then evaluated.

    Raises:
        NoSolutionError: None keeps the constraints, or the target can run none.
    """
    best: tuple[float, tuple[int, ...], Candidate] | None = None
    queue = [(at_least(c), number, c) for number, c in enumerate(candidates)]
    heapq.heapify(queue)
    while queue and (best is None or queue[0][0] <= best[0]):
        _, number, candidate = heapq.heappop(queue)
        if evaluation.schedule(candidate):
            heapq.heappush(queue, (at_least(candidate), number, candidate))
            continue
        try:
            found = (value(candidate), evaluation.evaluate(candidate).kept, candidate)
        except NoSolutionError:
            if evaluation.refusal(candidate) is None:
                raise
            continue
        if best is None or found[:2] < best[:2]:
            best = found
    if best is None or math.isinf(best[0]):
        raise evaluation.nothing_allowed()
    return best[2]


def networks_on_all_mounts(evaluation: Evaluation) -> Iterator[Candidate]:
    """Yield every network with an exit on each mount that was tried."""
    yield from filter(evaluation.is_network, map(Candidate, itertools.product(*_by_mount(evaluation))))


def networks_of(evaluation: Evaluation) -> Iterator[Candidate]:
    """Yield every network with some of the exits, one head per mount, the fewest first."""
    position = {item: number for number, item in enumerate(evaluation.tried)}
    some = (
        tuple(sorted(filter(None, exits), key=position.__getitem__))
        for exits in itertools.product(*((None, *rivals) for rivals in _by_mount(evaluation)))
    )
    ordered = sorted(some, key=lambda exits: (len(exits), [position[item] for item in exits]))
    yield from filter(evaluation.is_network, map(Candidate, ordered))


def _by_mount(evaluation: Evaluation) -> list[list[CandidateExit]]:
    mounts = dict.fromkeys(item.mount for item in evaluation.tried)
    return [[item for item in evaluation.tried if item.mount == mount] for mount in mounts]


def _chosen(
    evaluation: Evaluation,
    kept: Candidate,
    among: tuple[Candidate, ...],
    speculate: bool,
    min_gain: float | None,
) -> ExitChoice:
    static = evaluation.evaluate(Candidate())
    removed = tuple(
        RemovedExit(
            name=str(item), mount_name=item.mount, reason=_why_removed(evaluation, item, kept, min_gain)
        )
        for item in evaluation.tried
        if item not in kept.exits
    )
    figures = evaluation.evaluate(kept, speculate)
    never = evaluation.never_taken(kept)
    return ExitChoice(kept, figures, static.costs, removed, never, min_gain, among)


def _why_removed(evaluation: Evaluation, item: CandidateExit, kept: Candidate, min_gain: float | None) -> str:
    """Return why an exit is not kept: what a network with it costs, or is expected to cost at least."""
    with_item = [c for c in evaluation.seen if item in c.exits]
    seen = [c for c in with_item if evaluation.refusal(c) is None]
    if with_item and not seen:
        return f"the target runs no network with it that was tried: {evaluation.refusal(with_item[0])}"
    if not evaluation.is_ever_taken(item):
        return f"no thresholds here keep {evaluation.limit}"
    static = evaluation.evaluate(Candidate()).value
    evaluated = [
        c
        for c in seen
        if evaluation.is_evaluated(c) and evaluation.evaluate(c).allowed and not evaluation.never_taken(c)
    ]
    rival = min(evaluated or seen, key=evaluation.at_least)
    if math.isinf(evaluation.at_least(rival)):
        return "no thresholds of a network with it keep the constraints"
    with_it, without = (100 * evaluation.at_least(c) / static for c in (rival, kept))
    compared = (
        f"the best network with it costs {with_it:.1f} % of static on val, the kept one {without:.1f} %"
        if evaluated
        else f"a network with it costs over {with_it:.1f} % of static on val, the kept one {without:.1f} %"
    )
    if other := next((k for k in kept.exits if k.mount == item.mount), None):
        return f"{compared} with the {other}"
    more = len(rival.exits) - len(kept.exits)
    if min_gain is None or with_it >= without or more < 1:
        return compared
    saves = f"{'' if evaluated else 'at most '}{(without - with_it) / more:.1f} points of static"
    return f"{compared}: an exit more saves {saves}, less than the {min_gain:g} asked for (`min_gain`)"


def oversized(val: Answers, thresholds: Sequence[np.float32], *, given: bool = False) -> list[str]:
    """Return a warning if nothing ever reaches the final exit; ``given``: thresholds were not chosen."""
    deepest = int(leaves_at(val.confidence, thresholds).max())
    if deepest == len(thresholds):
        return []
    within = "with these thresholds" if given else "within the allowed drop"
    return [f"no val image gets past exit_{deepest}: {within} this task needs nothing deeper"]


def unacceptable(evaluation: Evaluation, chosen: ExitChoice) -> list[str]:
    """Return a warning for each exit that was asked for and that no image leaves at."""
    return [
        f"no image leaves at exit_{number} (the {chosen.kept.exits[number]}): no threshold there keeps "
        f"{evaluation.limit}; the exit stays because it was asked for, and costs every image its head"
        for number in chosen.never_taken
    ]
