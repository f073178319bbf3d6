"""GAP9 with other numbers in its description: what its measurements allow as well as what is shipped.

``parameter_sets.yaml`` holds what ``tools/calibrate_gap9.py`` fits where one network is left out; savings
that hold under each of these do not hang on one measurement.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from passes.errors import InputError, did_you_mean
from targets.description.architecture import Architecture
from targets.description.figure import Figure
from targets.description.yaml_text import read_yaml

CALL, POWER, SCALE, RATE = "cycles_per_call", "active_power_mw", "energy_scale", "bandwidth_bytes_per_cycle"
LEAST = 1e-9
"""A figure is above 0; a fit that wants none gets next to nothing."""


def values(arch: Architecture) -> dict[str, float]:
    """Return the numbers of a description that can be replaced: ``ne16.active_power_mw`` and the like."""
    found: dict[str, float] = {}
    for core in arch.cores:
        found |= {f"{core.name}.{key}": figure.value for key, figure in core.rates.items()}
        if core.active_power_mw is not None:
            found[f"{core.name}.{POWER}"] = core.active_power_mw.value
    found |= {f"{memory.name}.{RATE}": memory.bandwidth_bytes_per_cycle.value for memory in arch.memories}
    found |= {f"{point.name}.{SCALE}": point.scale for point in arch.operating_points[1:]}
    return found


def replaced(arch: Architecture, changes: Mapping[str, float], source: str) -> Architecture:
    """Return a description with ``changes`` in place of what it says.

    Args:
        arch: The description.
        changes: By part and key, see :func:`values`.
        source: Where they come from.

    Raises:
        InputError: A number the description does not have.
    """
    known = values(arch)
    for key in changes:
        if key not in known:
            raise InputError(f"the description of gap9 has no number '{key}'", did_you_mean(key, known))

    def figure(key: str, old: Figure | None) -> Figure | None:
        if key not in changes:
            return old
        return Figure(value=max(changes[key], LEAST), known="measured", source=source)

    cores = tuple(
        core.model_copy(
            update={
                POWER: figure(f"{core.name}.{POWER}", core.active_power_mw),
                "rates": {key: figure(f"{core.name}.{key}", old) for key, old in core.rates.items()},
            }
        )
        for core in arch.cores
    )
    memories = tuple(
        m.model_copy(update={RATE: figure(f"{m.name}.{RATE}", m.bandwidth_bytes_per_cycle)})
        for m in arch.memories
    )
    points = tuple(
        p.model_copy(update={SCALE: figure(f"{p.name}.{SCALE}", p.energy_scale)})
        for p in arch.operating_points
    )
    changed = {"cores": cores, "memories": memories, "operating_points": points}
    return arch.model_copy(update=changed)


@functools.cache
def parameter_sets() -> Mapping[str, Mapping[str, float]]:
    """Return the numbers that the measurements allow too: fitted without each of the networks, by name."""
    data = read_yaml(Path(__file__).parent / "parameter_sets.yaml", "parameter sets")
    if not isinstance(data, dict) or not isinstance(data.get("sets"), dict):
        raise InputError("parameter_sets.yaml: expected 'sets:' with numbers by name")
    return {
        str(name): {str(k): float(v) for k, v in numbers.items()} for name, numbers in data["sets"].items()
    }
