"""Whether the memories of a core reach its array: what each must offer beyond being well formed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from targets.description.hierarchy import OPERANDS, Hierarchy


def check_array_access(hierarchy: Hierarchy, own: Iterable[str]) -> None:
    """Check that data can get from every level to the array and back.

    Rules:
        1. Each array dimension longer than one is served by some memory of the core itself; else its parts
           share nothing before the memories off chip, which serve all.
        2. The innermost memory of an operand has a port to the array, and that of O also one from it.
        3. No memory is smaller than one below it that holds the same operand: the outer holds what the
           inner holds, so this is what levels in the wrong order look like.

    Args:
        hierarchy: The array with all memories.
        own: Names of those that are not off chip.

    Raises:
        ValueError: A rule is broken; the message starts with the path and ends with the fix.
    """
    served = {d for name in own for d in hierarchy.memories[name].served_dimensions}
    for dimension, size in hierarchy.array.dimensions.items():
        if size > 1 and dimension not in served:
            raise ValueError(
                f"memories: none serves array dimension '{dimension}'; "
                "add it to the served_dimensions of the memories its parts share"
            )
    for operand in OPERANDS:
        chain = hierarchy.levels(operand)
        if chain:
            name, level = chain[0]
            for direction in ("to_below", "from_below") if operand == "O" else ("to_below",):
                if level.port_of(operand, direction) is None:
                    raise ValueError(
                        f"memories.{name}.ports: no port serves '{operand} {direction}', "
                        "yet this level is the one next to the array; add it to a port"
                    )
        for (inner, below), (outer, above) in pairwise(chain):
            if above.size_bits < below.size_bits:
                raise ValueError(
                    f"memories.{outer}: smaller than {inner} below it ({above.size_bits} < {below.size_bits} "
                    f"bits, operand {operand}); list the levels innermost first"
                )
