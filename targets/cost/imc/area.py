"""What the descriptions of cores tell beside costs: areas; clock and peak of in-memory arrays."""

from __future__ import annotations

import math

from targets.cost.imc.peak import Peak, array_area_mm2, clock_ns, peak
from targets.description.architecture import Architecture
from targets.description.hierarchy import Hierarchy


def core_areas(arch: Architecture) -> dict[str, dict[str, float]]:
    """Return the area of each core by part; cores whose areas are not known are left out."""
    hierarchies = {core.name: arch.hierarchy(core.name) for core in arch.cores}
    areas = {name: area_parts(h) for name, h in hierarchies.items() if h is not None}
    return {name: parts for name, parts in areas.items() if parts}


def core_clocks_ns(arch: Architecture) -> dict[str, dict[str, float]]:
    """Return the delays that make up the least clock period of in-memory arrays, per core, in ns."""
    hierarchies = {core.name: arch.hierarchy(core.name) for core in arch.cores}
    return {name: clock_ns(h) for name, h in hierarchies.items() if h is not None and h.array.imc}


def core_peaks(arch: Architecture) -> dict[str, Peak]:
    """Return what fully used in-memory arrays reach, per core."""
    hierarchies = {core.name: arch.hierarchy(core.name) for core in arch.cores}
    return {name: peak(h) for name, h in hierarchies.items() if h is not None and h.array.imc}


def area_parts(hierarchy: Hierarchy) -> dict[str, float]:
    """Return area by part, in the unit of the description (mm2 for in-memory arrays).

    A memory counts once per instance: it is repeated over the array dimensions it does not serve. In-memory
    arrays come with their parts, ``array.adcs`` and so on; others are units times the area of one.

    Returns:
        Area by part, array first, then memories by name; those without area left out.
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
