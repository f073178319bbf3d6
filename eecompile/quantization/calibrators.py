"""Calibrators: how the grid of a tensor follows from the values it had on images.

Weights are not calibrated: their steps are those of least squared error
(:mod:`eecompile.quantization.rounding`).
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.quantization.calibration_names import ENTROPY, LEAST_SQUARES, MINMAX
from eecompile.quantization.histograms import Bins, Seen
from eecompile.quantization.least_squares import best_grid, covering_grid
from passes.integers.schemes import ZERO_POINT
from passes.number_formats import Levels
from passes.state import QuantGrid

Array = NDArray[Any]

# What onnxruntime's calibrators take if nothing is told: values that lie within, in %; and levels.
WITHIN = 99.999
QUANTIZED_BINS = 128


def counts_sizes(calibration: str, levels: Levels) -> bool:
    """Return whether a calibrator looks at sizes of values alone, as the zero point is settled."""
    return levels.symmetric and calibration != ENTROPY


def bins_of(calibration: str, low: float, high: float) -> Bins | None:
    """Return the bins a calibrator counts values from ``low`` to ``high`` in; ``None``: it asks for no more.

    For ``entropy`` they reach as far below 0 as above it.
    """
    if calibration == MINMAX:
        return None
    if calibration == ENTROPY:
        top = max(-low, high) or 1.0
        return 4 * QUANTIZED_BINS, (-top, top)
    if low < high:
        return 2048, (low, high)
    ends = sorted((high / 2, high)) if high else [0.0, 1.0]
    return 2048, (ends[0], ends[1])


def grid_of(calibration: str, seen: Seen, levels: Levels) -> QuantGrid:
    """Return the grid of a tensor by one of ``CALIBRATIONS``.

    * ``least-squares``: step and zero point of least squared error over the histogram.
    * ``minmax``: from the least to the largest value.
    * ``percentile``: what holds 99.999 % of the values, by onnxruntime's calibrator.
    * ``entropy``: what loses least information (Kullback-Leibler divergence), by onnxruntime's calibrator.

    Where the step is a power of two, ranges are covered by the next larger one.
    """
    if calibration == LEAST_SQUARES:
        used = seen.counts > 0
        centers = (seen.edges[:-1] + seen.edges[1:]) / 2
        scale, zero = best_grid(centers[used], seen.counts[used], levels)
    else:
        scale, zero = covering_grid(*_range(calibration, seen, levels), levels)
    low, high = ZERO_POINT + levels.low, ZERO_POINT + levels.high
    return QuantGrid((float(scale),), ZERO_POINT + zero, low, high, "uint8")


def _range(calibration: str, seen: Seen, levels: Levels) -> tuple[float, float]:
    """Return what the grid has to cover; for ``minmax``, ``percentile`` and ``entropy``."""
    if calibration == MINMAX:
        return seen.low, seen.high
    path = list(sys.path)
    from onnxruntime.quantization.calibrate import HistogramCollector

    sys.path[:] = path  # that import appends a folder of its own, whose modules hide those of others
    top = float(np.abs(seen.edges).max())
    collector = HistogramCollector(
        calibration, levels.symmetric, len(seen.counts), QUANTIZED_BINS, WITHIN, "same"
    )
    # as shares of the largest, which float32 always holds
    ends = (np.float32(seen.low / top), np.float32(seen.high / top))
    edges = (seen.edges / top).astype(np.float32)
    collector.histogram_dict["x"] = (seen.counts.astype(np.int64), edges, *ends, np.float32(1))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        found = collector.compute_collection_result()["x"]
    return top * float(found[0]), top * float(found[1])
