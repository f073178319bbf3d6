"""What is said of the intervals around figures: how wide they are, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eecompile.wording.quantities import percent

if TYPE_CHECKING:
    from eecompile.run_files.summary import Summary

NOT_VALIDATED = "Not validated on silicon: these figures have no interval."


def sentences(intervals: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return in sentences what a document says of its ``intervals``; ``None`` where nothing was measured."""
    if intervals is None:
        return (NOT_VALIDATED,)
    found = [_sentence(name, intervals.get(name)) for name in ("latency", "energy")]
    note = str(intervals.get("note") or "").strip().removesuffix(".")
    return (*found, *([f"{note}."] if note else []))


def of_run(summary: Summary) -> tuple[str, ...]:
    """Return :func:`sentences` of a run."""
    return sentences(None if summary.intervals is None else summary.intervals.model_dump())


def _sentence(name: str, bar: Mapping[str, Any] | None) -> str:
    if bar is None:
        return f"The {name} is not validated on silicon: it has no interval."
    coverage = bar["nominal_coverage"]
    held = "no coverage can be given" if coverage is None else f"nominal coverage {percent(coverage, 0)}"
    low, high = (f"×{bar[key]:.2f}" for key in ("low", "high"))  # noqa: RUF001 - the sign of a product
    return f"Interval of {name}: {low} to {high} ({bar['basis']}; {held})."
