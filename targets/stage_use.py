"""What a stage of a network takes of an accelerator while it runs: as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageUse:
    """When a stage takes what, in cycles from its first.

    Attributes:
        cycles: From its first to its last.
        busy: Of each core, link and port that it uses, by name, the spans in which it does: first cycle and
            first cycle behind, rising and apart. One that it takes a part of is in use.
        bits: The most that it has in each store, by name, beside weights that are kept there.
    """

    cycles: int
    busy: dict[str, tuple[tuple[int, int], ...]]
    bits: dict[str, int]
