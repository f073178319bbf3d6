"""Cores and layers of a few elements, whose figures can be worked out by hand."""

from __future__ import annotations

import numpy as np

from targets.cost.model.allocation import Levels
from targets.cost.model.batch import Batch
from targets.cost.model.nest import LoopNest, Shape
from targets.cost.model.unrolling import Placed, place
from targets.description.hierarchy import Hierarchy, MacArray, MemoryLevel, OperandName, Port
from targets.description.mapping import Mapping

WIDE = 4096
LARGE = 10**6


def memory(
    operands: str, size_bits: int, ports: dict[str, int], served: tuple[str, ...] = (), energy_pj: float = 1.0
) -> MemoryLevel:
    """Return a memory; ``ports`` maps what each serves, such as ``"I to_below, O to_above"``, to its bits."""
    held: tuple[OperandName, ...] = tuple(op for op in ("W", "I", "O") if op in operands)
    made = tuple(
        Port(name=f"port_{i}", bandwidth_bits_per_cycle=bits, serves=tuple(serves.split(", ")))
        for i, (serves, bits) in enumerate(ports.items())
    )
    return MemoryLevel(
        size_bits=size_bits,
        read_energy_pj=energy_pj,
        write_energy_pj=energy_pj,
        operands=held,
        ports=made,
        served_dimensions=served,
    )


def register(operand: str, size_bits: int = LARGE, served: tuple[str, ...] = ()) -> MemoryLevel:
    """Return a memory of one input that is filled and read over wide ports."""
    return memory(operand, size_bits, {f"{operand} from_above": WIDE, f"{operand} to_below": WIDE}, served)


def outer(ports: dict[str, int], dimensions: dict[str, int]) -> MemoryLevel:
    """Return a memory of everything; what ``ports`` leaves out has wide ports of its own."""
    named = {serves for group in ports for serves in group.split(", ")}
    moves = ("W to_below", "I to_below", "O to_below", "O from_below")
    rest = {move: WIDE for move in moves if move not in named}
    return memory("WIO", LARGE, ports | rest, tuple(dimensions))


def core(dimensions: dict[str, int], /, **levels: MemoryLevel) -> Hierarchy:
    """Return a core with its memories, innermost first."""
    return Hierarchy(array=MacArray(dimensions=dimensions, operation_energy_pj=1.0), memories=levels)


def matmul(d: int = 1, c: int = 1, k: int = 1) -> LoopNest:
    """Return ``O[d][k] += I[d][c] * W[c][k]`` in eight bits."""
    return LoopNest(
        (("C", c), ("D", d), ("K", k)),
        ("O", "I", "W"),
        (("O", frozenset({"D", "K"})), ("I", frozenset({"D", "C"})), ("W", frozenset({"C", "K"}))),
        (),
        (("W", 8), ("I", 8), ("O", 8), ("O_final", 8)),
    )


def mapped(
    nest: LoopNest, level: Hierarchy, *mappings: Mapping, links: dict[str, str] | None = None
) -> tuple[Batch, Levels, Placed]:
    """Return mappings with one unrolling and the same factors as the cost functions take them."""
    shape = Shape(nest)
    count, length = len(mappings), len(mappings[0].loops)
    loops = np.array([[shape.index[loop] for loop, _ in m.loops] for m in mappings], np.int64)
    sizes = np.array([[size for _, size in m.loops] for m in mappings], np.int64)
    levels = {op: list(np.array([m.levels[op] for m in mappings]).T) for op in nest.operands}
    batch = Batch(shape, loops.reshape(count, length), sizes.reshape(count, length))
    return batch, levels, place(shape, level, mappings[0].spatial, links or {})
