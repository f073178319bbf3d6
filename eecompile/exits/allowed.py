"""What searches of thresholds ask of a limit: which counts of images it allows, alone and with neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
# From (lost, gained), arrays of counts, to which of them are within the limit.
Allows = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.bool_]]


def most_lost(allows: Allows, gained: int, lost: int) -> NDArray[np.int64]:
    """Return for each count of gained images how many may be lost, up to ``lost``; -1: not even none.

    Found by bisection, all counts at once: lost images are allowed up to some number.
    """
    counts = np.arange(gained + 1)
    low, high = np.full(len(counts), -1), np.full(len(counts), lost)
    while (low < high).any():
        middle = (low + high + 1) // 2
        fine = allows(np.maximum(middle, 0), counts)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle - 1)
    return low


def neighbour_mean(values: Float64, reach: int, axis: int) -> Float64:
    """Return the mean over up to ``reach`` neighbours on either side along ``axis``, fewer at the ends."""
    count = values.shape[axis]
    sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
    low = np.maximum(np.arange(count) - reach, 0)
    high = np.minimum(np.arange(count) + reach + 1, count)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    result: Float64 = (sums.take(high, axis) - sums.take(low, axis)) / (high - low).reshape(shape)
    return result


def cheapest_allowed(
    cost: Float64, among: NDArray[np.bool_], lost: NDArray[Any], gained: NDArray[Any], allows: Allows
) -> int | None:
    """Return the place of least cost that is within the limit; of equals the first.

    The cheap are looked at first, growing pieces of them, as limits may be slow to ask and so is sorting all.

    Args:
        cost: [n].
        among: [n] which places may be taken.
        lost: [n] images.
        gained: [n] images.
        allows: The limit.
    """
    left, size = np.flatnonzero(among), 1024
    while len(left):
        values = cost[left]
        edge = np.partition(values, size)[size] if size < len(left) else np.inf
        piece = left[values <= edge]
        piece = piece[np.argsort(cost[piece], kind="stable")]
        allowed = allows(lost[piece], gained[piece])
        if allowed.any():
            return int(piece[int(np.argmax(allowed))])
        left, size = left[values > edge], size * 4
    return None
