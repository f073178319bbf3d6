"""What the page needs to count anew what thresholds give: answers per image, and costs of exit paths."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.report.pages import hash_of_script, json_in_script
from eecompile.run_files.samples import Samples, SplitSamples
from eecompile.run_files.summary import ExitResult, Summary

SCRIPT = "explore.js"
# A JSON text cannot hold infinity; no confidence comes near.
_NEVER = float(np.finfo(np.float32).max)

J_PER_PJ = 1e-12

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Measure:
    """A cost that can be looked at.

    Attributes:
        words: What it is called.
        unit: Of the numbers that the page shows; empty for counts.
    """

    words: str
    unit: str


@dataclass(frozen=True)
class Explorer:
    """A part of the page with a slider per early exit.

    Attributes:
        data: JSON text, safe within a script element.
        script: The code that reads it.
        script_hash: By which a content security policy knows the script.
        measures: Costs by name, that of the objective first.
        objective: Name of the cost that the run minimised.
        width: Of the picture, in pixels of its view box.
        height: Likewise.
    """

    data: str
    script: str
    script_hash: str
    measures: Mapping[str, Measure]
    objective: str
    width: int = 480
    height: int = 340


def explorer(summary: Summary, samples: Samples | None) -> Explorer | None:
    """Return the data and the script of the part; ``None`` without samples, or with nothing to move."""
    if samples is None or len(summary.exits) < 2:
        return None
    costs = _costs(summary)
    measures = {name: Measure(found["words"], found["unit"]) for name, found in costs.items()}
    width, height = Explorer.width, Explorer.height
    document = {
        "exits": [item.name for item in summary.exits],
        "objective": summary.objective.name,
        "thresholds": _thresholds([item.threshold for item in summary.exits], len(summary.exits) - 1),
        "curve": [_thresholds(point.thresholds, len(summary.exits) - 1) for point in summary.curve],
        "costs": costs,
        "val": _split(samples.val),
        "test": _split(samples.test),
        "chart": {"left": 56, "right": width - 16, "top": 30, "bottom": height - 56},
    }
    text = json_in_script(document)
    script = resources.files("eecompile.report").joinpath(SCRIPT).read_text(encoding="utf-8")
    return Explorer(text, script, hash_of_script(script), measures, summary.objective.name)


def _thresholds(values: Sequence[float | None], early: int) -> list[float]:
    return [_NEVER if value is None else float(value) for value in values[:early]]


def _costs(summary: Summary) -> dict[str, dict[str, Any]]:
    """Return cost by cost, that of the objective first, what each exit path and static take."""
    paths = [_path(item, summary) for item in summary.exits]
    static = summary.static.model_dump()
    clocked = all(path["latency_s"] is not None for path in (*paths, static))
    kinds = {
        "edp": (
            "energy-delay product",
            *(("J·s", "edp_js") if clocked else ("J·cycles", "edp_j_cycles")),
            1.0,
        ),
        "latency": ("latency", *(("s", "latency_s") if clocked else ("cycles", "latency_cycles")), 1.0),
        "energy": ("energy", "J", "energy_pj", J_PER_PJ),
        "macs": ("MACs", "", "macs", 1.0),
    }
    return {
        name: {
            "words": words,
            "unit": unit,
            "exits": [factor * path[key] for path in paths],
            "static": factor * static[key],
        }
        for name, (words, unit, key, factor) in sorted(
            kinds.items(), key=lambda kind: kind[0] != summary.objective.name
        )
    }


def _path(item: ExitResult, summary: Summary) -> dict[str, Any]:
    """Return the costs of an exit path, with speculation where the expected costs are."""
    ahead = item.speculative
    if ahead is None or summary.expected is None or not summary.expected.speculation:
        return item.model_dump()
    return item.model_dump() | ahead.model_dump()


def _split(samples: SplitSamples) -> dict[str, Any]:
    return {
        "count": len(samples.label),
        "confidence": [_text(row.astype("<f4")) for row in samples.confidence],
        "correct": [_bits(row) for row in samples.correct],
        "static": _bits(samples.static == samples.label),
    }


def _bits(row: Bools) -> str:
    """Return a bit per image, the first one highest in its byte."""
    return _text(np.packbits(row))


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()
