"""Steps and zero points of least squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passes.number_formats import Levels

Array = NDArray[Any]

# Of the step that clips nothing; finer where the best step of eight bits lies.
_SHARES = (*np.geomspace(1 / 64, 0.3, 32, endpoint=False), *np.linspace(0.3, 1.0, 36))
# Values that are tried at once: they and what becomes of them stay in the cache of a processor.
_BLOCK = 1 << 14
# Zero points tried per step, evenly between those that clip nothing below and nothing above.
_ZEROS = 9


def best_scale(values: Array, counts: Array, levels: Levels) -> float:
    """Return the step of least squared error for ``values`` occurring ``counts`` times on ``levels``.

    The zero point is where ``levels`` are counted from. Steps are tried from the one that clips nothing down
    to 1/64 of it: where levels are few, or the largest values rare, most of the range is best given up.
    """
    return best_scales(values.reshape(1, -1), counts.reshape(1, -1), levels)[0]


def best_scales(values: Array, counts: Array | None, levels: Levels) -> list[float]:
    """Return what :func:`best_scale` does, of each row of ``values`` [rows, values].

    Args:
        values: A set of values per row.
        counts: How often each occurs, in the same shape; ``None``: once.
        levels: The integers they may become.
    """
    found: list[float] = []
    rows = max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        part = slice(start, start + rows)
        found += _least_steps(values[part], None if counts is None else counts[part], levels)
    return found


def _least_steps(values: Array, counts: Array | None, levels: Levels) -> list[float]:
    tops = np.abs(values).max(axis=1, initial=0.0)
    steps = np.array([_steps(float(top or 1.0) / levels.high, levels) for top in tops])
    errors = np.empty(steps.shape)
    snapped = np.empty(values.shape)
    for tried in range(steps.shape[1]):
        step = steps[:, tried, None]
        np.divide(values, step, out=snapped)
        np.rint(snapped, out=snapped)
        np.maximum(snapped, levels.low, out=snapped)
        np.minimum(snapped, levels.high, out=snapped)
        np.multiply(snapped, step, out=snapped)
        np.subtract(snapped, values, out=snapped)
        np.multiply(snapped, snapped, out=snapped)
        if counts is not None:
            np.multiply(snapped, counts, out=snapped)
        errors[:, tried] = snapped.sum(axis=1)
    best = errors.argmin(axis=1)
    return [float(row[index]) for row, index in zip(steps, best, strict=True)]


def best_grid(values: Array, counts: Array, levels: Levels) -> tuple[float, int]:
    """Return step and zero point of least squared error; the zero point is counted as ``levels`` are.

    Where ``levels`` are symmetric it is 0. Else it is any of them, so that 0.0 has an integer of its own:
    what pads, and what a Relu cuts off, is exact. What is never negative gets the lowest: all levels are its.
    """
    if levels.symmetric:
        return best_scale(values, counts, levels), 0
    if not values.any():
        return covering_grid(0.0, 0.0, levels)
    bottom = min(float(values.min(initial=0.0)), 0.0)
    top = max(float(values.max(initial=0.0)), 0.0)
    # divided before they are added: between the largest floats of both signs there is no float
    exact = top / (levels.high - levels.low) - bottom / (levels.high - levels.low)
    best: tuple[float, float, int] = (np.inf, exact, levels.low)
    for step in _steps(exact, levels):
        ends = sorted((levels.low - bottom / step, levels.high - top / step))
        first, last = np.clip(ends, levels.low, levels.high)
        tried = np.linspace(first, last, _ZEROS)
        best = min(best, _least(values, counts, step, tried, levels))
    _, step, zero = best
    ends = sorted((levels.low - bottom / step, levels.high - top / step))
    apart = (ends[1] - ends[0]) / (_ZEROS - 1)
    around = np.clip(zero + apart * np.linspace(-1, 1, 2 * _ZEROS + 1), levels.low, levels.high)
    _, step, zero = min(best, _least(values, counts, step, around, levels))
    return step, zero


def covering_grid(bottom: float, top: float, levels: Levels) -> tuple[float, int]:
    """Return step and zero point of the finest grid that reaches from ``bottom`` to ``top`` and over 0.

    The zero point, counted as ``levels`` are, is rounded: an end may be half a step beyond the grid.
    """
    bottom, top = min(bottom, 0.0), max(top, 0.0)
    if levels.symmetric:
        step = max(-bottom, top) / levels.high
    else:
        step = top / (levels.high - levels.low) - bottom / (levels.high - levels.low)
    step = step or 1.0
    step = 2.0 ** int(np.ceil(np.log2(step))) if levels.power_of_two else step
    zero = (
        0 if levels.symmetric else int(np.clip(np.rint(levels.low - bottom / step), levels.low, levels.high))
    )
    return step, zero


def _steps(exact: float, levels: Levels) -> Sequence[float]:
    """Return the steps to try where ``exact`` clips nothing."""
    if levels.power_of_two:
        first = int(np.ceil(np.log2(exact)))
        return [2.0**e for e in range(first - 6, first + 1)]
    return [exact * share for share in _SHARES]


def _least(
    values: Array, counts: Array, step: float, zeros: Array, levels: Levels
) -> tuple[float, float, int]:
    """Return (squared error, step, zero point) of the best of ``zeros``."""
    tried = np.unique(np.rint(zeros))[:, None]
    integers = np.clip(np.rint(values / step) + tried, levels.low, levels.high) - tried
    errors = (counts * (integers * step - values) ** 2).sum(axis=1)
    found = int(np.argmin(errors))
    return float(errors[found]), step, int(tried[found, 0])
