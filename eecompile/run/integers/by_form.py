"""What quantization does to exits: the network of the files in float, calibrated, trained for integers."""

from __future__ import annotations

import numpy as np

from eecompile.exits.answers import Answers
from eecompile.run.evidence import Evidence
from eecompile.run.figures import ratios_of
from eecompile.run_files.summary import ExitInForm, QuantizationInfo
from passes.state import state_of

FLOAT = "float"
SPLITS = ("val", "test")


def quantization_of(evidence: Evidence) -> QuantizationInfo:
    """Return how the network was quantized, and its exits in each form at the thresholds of the files.

    The thresholds were chosen on val in the form of the files: in the other forms they are what would happen
    if they were left as they are.
    """
    told = evidence.calibration
    epochs = told.get("training", told.get("static", {}).get("training", {})).get("epochs", [])
    return QuantizationInfo(
        method=evidence.options.quantize,
        schemes=tuple(told["schemes"]),
        calibration_images=told["images"],
        calibration=told["calibration"],
        epochs=len(epochs) or told.get("qat_epochs"),
        exits=tuple(_rows(evidence)),
    )


def _rows(evidence: Evidence) -> list[ExitInForm]:
    names = [item.name for item in state_of(evidence.forms.exits).exits]
    found = []
    for number, split in enumerate(SPLITS):
        forms = {form: seen[number].select(evidence.kept) for form, seen in evidence.seen.items()}
        for form, seen in forms.items():
            found += _of_form(evidence, split, form, seen, forms[FLOAT], names)
    return sorted(found, key=lambda row: (SPLITS.index(row.split), names.index(row.exit)))


def _of_form(
    evidence: Evidence, split: str, form: str, seen: Answers, plain: Answers, names: list[str]
) -> list[ExitInForm]:
    """Return a row per exit of one form on one split; ``plain`` is the same in float."""
    where, _ = seen.leaving(evidence.chosen.figures.thresholds)
    ratios, last = ratios_of(where, len(names)), len(names) - 1
    confidence, before = seen.confidence, plain.confidence
    changed = [a.argmax(axis=1) != b.argmax(axis=1) for a, b in zip(seen.logits, plain.logits, strict=True)]
    return [
        ExitInForm(
            split=split,
            exit=name,
            form=form,
            accuracy=float(seen.correct[number].mean()),
            confidence=None if number == last else float(confidence[number].mean()),
            confidence_shift=(
                None if number == last else float(np.abs(confidence[number] - before[number]).mean())
            ),
            answers_changed=float(changed[number].mean()),
            ratio=ratios[number],
        )
        for number, name in enumerate(names)
    ]
