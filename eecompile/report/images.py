"""Easy and hard test images of each exit, to look at."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eecompile.report.png import png
from eecompile.run_files.samples import GROUPS, Samples
from eecompile.run_files.summary import Summary
from eecompile.wording import quantities


@dataclass(frozen=True)
class ShownImage:
    """A test image.

    Attributes:
        source: Data URI of a PNG.
        alt: What it is, in a sentence.
        caption: Its class, or what it was taken for.
        sure: How sure the exit was.
    """

    source: str
    alt: str
    caption: str
    sure: str


@dataclass(frozen=True)
class ImageRow:
    """Images that are shown for the same reason."""

    title: str
    images: tuple[ShownImage, ...]


@dataclass(frozen=True)
class ExitImages:
    """The images of an exit; without rows where none left there or none can be drawn."""

    name: str
    sentence: str
    rows: tuple[ImageRow, ...]


def exit_images(summary: Summary, samples: Samples) -> tuple[ExitImages, ...]:
    """Return what left at each exit, at the thresholds of the files."""
    where = samples.test.leaves_at([item.threshold for item in summary.exits])
    right = samples.test.correct
    found = []
    for number, item in enumerate(summary.exits):
        leaving = where == number
        count, good = int(leaving.sum()), int(right[number, leaving].sum())
        share = quantities.percent(good / count) if count else ""
        sentence = f"{count:,} of {len(where):,} test images leave here" + (
            f", {share} of them right." if count else "."
        )
        rows = (_row(samples, number, group) for group in range(len(GROUPS)))
        found.append(ExitImages(item.name, sentence, tuple(row for row in rows if row.images)))
    return tuple(found)


def class_name(names: Sequence[str], number: int) -> str:
    """Return the name of a class; its number where the data give none."""
    return quantities.shortened(names[number], 24) if number < len(names) else str(number)


def _row(samples: Samples, number: int, group: int) -> ImageRow:
    shown = samples.shown
    chosen = np.flatnonzero((shown.exit == number) & (shown.group == group))
    return ImageRow(GROUPS[group], tuple(_image(samples, int(place), number) for place in chosen))


def _image(samples: Samples, place: int, number: int) -> ShownImage:
    shown, test = samples.shown, samples.test
    index = int(shown.index[place])
    label, answer = (
        class_name(samples.class_names, int(n)) for n in (test.label[index], test.prediction[number, index])
    )
    early = number < len(test.confidence)
    sure = f"{test.confidence[number, index] if early else test.probability[number, index]:.3f}"
    right = test.label[index] == test.prediction[number, index]
    caption = label if right else f"{label}, taken for {answer}"
    data = base64.b64encode(png(shown.pixels[place])).decode()
    kind = "confidence" if early else "probability"
    return ShownImage(
        f"data:image/png;base64,{data}", f"test image {index}: {caption}; {kind} {sure}", caption, sure
    )
