"""What a network leaves in the memories between two inferences, and between two stages of one: as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StoreUse:
    """What a network takes of a store.

    Attributes:
        name: Of the store in the machine.
        outer: It is the one in which inputs and weights lie at the start.
        capacity_bits: ``None`` is no limit.
        kept_bits: Of weights that lie there for good.
        peak_bits: The most that lies there at any time, weights included.
    """

    name: str
    outer: bool
    capacity_bits: int | None
    kept_bits: int
    peak_bits: int


@dataclass(frozen=True)
class StageBoundary:
    """What an inference has in the memories when a stage is over and another one is to come.

    Attributes:
        exit: Name of the exit that was not taken.
        bits: Of tensors that later stages read, by store.
        out_cycles: To move those on chip to the outer store, one after another.
        out_pj: Energy of that.
        back_cycles: To move them back.
        back_pj: Energy of that.
    """

    exit: str
    bits: Mapping[str, int]
    out_cycles: int
    out_pj: float
    back_cycles: int
    back_pj: float


@dataclass(frozen=True)
class Residence:
    """What a network leaves in the memories.

    Attributes:
        load_bits: Of weights that stay on chip, each copy counted.
        load_cycles: To bring them from the outer store, one after another: the first inference takes so much
            longer, and each one behind an inference of another network that took their place.
        load_pj: Energy of that.
        stores: Every store of the machine.
        boundaries: Of each exit but the last.
    """

    load_bits: int
    load_cycles: int
    load_pj: float
    stores: tuple[StoreUse, ...]
    boundaries: tuple[StageBoundary, ...]
