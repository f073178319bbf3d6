"""Weight rounding that lets later weights make up for the error of earlier ones.

Frantar et al., "GPTQ", 2022 (arXiv 2210.17323), on centred inputs: the bias is refitted afterwards, so
only the covariance of the inputs matters. Grouped convolutions are rounded group by group, in one batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Array = NDArray[Any]
DAMPING = 0.01
BLOCK = 64
_CHUNK = 4096


def moments(columns: Array) -> tuple[Float64, Float64]:
    """Return mean [G, d] and covariance [G, d, d] of input columns [G, rows, d]."""
    groups, rows, depth = columns.shape
    mean = columns.mean(axis=1, dtype=np.float64)
    covariance = np.zeros((groups, depth, depth))
    for start in range(0, rows, _CHUNK):
        part = columns[:, start : start + _CHUNK].astype(np.float64) - mean[:, None]
        covariance += part.transpose(0, 2, 1) @ part
    return mean, covariance / rows


def round_weights(weights: Float64, covariance: Float64, scale: Float64, low: int, high: int) -> Float64:
    """Return weights on the grid ``scale * [low, high]`` that keep the layer's output.

    Args:
        weights: [G, K/G, d] real weights, d = inputs of one output.
        covariance: [G, d, d] covariance of those inputs.
        scale: Grid step, broadcastable to [G, K/G].
        low: Smallest integer.
        high: Largest integer.

    Returns:
        Rounded weights, [G, K/G, d], as multiples of ``scale``.
    """
    groups, _, depth = weights.shape
    diagonal = np.diagonal(covariance, axis1=1, axis2=2)
    damping = np.maximum(DAMPING * diagonal.mean(axis=1), 1e-12)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    rows = np.arange(groups)[:, None]
    damped = covariance + damping[:, None, None] * np.eye(depth)
    damped = damped[rows[:, :, None], order[:, :, None], order[:, None, :]]
    # Upper Cholesky factor of the inverse: row i holds how column i's error spreads to later columns.
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    work = np.take_along_axis(weights, order[:, None, :], axis=2).astype(np.float64)
    rounded = np.zeros_like(work)
    for start in range(0, depth, BLOCK):
        stop = min(start + BLOCK, depth)
        errors = np.zeros((*work.shape[:2], stop - start))
        for column in range(start, stop):
            value = np.clip(np.rint(work[:, :, column] / scale), low, high) * scale
            rounded[:, :, column] = value
            error = (work[:, :, column] - value) / upper[:, column, column][:, None]
            errors[:, :, column - start] = error
            work[:, :, column:stop] -= error[:, :, None] * upper[:, None, column, column:stop]
        work[:, :, stop:] -= errors @ upper[:, start:stop, stop:]
    restored = np.empty_like(rounded)
    np.put_along_axis(restored, np.broadcast_to(order[:, None, :], rounded.shape), rounded, axis=2)
    return restored


def nearest_weights(weights: Float64, scale: Float64, low: int, high: int) -> Float64:
    """Return weights rounded to the nearest grid point, for layers too deep for :func:`round_weights`."""
    step = np.broadcast_to(scale, weights.shape[:2])[:, :, None]
    nearest: Float64 = np.clip(np.rint(weights / step), low, high) * step
    return nearest


def conv_columns(x: Array, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int],
                 groups: int, rows: int) -> Array:  # fmt: skip
    """Return at most about ``rows`` input columns [G, rows, C/G * prod(kernel)] of a convolution.

    Args:
        x: [N, C, spatial…] input, one or two spatial axes.
        kernel: Kernel per axis.
        strides: Stride per axis.
        pads: Begin per axis, then end per axis.
        dilations: Dilation per axis.
        groups: Groups of the convolution.
        rows: How many columns (positions) to sample, evenly spread.
    """
    rank = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))])
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axes)
    steps = tuple(slice(None, None, s) for s in strides)
    taps = tuple(slice(None, None, d) for d in dilations)
    windows = windows[(slice(None), slice(None), *steps, *taps)]
    # [N, C, positions…, taps…] -> [positions, N, C, taps]; gather only the sampled positions.
    shape = windows.shape
    positions = np.indices((shape[0], *shape[2 : 2 + rank])).reshape(1 + rank, -1)
    positions = positions[:, :: max(1, positions.shape[1] // rows)]
    picked = windows[(positions[0], slice(None), *positions[1:])]
    return picked.reshape(picked.shape[0], groups, -1).transpose(1, 0, 2)
