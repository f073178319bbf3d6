"""Which of the exits that were tried a network keeps, and with which thresholds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, CandidateExit, Evaluation, Figures
from eecompile.exits.removed import RemovedExit
from eecompile.exits.thresholds import leaves_at
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
    """

    kept: Candidate
    figures: Figures
    static: CostReport
    removed: tuple[RemovedExit, ...]
    never_taken: tuple[int, ...] = ()
    min_gain: float | None = None


def choose_exits(evaluation: Evaluation, speculate: bool = False, min_gain: float = MIN_GAIN) -> ExitChoice:
    """Choose among the subsets of the exits that were tried the cheapest on val whose exits are all taken.

    Args:
        evaluation: Of networks with some of the exits; of those on one mount, one at most is kept.
        speculate: The next stage may start while a head decides, in the costs of the network that is chosen.
        min_gain: What an exit more must save, in points of static.
    """
    static = evaluation.evaluate(Candidate())
    found = {Candidate(): static.value}
    for candidate in _subsets(evaluation.tried):
        if candidate.exits and not evaluation.never_taken(candidate):
            found[candidate] = evaluation.evaluate(candidate).value
    worth = min_gain / 100 * static.value
    kept = min(found, key=lambda c: (found[c] + worth * len(c.exits), _positions(evaluation, c)))
    return _chosen(evaluation, kept, found, speculate, min_gain)


def choose_heads(evaluation: Evaluation, speculate: bool = False) -> ExitChoice:
    """Keep an exit on every mount that was tried, with the head that makes the network cheapest on val."""
    mounts = dict.fromkeys(item.mount for item in evaluation.tried)
    rivals = [[item for item in evaluation.tried if item.mount == mount] for mount in mounts]
    found = {
        candidate: evaluation.evaluate(candidate).value
        for candidate in map(Candidate, itertools.product(*rivals))
    }
    kept = min(found, key=lambda c: (found[c], _positions(evaluation, c)))
    return _chosen(evaluation, kept, found, speculate, None)


def _subsets(tried: Sequence[CandidateExit]) -> Iterator[Candidate]:
    """Yield every choice of exits with one head per mount, the fewest first."""
    for size in range(len(tried) + 1):
        for exits in itertools.combinations(tried, size):
            if len({item.mount for item in exits}) == size:
                yield Candidate(exits)


def _positions(evaluation: Evaluation, candidate: Candidate) -> tuple[int, ...]:
    return evaluation.evaluate(candidate).kept


def _chosen(
    evaluation: Evaluation,
    kept: Candidate,
    found: dict[Candidate, float],
    speculate: bool,
    min_gain: float | None,
) -> ExitChoice:
    static = evaluation.evaluate(Candidate())
    removed = []
    for item in evaluation.tried:
        if item not in kept.exits:
            rival = min((c for c in found if item in c.exits), key=found.__getitem__, default=None)
            reason = _why_removed(evaluation, item, rival, kept, min_gain)
            removed.append(RemovedExit(name=str(item), mount_name=item.mount, reason=reason))
    figures = evaluation.evaluate(kept, speculate)
    return ExitChoice(kept, figures, static.costs, tuple(removed), evaluation.never_taken(kept), min_gain)


def _why_removed(
    evaluation: Evaluation,
    item: CandidateExit,
    rival: Candidate | None,
    kept: Candidate,
    min_gain: float | None,
) -> str:
    """Return why an exit is not kept; ``rival`` is the best network with it."""
    if rival is None:
        return f"no thresholds here keep {evaluation.limit}"
    static = evaluation.evaluate(Candidate()).value
    with_it, without = (100 * evaluation.evaluate(c).value / static for c in (rival, kept))
    compared = (
        f"the best network with it costs {with_it:.1f} % of static on val, the kept one {without:.1f} %"
    )
    if other := next((k for k in kept.exits if k.mount == item.mount), None):
        return f"{compared} with the {other}"
    more = len(rival.exits) - len(kept.exits)
    if min_gain is None or with_it >= without or more < 1:
        return compared
    saved = (without - with_it) / more
    return (
        f"{compared}: an exit more saves {saved:.1f} points of static, less than the {min_gain:g} asked for "
        "(`min_gain`)"
    )


def oversized(val: Answers, thresholds: Sequence[np.float32]) -> list[str]:
    """Return a warning if nothing ever reaches the final exit."""
    deepest = int(leaves_at(val.confidence, thresholds).max())
    if deepest == len(thresholds):
        return []
    return [f"no val image gets past exit_{deepest}: within the allowed drop this task needs nothing deeper"]


def unacceptable(evaluation: Evaluation, chosen: ExitChoice) -> list[str]:
    """Return a warning for each exit that was asked for and that no image leaves at."""
    return [
        f"no image leaves at exit_{number} (the {chosen.kept.exits[number]}): no threshold there keeps "
        f"{evaluation.limit}; the exit stays because it was asked for, and costs every image its head"
        for number in chosen.never_taken
    ]
