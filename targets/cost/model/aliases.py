"""Rules written for convolutions, read for layers that have nothing but channels."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import replace

from targets.cost.model.nest import LoopNest
from targets.description.mapping import MappingRule, Unrolling

CHANNELS = "G"
# What mapping files call the channels of poolings and element-wise work.
_ALSO_CHANNELS = ("K", "C")


def rule_on(nest: LoopNest, rule: MappingRule, dataflow: Unrolling) -> MappingRule:
    """Return ``rule`` in the loops of ``nest``, with the unrolling of the core where it gives none.

    1. ``K`` and ``C`` mean the channels ``G`` of a layer that has neither of them.
    2. Without a spatial wish or hint, the dataflow the core is built for is the wish.
    """
    spatial = rule.spatial or ({} if rule.hint else dataflow)
    names = {loop for loop, _ in nest.loops}
    if CHANNELS not in names or names & set(_ALSO_CHANNELS):
        return rule if spatial is rule.spatial else replace(rule, spatial=spatial)
    order: list[tuple[str, int | None]] = []
    for loop, factor in rule.order:
        entry = (_alias(loop), factor)
        # Two loops left open are one loop left open once they mean the same.
        if factor is not None or entry not in order:
            order.append(entry)
    return replace(
        rule,
        spatial={dimension: _joined(factors) for dimension, factors in spatial.items()},
        hint={d: tuple(dict.fromkeys(map(_alias, loops))) for d, loops in rule.hint.items()},
        order=tuple(order),
    )


def _alias(loop: str) -> str:
    return CHANNELS if loop in _ALSO_CHANNELS else loop


def _joined(factors: MappingType[str, int]) -> dict[str, int]:
    joined: dict[str, int] = {}
    for loop, factor in factors.items():
        joined[_alias(loop)] = joined.get(_alias(loop), 1) * factor
    return joined
