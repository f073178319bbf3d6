"""Runs on the same test images, compared image by image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import PairedChange, paired_change
from eecompile.run_files.summary import Summary

if TYPE_CHECKING:  # what reads answers loads onnx, and many runs have none
    from eecompile.run_files.samples import SplitSamples

ANSWERS = "samples.npz"

CLEAR = 0.05
"""A p-value below this tells two runs apart."""


@dataclass(frozen=True)
class PairedRun:
    """A run against the baseline on the same test images.

    Attributes:
        run: Its letter.
        images: How many test images both answered.
        with_exits: Change of the accuracy where each image leaves; ``None`` where they cannot be paired.
        without_exits: That of the static network.
        reason: Why they cannot be paired; else empty.
    """

    run: str
    images: int = 0
    with_exits: PairedChange | None = None
    without_exits: PairedChange | None = None
    reason: str = ""

    def of(self, key: str) -> PairedChange | None:
        """Return the change of the accuracy that has a key in ``summary.json``, if it is one of these."""
        return {"expected.accuracy": self.with_exits, "static.accuracy_quant": self.without_exits}.get(key)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in files."""
        return {**asdict(self), "reason": self.reason or None}


@dataclass(frozen=True)
class AnsweredRun:
    """What a run directory tells of its test images; without answers ``reason`` says why.

    Attributes:
        test: The answers, image by image.
        thresholds: Of the early exits.
        images: What tells its data from other data: the SHA-256 of what was read, sorted.
        seed: By which data without splits of their own were split.
        reason: Why there are none.
    """

    test: SplitSamples | None = None
    thresholds: tuple[float | None, ...] = ()
    images: tuple[str, ...] = ()
    seed: int = 0
    reason: str = ""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer where each image leaves is right, [N]."""
        if self.test is None:
            raise ValueError("a run without answers per image gets nothing right")
        where = self.test.leaves_at(self.thresholds)
        found: NDArray[np.bool_] = self.test.correct[where, np.arange(len(where))]
        return found


def answers_of(run: Path, summary: Summary) -> AnsweredRun:
    """Return the answers of a run directory.

    Raises:
        InputError: A file of answers that is damaged.
    """
    folder = run if run.is_dir() else run.parent
    if summary.dataset is None:
        return AnsweredRun(reason="was made without images")
    samples = None
    if (folder / ANSWERS).is_file():
        from eecompile.run_files.samples import read_samples

        samples = read_samples(folder, len(summary.exits))
    if samples is None:
        return AnsweredRun(reason=f"has no {ANSWERS}")
    info = _info(folder)
    hashes = info.get("data_sha256")
    if not isinstance(hashes, Mapping) or not hashes:
        return AnsweredRun(reason="does not tell the SHA-256 of its images")
    thresholds = tuple(item.threshold for item in summary.exits)
    return AnsweredRun(samples.test, thresholds, tuple(sorted(map(str, hashes.values()))), summary.seed)


def _info(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def paired(letter: str, baseline: AnsweredRun, other: AnsweredRun) -> PairedRun:
    """Return a run against the baseline, or why they cannot be paired."""
    for name, found in (("A", baseline), (letter, other)):
        if found.test is None:
            return PairedRun(letter, reason=f"{name} {found.reason}")
    if baseline.test is None or other.test is None or not _same_images(baseline, other):
        return PairedRun(letter, reason=f"{letter} was tested on other images than A")
    with_exits = paired_change(baseline.correct, other.correct)
    label = baseline.test.label
    without = paired_change(baseline.test.static == label, other.test.static == label)
    return PairedRun(letter, len(label), with_exits, without)


def _same_images(one: AnsweredRun, other: AnsweredRun) -> bool:
    """Return whether both runs have the same test images, in the same order.

    The same data may be split by another seed. That shows in the order of the labels, but where these are
    sorted.
    """
    if one.test is None or other.test is None or one.images != other.images:
        return False
    labels = one.test.label
    if not np.array_equal(labels, other.test.label):
        return False
    return one.seed == other.seed or bool((np.diff(labels) < 0).any())
