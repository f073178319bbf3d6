"""Energy of a mapping: operations, and word accesses of every transfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from targets.cost.model.nest import Floats
from targets.cost.model.traffic import Chain, served
from targets.description.hierarchy import Hierarchy, Port

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
    """Return the accesses of every transfer; infinite energy where data moves and no port moves it."""
    result = []
    for found in served(hierarchy, chains, links):
        move, memory = found.move, found.memory
        if found.port is None:
            moved = move.count * move.elements * move.bits > 0
            if moved.any():
                lost = np.where(moved, np.inf, 0.0)
                result.append(Access(move.operand, found.name, move.direction, lost, lost))
            continue
        units = float(found.chain.spread.units[move.level + 1])
        words = moved_words(found.port, move.elements, move.bits, move.count, units)
        cost = memory.read_energy_pj if move.direction in READS else memory.write_energy_pj
        result.append(Access(move.operand, found.name, move.direction, words, words * cost))
    return result
