"""The order in which mounts are recommended."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

EARLY, LATE = 0.10, 0.85
WIDE = 2


@dataclass(frozen=True)
class LegalMount:
    """A legal mount.

    Attributes:
        tensor: Its name.
        fraction: Share of the multiply-accumulates in front of it, 0 to 1.
        shape: [batch, channels, spatial …].
        joins: Whether a skip connection ends in it.
    """

    tensor: str
    fraction: float
    shape: tuple[int, ...]
    joins: bool


@dataclass(frozen=True)
class Ranked:
    """A place in the order, 1 is the best, and what speaks for it."""

    place: int
    reason: str


def rank(candidates: list[LegalMount]) -> dict[str, Ranked]:
    """Rank ``candidates``, which stand in the order of the network.

    The score of a mount is

        1 if a block ends there + 1 if its MACs fraction lies in [0.10, 0.85]
        - 1 if it is wide + 2 * gap

    A block ends where a skip connection does (the sum or its activation), and at the last mount of
    each spatial size that is not wide. Wide means more than twice the channels of the narrowest
    mount of the same spatial size: the inside of an inverted bottleneck. ``gap`` is the distance in
    MACs fraction to the nearest of: the input (0), the final exit (1), mounts already ranked. So the
    first N are spread over the network, and N + 1 of them contain the first N. Ties go to the
    earlier mount.
    """
    narrowest: dict[tuple[int, ...], int] = {}
    for candidate in candidates:
        space, channels = candidate.shape[2:], candidate.shape[1]
        narrowest[space] = min(narrowest.get(space, channels), channels)
    wide = {c.tensor for c in candidates if c.shape[1] > WIDE * narrowest[c.shape[2:]]}
    last = {c.shape[2:]: c.tensor for c in candidates if c.tensor not in wide}
    ends = {c.tensor for c in candidates if c.joins or last.get(c.shape[2:]) == c.tensor}

    def score(index: int) -> float:
        candidate = candidates[index]
        inside = EARLY <= candidate.fraction <= LATE
        fixed = (candidate.tensor in ends) + inside - (candidate.tensor in wide)
        return round(fixed + 2 * gaps[index], 9)

    gaps = [min(c.fraction, 1.0 - c.fraction) for c in candidates]
    waiting = [(-score(index), index) for index in range(len(candidates))]
    heapq.heapify(waiting)
    chosen: dict[str, Ranked] = {}
    while waiting:
        value, index = heapq.heappop(waiting)
        best = candidates[index]
        if best.tensor in chosen or value != -score(index):  # entered anew when its gap shrank
            continue
        gaps[index] = 0.0
        chosen[best.tensor] = Ranked(len(chosen) + 1, _praise(best, ends, wide))
        for side in (range(index + 1, len(candidates)), range(index - 1, -1, -1)):
            for other in side:  # fractions grow along the network: beyond the first that is no nearer none is
                gap = abs(candidates[other].fraction - best.fraction)
                if gap >= gaps[other]:
                    break
                gaps[other] = gap
                heapq.heappush(waiting, (-score(other), other))
    return chosen


def _praise(candidate: LegalMount, ends: set[str], wide: set[str]) -> str:
    parts = []
    if candidate.tensor in ends:
        parts.append("a skip connection ends here" if candidate.joins else "last narrow tensor of its size")
    else:
        parts.append("inside a block")
    if candidate.tensor in wide:
        parts.append("wide")
    if not EARLY <= candidate.fraction <= LATE:
        parts.append("very early" if candidate.fraction < EARLY else "very late")
    return f"{', '.join(parts)}: {candidate.fraction:.0%} of the MACs run before it"
