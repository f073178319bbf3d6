"""What a scheduler needs to know of an accelerator: stores, what moves data between them, who shares it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# The store in which inputs and weights of the network lie at the start, and its outputs at the end.
OUTER = "offchip"
# What runs and moves take by turns where transfers do not overlap compute; it is no part of the hardware.
TURNS = "turns"


@dataclass(frozen=True)
class Word:
    """One access of a port: its width, the smallest part of it that can be had, and its energy."""

    width_bits: int
    energy_pj: float = 0.0
    granularity_bits: int | None = None

    def energy_of(self, bits: int) -> float:
        """Return the energy in pJ of moving ``bits``; a part of a word costs its share."""
        step = self.granularity_bits or self.width_bits
        return math.ceil(bits / step) * step / self.width_bits * self.energy_pj


@dataclass(frozen=True)
class Store:
    """A memory that holds whole tensors.

    Attributes:
        size_bits: Capacity; ``None`` is no limit.
        read: Words that leave it.
        write: Words that come in.
    """

    name: str
    size_bits: int | None
    read: Word
    write: Word


@dataclass(frozen=True)
class Route:
    """One way from a store to another.

    Attributes:
        uses: Resources it takes and how much of each, all at once while it moves.
        bandwidth_bits_per_cycle: Bits per cycle of the narrowest part.
        energy_pj_per_bit: Energy of the wires.
        setup_cycles: Cycles before the first bit.
    """

    uses: tuple[tuple[str, float], ...]
    bandwidth_bits_per_cycle: float
    energy_pj_per_bit: float = 0.0
    setup_cycles: int = 0

    def cycles(self, bits: int) -> int:
        """Return the cycles of moving ``bits``."""
        # Quotients such as 21 / 0.7 land a rounding error above an integer.
        return self.setup_cycles + math.ceil(bits / self.bandwidth_bits_per_cycle * (1 - 1e-12))


@dataclass(frozen=True)
class Machine:
    """Stores, routes and resources of an accelerator.

    Attributes:
        capacities: How much of each resource there is: 1 for what does one thing at a time, bits per cycle
            for links and ports off chip.
        stores: By name; :data:`OUTER` is one of them.
        operand_stores: By core and operand (``W``, ``I``, ``O``) the store that holds whole tensors of it;
            an operand that is left out is read and written in :data:`OUTER`.
        routes: By source and destination, the ways worth considering. Stores without one exchange data
            through :data:`OUTER`.
        streaming: What a core takes of the way to :data:`OUTER` while it works on operands that lie there.
        runs_take: Resources every run takes, such as a host that waits for it.
        moves_take: Resources every move takes.
        word_bits: Tensors that layers read and write are padded to whole words of so many bits.
    """

    capacities: Mapping[str, float]
    stores: Mapping[str, Store]
    operand_stores: Mapping[tuple[str, str], str]
    routes: Mapping[tuple[str, str], tuple[Route, ...]]
    streaming: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    runs_take: tuple[tuple[str, float], ...] = ()
    moves_take: tuple[tuple[str, float], ...] = ()
    word_bits: int = 1

    def store_of(self, core: str, operand: str) -> str:
        """Return the store ``core`` has ``operand`` in."""
        return self.operand_stores.get((core, operand), OUTER)
