"""Whether exits are as often right as they are sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eecompile.exits.calibration_error import Bin, bins_of, error_of_bins
from eecompile.report.charts import Frame, framed, ticks
from eecompile.run_files.samples import SplitSamples
from eecompile.wording import quantities


@dataclass(frozen=True)
class BinMark:
    """A bin in a picture: its point, the ends of its interval, and what it says."""

    x: float
    y: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class ReliabilityChart(Frame):
    """Accuracy over probability.

    Attributes:
        diagonal: Ends (x, y, x, y) of the line on which an exit is as often right as it is sure.
        bins: By rising probability.
        threshold_x: Where images leave; ``None`` where the confidence is no probability, or none leaves.
        error: Expected calibration error, in points.
        images: How many images it is made of.
    """

    diagonal: tuple[float, float, float, float]
    bins: tuple[BinMark, ...]
    threshold_x: float | None
    error: float
    images: int


def reliability_chart(
    samples: SplitSamples, number: int, threshold: float | None, width: int = 340, height: int = 320
) -> ReliabilityChart | None:
    """Return the diagram of an exit over all images of a split; ``None`` if it gave none a probability."""
    probability, correct = samples.probability[number], samples.correct[number]
    bins = bins_of(probability, correct)
    if not bins:
        return None
    values = ticks(min(min(b.sure, b.low) for b in bins), 1.0, 5)
    frame, x, y = framed(values, values, width, height)
    marks = tuple(BinMark(x(b.sure), y(b.right), y(b.low), y(b.high), _label(b)) for b in bins)
    low, high = values[0], values[-1]
    at = None
    if threshold is not None and low <= threshold <= high:
        same = np.array_equal(samples.confidence[number], samples.probability[number], equal_nan=True)
        at = x(threshold) if same else None
    return ReliabilityChart(
        **vars(frame),
        diagonal=(x(low), y(low), x(high), y(high)),
        bins=marks,
        threshold_x=at,
        error=100 * error_of_bins(bins),
        images=sum(b.count for b in bins),
    )


def _label(found: Bin) -> str:
    around = quantities.interval((found.low, found.high), 100)
    return (
        f"{found.count:,} images of probability {found.sure:.3f} on average: "
        f"{quantities.percent(found.right)} right {around}"
    )
