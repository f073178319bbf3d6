"""What no mapping of a layer can beat on a core: its arithmetic, or moving one operand once."""

from __future__ import annotations

import math

import numpy as np

from targets.cost.model.nest import Shape
from targets.description.hierarchy import Hierarchy


def ideal_cycles(shape: Shape, hierarchy: Hierarchy) -> float:
    """Return cycles with every unit of the array at work."""
    operations = math.ceil(shape.nest.operations / hierarchy.array.units)
    return math.ceil(operations * hierarchy.array.cycles_per_operation)


def bound_cycles(shape: Shape, hierarchy: Hierarchy, links: dict[str, str]) -> float:
    """Return the larger of the ideal cycles and the cycles to move one operand once.

    Each operand has to leave (inputs) or reach (outputs) its outermost memory once. Operands are not added
    up, because the latency model lets first loads over a shared port run side by side.
    """
    full = np.array([float(size) for _, size in shape.nest.loops])
    bound = ideal_cycles(shape, hierarchy)
    for op in shape.nest.operands:
        chain = hierarchy.levels(links.get(op, op))
        if len(chain) == 1:
            continue
        port = chain[-1][1].port_of(links.get(op, op), "from_below" if op == "O" else "to_below")
        if port is not None:
            bits = float(shape.footprint(op, full)) * shape.bits["O_final" if op == "O" else op]
            bound = max(bound, math.floor(bits / port.bandwidth_bits_per_cycle))
    return bound
