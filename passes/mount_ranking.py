"""The order in which mounts are recommended."""

from __future__ import annotations

from dataclasses import dataclass

EARLY, LATE = 0.10, 0.85
WIDE = 2


@dataclass(frozen=True)
class Candidate:
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


def rank(candidates: list[Candidate]) -> dict[str, Ranked]:
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

    chosen: dict[str, Ranked] = {}
    taken = [0.0, 1.0]
    left = list(candidates)
    while left:

        def score(candidate: Candidate) -> float:
            gap = min(abs(candidate.fraction - other) for other in taken)
            inside = EARLY <= candidate.fraction <= LATE
            fixed = (candidate.tensor in ends) + inside - (candidate.tensor in wide)
            return round(fixed + 2 * gap, 9)

        best = max(left, key=score)
        left.remove(best)
        taken.append(best.fraction)
        chosen[best.tensor] = Ranked(len(chosen) + 1, _praise(best, ends, wide))
    return chosen


def _praise(candidate: Candidate, ends: set[str], wide: set[str]) -> str:
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
