"""A core as one layer sees it while tensors stay in its memories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.cost.model.nest import LoopNest, Shape
from targets.description.hierarchy import Hierarchy, MemoryLevel


@dataclass(frozen=True)
class Residency:
    """What stays on chip around one layer.

    Attributes:
        core: The core whose memories these are.
        operands: Operands of the layer that stay on chip: name, memory, bits of their tensors.
        reserved: Bits other tensors take while the layer runs, per memory.
    """

    core: str
    operands: tuple[tuple[str, str, int], ...] = ()
    reserved: tuple[tuple[str, int], ...] = ()

    def seen_by(self, nest: LoopNest) -> Residency:
        """Return this with what a layer leaves untouched of its tensors reserved beside it.

        The engine counts the elements a layer reads; a strided 1x1 convolution reads a quarter of a
        tensor that is there as a whole.
        """
        shape = Shape(nest)
        full = np.array([float(size) for _, size in nest.loops])
        reserved = dict(self.reserved)
        for operand, memory, bits in self.operands:
            used = (
                float(shape.footprint(operand, full)) * shape.bits["O_final" if operand == "O" else operand]
            )
            reserved[memory] = reserved.get(memory, 0) + max(0, bits - math.floor(used))
        own = tuple((operand, memory, 0) for operand, memory, _ in self.operands)
        return Residency(self.core, own, tuple(sorted(reserved.items())))


def tensor_stores(hierarchy: Hierarchy, operand: str, offchip: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """Return memories a whole tensor of ``operand`` can stay in and their bits, outermost first.

    Memories that are repeated over the array hold parts of tensors and are left out.
    """
    whole = set(hierarchy.array.dimensions)
    chain = reversed(hierarchy.levels(operand))
    return tuple(
        (name, level.size_bits)
        for name, level in chain
        if name not in offchip and whole <= set(level.served_dimensions)
    )


def without_trips(hierarchy: Hierarchy, residency: Residency, links: Mapping[str, str]) -> Hierarchy:
    """Return ``hierarchy`` in which resident operands have no memory above the one they stay in.

    Args:
        hierarchy: The core.
        residency: What stays where, as :meth:`Residency.seen_by` gives it.
        links: Operands that use the memories of another one.
    """
    top = {links.get(operand, operand): memory for operand, memory, _ in residency.operands}
    reserved = dict(residency.reserved)
    memories: dict[str, MemoryLevel] = {}
    above: set[str] = set()
    for name, level in hierarchy.memories.items():
        changed = _without(level, above)
        if changed is not None:
            size_bits = max(1, level.size_bits - reserved.get(name, 0))
            memories[name] = changed.model_copy(update={"size_bits": size_bits})
        above |= {operand for operand, memory in top.items() if memory == name}
    return Hierarchy(array=hierarchy.array, memories=memories, dataflow=hierarchy.dataflow)


def _without(level: MemoryLevel, operands: set[str]) -> MemoryLevel | None:
    """Return ``level`` without some operands and their transfers; ``None`` if it then holds nothing."""
    kept = tuple(op for op in level.operands if op not in operands)
    if not kept:
        return None
    ports = tuple(
        port.model_copy(update={"serves": serves})
        for port in level.ports
        if (serves := tuple(t for t in port.serves if t.split()[0] not in operands))
    )
    return level.model_copy(update={"operands": kept, "ports": ports})
