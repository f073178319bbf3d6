"""Energy of a mapping: operations, and word accesses of every transfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from targets.cost.nest import Floats
from targets.cost.traffic import Chain
from targets.hierarchy import Hierarchy, Port

READS = ("to_above", "to_below")


@dataclass(frozen=True)
class Access:
    """Accesses of one operand, memory and direction; arrays ``[N]``."""

    operand: str
    memory: str
    direction: str
    words: Floats
    energy_pj: Floats


def moved_words(port: Port, elements: Floats, bits: float | Floats, count: Floats, units: float) -> Floats:
    """Return the words a transfer takes in all its periods and all instances of its memory.

    A period's bits are moved in units of the port's granularity, each costing its share of a word; words are
    counted whole per transfer. Source: ZigZag 3.8.5.
    """
    word = port.bandwidth_bits_per_cycle
    unit = port.granularity_bits or word
    return np.asarray(np.trunc(np.ceil(elements * bits / unit) * (unit / word) * count * units))


def accesses(hierarchy: Hierarchy, chains: dict[str, Chain], links: dict[str, str]) -> list[Access]:
    """Return the accesses of every transfer.

    Raises:
        ValueError: Data moves where the memory has no port for it; ``targets.hierarchy`` rules that out.
    """
    result = []
    for op, chain in chains.items():
        levels = hierarchy.levels(links.get(op, op))
        for move in chain.transfers():
            name, memory = levels[move.level]
            port = memory.port_of(links.get(op, op), move.direction)
            if port is None:
                if np.any(move.count * move.elements * move.bits):
                    raise ValueError(f"memory '{name}' has no port for '{op} {move.direction}'")
                continue
            units = float(chain.spread.units[move.level + 1])
            words = moved_words(port, move.elements, move.bits, move.count, units)
            cost = memory.read_energy_pj if move.direction in READS else memory.write_energy_pj
            result.append(Access(op, name, move.direction, words, words * cost))
    return result
