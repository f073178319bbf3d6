"""The intervals of a summary, by the dotted keys of the figures they are around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Bounds = tuple[float, float]
Known = tuple[float, Bounds | None]
"""A figure and the interval around it, if there is one."""


def intervals(document: Mapping[str, Any]) -> dict[str, Bounds]:
    """Return key -> interval for every figure of a ``summary.json`` that has one.

    An EDP has none: how errors of latency and energy go together was not measured. Those of accuracies are
    95 % intervals over images.
    """
    found: dict[str, Bounds] = {}
    for prefix, cost in _costs(document):
        cycles, span = cost.get("latency_cycles"), cost.get("latency_interval")
        if span is not None and cycles:
            found[f"{prefix}.latency_cycles"] = (span[0], span[1])
            if (seconds := cost.get("latency_s")) is not None:
                period_s = seconds / cycles
                found[f"{prefix}.latency_s"] = (period_s * span[0], period_s * span[1])
        if (span := cost.get("energy_interval")) is not None:
            found[f"{prefix}.energy_pj"] = (span[0], span[1])
        for name in ("accuracy", "accuracy_quant"):
            if (span := cost.get(f"{name}_ci95")) is not None:
                found[f"{prefix}.{name}"] = (span[0], span[1])
    if (drop := document.get("drop")) is not None:
        found["drop.points"] = (drop["ci95"][0], drop["ci95"][1])
    for key, span in (document.get("saving_interval") or {}).items():
        found[f"saving.{key}"] = (span[0], span[1])
    return found


def _costs(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "static", document["static"]
    for found in document["exits"]:
        yield f"exits.{found['name']}", found
    if document["expected"] is not None:
        yield "expected", document["expected"]
