"""The best choices of one scheme per layer, where what each costs and loses adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Partial mappings that are kept at once; of more, those that divide the range of costs evenly.
MOST_KEPT = 4096


@dataclass(frozen=True)
class SchemeChoice:
    """One scheme for one layer.

    Attributes:
        scheme: Its name.
        cost: What the network costs more with it than in its usual scheme; negative where it saves.
        loss: How much farther its answers are from those in float.
    """

    scheme: str
    cost: float
    loss: float


@dataclass(frozen=True)
class SchemeMapping:
    """One scheme for each layer, with the sums of what they cost and lose."""

    schemes: tuple[str, ...]
    cost: float
    loss: float


def cheapest(layers: Sequence[Sequence[SchemeChoice]], most_kept: int = MOST_KEPT) -> list[SchemeMapping]:
    """Return the mappings that no other beats in both sums, cheap to dear: the loss falls as the cost rises.

    Layer by layer, partial mappings that another beats are dropped: what follows adds the same to both. The
    answer is exact as long as no more than ``most_kept`` are left at once.

    Args:
        layers: Per layer, what may be chosen for it.
        most_kept: How many partial mappings go on.
    """
    found = [SchemeMapping((), 0.0, 0.0)]
    for choices in layers:
        longer = [
            SchemeMapping((*one.schemes, choice.scheme), one.cost + choice.cost, one.loss + choice.loss)
            for one in found
            for choice in choices
        ]
        found = _evenly(_unbeaten(longer), most_kept)
    return found


def _unbeaten(mappings: Sequence[SchemeMapping]) -> list[SchemeMapping]:
    found: list[SchemeMapping] = []
    for one in sorted(mappings, key=lambda m: (m.cost, m.loss, m.schemes)):
        if not found or one.loss < found[-1].loss:
            found.append(one)
    return found


def _evenly(mappings: list[SchemeMapping], count: int) -> list[SchemeMapping]:
    """Return ``count`` of ``mappings``, ends included, as evenly as their costs allow."""
    if len(mappings) <= count:
        return mappings
    low, high = mappings[0].cost, mappings[-1].cost
    places: dict[int, SchemeMapping] = {}
    for one in mappings:
        place = round((one.cost - low) / (high - low) * (count - 1))
        places.setdefault(place, one)
    places[count - 1] = mappings[-1]
    return [places[place] for place in sorted(places)]


def spread(mappings: Sequence[SchemeMapping], count: int) -> list[SchemeMapping]:
    """Return at most ``count`` (2 or more) of a front, ends included, as evenly as their costs allow."""
    return _evenly(list(mappings), count)
