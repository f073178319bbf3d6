"""What an allocation costs at least, from what its memories exchange: to tell which are worth costing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from targets.cost.model.batch import Bools
from targets.cost.model.energy import READS
from targets.cost.model.less_room import Judged
from targets.cost.model.nest import Floats
from targets.description.hierarchy import Hierarchy, Port
from targets.objective import Objective

# Energy counts elements that a memory holds rounded: 1.49 as 1.
_ROUNDED = 2 / 3


class Prospects:
    """Judges allocations of orders with one unrolling against a value that has been reached.

    No mapping takes fewer cycles than its iterations, nor than a port moves in all periods but the first; and
    no less energy than the array and the words of the transfers seen so far.

    Args:
        hierarchy: The core.
        links: Operands that use the memories of another one.
        bits: Of elements per operand; results are ``O_final``.
        objective: What is minimised.
        cycles: Iterations times cycles per operation.
        array_pj: Energy of the array.
        known: The value that must be reached.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        links: dict[str, str],
        bits: dict[str, int],
        objective: Objective,
        cycles: float,
        array_pj: float,
        known: float,
    ) -> None:
        self._hierarchy = hierarchy
        self._links = links
        self._bits = bits
        self._objective = objective
        self._cycles = cycles
        self._array_pj = array_pj
        self._known = known

    def judge(
        self, memory: str, held: dict[str, Floats], fetched: dict[str, Floats], spent: Floats
    ) -> Judged:
        """Judge allocations; see :class:`targets.cost.model.less_room.Judge`."""
        none = np.zeros(len(spent))
        widths: dict[tuple[str, str], float] = {}
        busy: dict[tuple[str, str], Floats] = {}
        new, words_pj, cheapest = spent, 0.0, math.inf
        moved = {op: bits * self._share(op) for op, bits in fetched.items()}
        once = {op: bits * self._share(op) for op, bits in held.items()}
        for op, bits in moved.items():
            per_bit = 0.0
            for name, port, word_pj in self._ends(memory, op):
                key, width = (name, port.name), float(port.bandwidth_bits_per_cycle)
                widths[key] = width
                busy[key] = busy.get(key, none) + (bits - once[op]) / width
                new = new + np.maximum(0.0, bits * _ROUNDED / width - 1) * word_pj
                per_bit += _ROUNDED / width * word_pj
                words_pj += word_pj
            cheapest = min(cheapest, per_bit)
        together = sum(moved.values(), none)
        least_pj = spent + np.maximum(0.0, together * cheapest - words_pj)
        cycles = np.max(np.stack([none, *busy.values()]), axis=0)
        least = (together - sum(once.values(), none)) / sum(widths.values()) if widths else none
        return Judged(self._reaches(cycles, new), self._reaches(least, least_pj), new)

    def _reaches(self, busy: Floats, spent: Floats) -> Bools:
        cycles = np.maximum(self._cycles, busy)
        return np.asarray(self._objective.value(self._array_pj + spent, cycles) <= self._known)

    def _share(self, operand: str) -> float:
        """Return how much of what is held counts as moved at least: sums may leave as results."""
        bits = self._bits
        return bits["O_final"] / bits["O"] if operand == "O" and bits["O"] else 1.0

    def _ends(self, memory: str, operand: str) -> Iterator[tuple[str, Port, float]]:
        """Yield the ports on the way between a memory and the one above: memory, port, energy per word."""
        own = self._links.get(operand, operand)
        chain = self._hierarchy.levels(own)
        place = next(i for i, (name, _) in enumerate(chain) if name == memory)
        result = operand == "O"
        (lower, below), (upper, above) = chain[place : place + 2]
        for name, level, direction in (
            (lower, below, "to_above" if result else "from_above"),
            (upper, above, "from_below" if result else "to_below"),
        ):
            port = level.port_of(own, direction)
            if port is not None:
                reads = direction in READS
                yield name, port, level.read_energy_pj if reads else level.write_energy_pj
