"""Run an integer program in numpy, with integers alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from passes.integers.program import (
    Addition,
    Affine,
    Average,
    ChannelPart,
    Concatenation,
    Convolution,
    FullyConnected,
    IntegerExit,
    IntegerProgram,
    Maximum,
    Operation,
    Rescale,
    View,
    Widening,
    WindowAverage,
)
from passes.integers.rescaling import (
    addition_tables,
    as_onnxruntime,
    as_target,
    bounded,
    common_divisor,
    concatenation_tables,
    divided,
    to_integers,
    to_significand,
    window_tables,
)
from passes.number_formats import EXACT_ROUNDINGS, ONNXRUNTIME

Array = np.ndarray[Any, Any]


def interpret(program: IntegerProgram, inputs: Array, rounding: str = ONNXRUNTIME) -> dict[str, Array]:
    """Return all tensors of the program, int64 [N, …]; those of logits are sums.

    Args:
        program: What to run.
        inputs: Integers of the input grid [N, …], as `IntegerProgram.quantized` gives them.
        rounding: ``onnxruntime``: its float32 rescaling, emulated; ``target``: multiplier and shift.

    Raises:
        ValueError: Another rounding.
        InputError: A rescaling that the core or 64 bits cannot do.
    """
    if rounding not in EXACT_ROUNDINGS:
        raise ValueError(f"unknown rounding {rounding!r}")
    tensors: dict[str, Array] = {program.source: inputs.astype(np.int64)}
    for operation in program.operations:
        read = [tensors[name] for name in operation.reads]
        done = _RUN[type(operation)](operation, read, rounding)
        tensors[operation.writes] = done.reshape(len(inputs), *program.shapes[operation.writes][1:])
    return tensors


def logits(program: IntegerProgram, tensors: dict[str, Array]) -> list[Array]:
    """Return the logits of each exit, float32 [N, classes]: the only floats, behind all integers."""
    return [_answer(item, tensors) for item in program.exits]


def _answer(item: IntegerExit, tensors: dict[str, Array]) -> Array:
    found: Array = tensors[item.logits].astype(np.float32) * item.scales
    if item.recycled is not None:
        other = item.recycled
        found = found + (tensors[other.logits].astype(np.float32) * other.scales) * other.weight
    return found.astype(np.float32)


def _rescaled(operation: Operation, sums: Array, rescale: Rescale, rounding: str) -> Array:
    wrapped = (sums + 2**31) % 2**32 - 2**31  # accumulators have 32 bits
    if rounding == ONNXRUNTIME:
        return as_onnxruntime(wrapped, rescale)
    return as_target(operation.name, wrapped, rescale)


def _convolve(op: Convolution, read: list[Array], rounding: str) -> Array:
    """Add up products in float64.

    numpy has no fast product of integers. All products and sums here are whole numbers below 2^53, so that
    float64 rounds nothing.
    """
    data = np.pad((read[0] - op.zero).astype(np.float64), [(0, 0), (0, 0), *op.pads])
    count, kernel = len(data), op.weights.shape[2:]
    sizes = _sizes(data.shape[2:], kernel, op.strides, op.dilations)
    per_group = len(op.weights) // op.groups
    channels = op.weights.shape[1]
    wide = np.zeros((count, op.groups, per_group, math.prod(sizes)))
    weights = op.weights.reshape(op.groups, per_group, channels, *kernel).astype(np.float64)
    for place in itertools.product(*map(range, kernel)):
        window = _window(data, place, sizes, op.strides, op.dilations)
        index: Any = (slice(None), slice(None), slice(None), *place)
        wide += np.matmul(weights[index], window.reshape(count, op.groups, channels, -1))
    sums = wide.astype(np.int64).reshape(count, len(op.weights), *sizes)
    sums += op.bias.reshape(-1, *([1] * len(sizes)))
    return _rescaled(op, sums, op.rescale, rounding)


def _product(op: FullyConnected, read: list[Array], rounding: str) -> Array:
    wide = np.matmul((read[0] - op.zero).astype(np.float64), op.weights.T.astype(np.float64))
    sums = wide.astype(np.int64) + op.bias
    if op.rescale is None:
        wrapped: Array = (sums + 2**31) % 2**32 - 2**31
        return wrapped
    return _rescaled(op, sums, op.rescale, rounding)


def _add(op: Addition, read: list[Array], rounding: str) -> Array:
    a, b = read
    rule = op.rescale
    if rounding == ONNXRUNTIME:
        step, table, power = addition_tables(op.name, op.zeros, rule, op.lowest)
        total = to_significand(a * step + table[b - op.lowest])
        found: Array = np.clip(to_integers(total, np.array(power)), rule.low, rule.high)
        return found
    multipliers, divisor = common_divisor(op.name, rule.ratios, rule.requantization)
    total = (a - op.zeros[0]) * multipliers[0] + (b - op.zeros[1]) * multipliers[1]
    return bounded(divided(total, divisor, rule.requantization.rounding), rule)


def _average(op: Average, read: list[Array], rounding: str) -> Array:
    data = read[0] - op.zero
    sums = data.sum(axis=tuple(range(2, data.ndim)), keepdims=True)
    return _rescaled(op, sums, op.rescale, rounding)


def _average_windows(op: WindowAverage, read: list[Array], rounding: str) -> Array:
    data = np.pad(read[0] - op.zero, [(0, 0), (0, 0), *op.pads])
    there = np.ones(read[0].shape[2:], np.int64)
    there = np.pad(there, op.pads, constant_values=int(op.padding_counts))[None, None]
    sizes = _sizes(data.shape[2:], op.kernel, op.strides, op.dilations)
    places = list(itertools.product(*map(range, op.kernel)))
    sums, counts = (
        np.add.reduce([_window(values, place, sizes, op.strides, op.dilations) for place in places])
        for values in (data, there)
    )
    counts = np.broadcast_to(counts, sums.shape)
    found: Array = np.zeros(sums.shape, np.int64)
    for count, table in window_tables(op, rounding).items():
        chosen = counts == count
        found[chosen] = table[sums[chosen] + 255 * count]
    return found


def _affine(op: Affine, read: list[Array], rounding: str) -> Array:
    sums = np.sum(read, axis=0) - len(read) * op.zero
    shape = (-1, *[1] * (sums.ndim - 2))
    return _rescaled(
        op, sums * op.multipliers.reshape(shape) + op.offsets.reshape(shape), op.rescale, rounding
    )


def _concatenate(op: Concatenation, read: list[Array], rounding: str) -> Array:
    tables = concatenation_tables(op, rounding)
    return np.concatenate([t[data - op.lowest] for t, data in zip(tables, read, strict=True)], op.axis)


def _part(op: ChannelPart, read: list[Array], rounding: str) -> Array:  # noqa: ARG001
    return read[0][:, op.begin : op.begin + op.channels]


def _largest(op: Maximum, read: list[Array], rounding: str) -> Array:  # noqa: ARG001
    padded = np.pad(read[0], [(0, 0), (0, 0), *op.pads], constant_values=np.iinfo(np.int64).min)
    sizes = _sizes(padded.shape[2:], op.kernel, op.strides, op.dilations)
    places = itertools.product(*map(range, op.kernel))
    windows = [_window(padded, place, sizes, op.strides, op.dilations) for place in places]
    found: Array = np.maximum.reduce(windows)
    return found


def _view(op: View, read: list[Array], rounding: str) -> Array:  # noqa: ARG001
    return read[0].transpose(op.axes) if op.axes else read[0]


def _widen(op: Widening, read: list[Array], rounding: str) -> Array:  # noqa: ARG001
    return read[0] - op.zero


def _sizes(
    padded: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...]:
    axes = zip(padded, kernel, strides, dilations, strict=True)
    return tuple((size - dilation * (k - 1) - 1) // stride + 1 for size, k, stride, dilation in axes)


def _window(
    data: Array,
    place: tuple[int, ...],
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> Array:
    """Return what the position ``place`` of the kernel reads for each output."""
    axes = zip(place, sizes, strides, dilations, strict=True)
    cuts = [slice(p * d, p * d + s * (n - 1) + 1, s) for p, n, s, d in axes]
    return data[(slice(None), slice(None), *cuts)]


_RUN: dict[type[Operation], Callable[[Any, list[Array], str], Array]] = {
    Convolution: _convolve,
    FullyConnected: _product,
    Addition: _add,
    Average: _average,
    Maximum: _largest,
    View: _view,
    WindowAverage: _average_windows,
    Affine: _affine,
    Concatenation: _concatenate,
    ChannelPart: _part,
    Widening: _widen,
}
