"""What the images that leave at an exit are taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.report.images import class_name
from eecompile.run_files.samples import SplitSamples
from eecompile.wording import quantities

MAX_CLASSES = 20
"""Up to so many classes, all pairs are shown."""
MAX_PAIRS = 12

Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class ConfusionCell:
    """Images of a class taken for a class.

    Attributes:
        count: How many.
        share: Of the images of the class that leave at the exit.
        right: Label and answer are the same.
        label: In a sentence.
    """

    count: int
    share: float
    right: bool
    label: str


@dataclass(frozen=True)
class ConfusedPair:
    """A class that was taken for another: by name, how many images, of how many that leave at the exit."""

    label: str
    answer: str
    count: int
    of: int


@dataclass(frozen=True)
class Confusion:
    """Labels against answers at an exit, of the images that leave there.

    Attributes:
        names: Of the classes.
        rows: A row per label, a cell per answer; empty where there are too many classes to show.
        pairs: The most confused pairs, the most frequent first.
        images: How many images leave.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]
    pairs: tuple[ConfusedPair, ...]
    images: int


def confusion(
    samples: SplitSamples, number: int, leaving: NDArray[np.bool_], class_names: Sequence[str]
) -> Confusion:
    """Return the confusion at exit ``number`` of the images ``leaving`` [N]."""
    label, answer = samples.label[leaving], samples.prediction[number, leaving]
    seen = (samples.label, samples.prediction.ravel())
    classes = max(len(class_names), *(int(part.max()) + 1 for part in seen))
    names = tuple(class_name(class_names, c) for c in range(classes))
    table = _pairs(label, answer)
    totals = {int(c): int(n) for c, n in zip(*np.unique(label, return_counts=True), strict=True)}
    wrong = sorted(
        ((n, pair) for pair, n in table.items() if pair[0] != pair[1]), key=lambda e: (-e[0], e[1])
    )
    pairs = tuple(ConfusedPair(names[a], names[b], n, totals[a]) for n, (a, b) in wrong[:MAX_PAIRS])
    rows: tuple[tuple[ConfusionCell, ...], ...] = ()
    if classes <= MAX_CLASSES:
        rows = tuple(
            tuple(_cell(names, a, b, table.get((a, b), 0), totals.get(a, 0)) for b in range(classes))
            for a in range(classes)
        )
    return Confusion(names, rows, pairs, len(label))


def _pairs(label: Int32, answer: Int32) -> dict[tuple[int, int], int]:
    """Return how many images there are of each pair of label and answer that occurs."""
    found, counts = np.unique(np.stack([label, answer]), axis=1, return_counts=True)
    return {(int(a), int(b)): int(n) for a, b, n in zip(*found, counts, strict=True)}


def _cell(names: Sequence[str], a: int, b: int, count: int, total: int) -> ConfusionCell:
    share = count / total if total else 0.0
    verb = "answered" if a == b else "taken for"
    return ConfusionCell(
        count,
        share,
        a == b,
        f"{names[a]} {verb} {names[b]}: {count} of {total} ({quantities.percent(share)})",
    )
