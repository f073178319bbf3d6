"""How a network was quantized and what that did to its exits, in words and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eecompile.wording.quantities import ABSENT, percent

if TYPE_CHECKING:
    from eecompile.run_files.summary import QuantizationInfo


def quantized(found: QuantizationInfo) -> str:
    """Return how: ``qat over 2 epochs, int8-pow2, calibrated on 512 training images``."""
    trained = "" if found.epochs is None else f" over {found.epochs} epoch{'s' if found.epochs > 1 else ''}"
    images = f"calibrated on {found.calibration_images:,} training images"
    return f"{found.method}{trained}, {', '.join(found.schemes)}, {images}"


HEADINGS = ("exit", "form", "accuracy", "ratio", "confidence", "its change", "other answers")


def cells(found: QuantizationInfo, split: str) -> list[tuple[str, ...]]:
    """Return a row per exit and form on one split; an exit is named in its first row alone."""
    rows: list[tuple[str, ...]] = []
    named = ""
    for row in found.exits:
        if row.split != split:
            continue
        shown = (row.confidence, row.confidence_shift)
        mean, moved = (ABSENT if value is None else f"{value:.3f}" for value in shown)
        name = "" if row.exit == named else row.exit
        named = row.exit
        answered = percent(row.answers_changed)
        rows.append((name, row.form, percent(row.accuracy), percent(row.ratio), mean, moved, answered))
    return rows
