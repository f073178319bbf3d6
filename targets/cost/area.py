"""Area of a core: its array and its memories."""

from __future__ import annotations

import math

from targets.cost.imc import array_area_mm2
from targets.hierarchy import Hierarchy


def core_area(hierarchy: Hierarchy) -> dict[str, float]:
    """Return area by part, in the unit of the description (mm2 in native files and for in-memory arrays).

    A memory counts once per instance: it is repeated over the array dimensions it does not serve. In-memory
    arrays come with their parts, ``array.adcs`` and so on; others are units times the area of one.

    Returns:
        Area by part; ``array`` or ``array.<part>`` first, then memories by name, those without area left
        out.
    """
    if hierarchy.array.imc is not None:
        parts = {f"array.{name}": area for name, area in array_area_mm2(hierarchy).items()}
    else:
        parts = {"array": hierarchy.array.units * hierarchy.array.operation_area}
    for name, memory in hierarchy.memories.items():
        served = memory.served_dimensions
        instances = math.prod(size for d, size in hierarchy.array.dimensions.items() if d not in served)
        parts[name] = instances * memory.area
    return {name: area for name, area in parts.items() if area}
