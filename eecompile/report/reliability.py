"""Whether exits are as often right as they are sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eecompile.exits.statistics import wilson_interval
from eecompile.report.charts import Frame, framed, ticks
from eecompile.run_files.samples import SplitSamples
from eecompile.wording import quantities

BINS = 10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Images of about the same probability: how many, mean probability, share right and its 95 % bounds."""

    count: int
    sure: float
    right: float
    low: float
    high: float


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


def bins_of(
    probability: NDArray[np.float32], correct: NDArray[np.bool_], count: int = BINS
) -> tuple[Bin, ...]:
    """Return bins of equal count by rising probability; fewer where equal probabilities stay together.

    Args:
        probability: [N]; images without one (NaN) are left out.
        correct: [N].
        count: How many.
    """
    known = ~np.isnan(probability)
    sure, right = probability[known].astype(np.float64), correct[known]
    if not len(sure):
        return ()
    starts = np.arange(1, count) * len(sure) // count
    where = np.searchsorted(np.unique(np.sort(sure)[starts]), sure, side="right")
    found = []
    for number in np.unique(where):
        mine = where == number
        total, hits = int(mine.sum()), int(right[mine].sum())
        found.append(Bin(total, float(sure[mine].mean()), hits / total, *wilson_interval(hits, total)))
    return tuple(found)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: mean distance of accuracy and probability over images, 0..1."""
    return sum(b.count * abs(b.right - b.sure) for b in bins) / sum(b.count for b in bins)


def reliability_chart(
    samples: SplitSamples, number: int, threshold: float | None, width: int = 340, height: int = 320
) -> ReliabilityChart | None:
    """Return the diagram of an exit over all images of a split; ``None`` if it gave none a probability."""
    bins = bins_of(samples.probability[number], samples.correct[number])
    if not bins:
        return None
    values = ticks(min(min(b.sure, b.low) for b in bins), 1.0, 5)
    frame, x, y = framed(values, values, width, height, top=28)
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
        error=100 * calibration_error(bins),
        images=sum(b.count for b in bins),
    )


def _label(found: Bin) -> str:
    around = quantities.interval((found.low, found.high), 100)
    return (
        f"{found.count:,} images of probability {found.sure:.3f} on average: "
        f"{quantities.percent(found.right)} right {around}"
    )
