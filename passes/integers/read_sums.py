"""Sums and joins of several integers on grids: additions, averages, Concat."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.integers.program import Addition, Average, Concatenation, Rescale, WindowAverage
from passes.integers.program_reader import ProgramReader, fraction, refuse, scalar, value, window

Array = np.ndarray[Any, Any]
_BYTES = (np.dtype(np.uint8), np.dtype(np.int8))


def read_addition(reader: ProgramReader, node: gs.Node) -> None:
    """Read an Add of two quantized tensors of one shape."""
    (a, a_scale, a_zero), (b, b_scale, b_zero) = (reader.dequantized(node, i) for i in (0, 1))
    if isinstance(a, gs.Constant) or isinstance(b, gs.Constant) or list(a.shape) != list(b.shape):
        raise refuse(node, "it adds a constant, or tensors of two shapes")
    quantizer = reader.quantizer(node)
    raw = quantizer.outputs[0]
    if not a.dtype == b.dtype == raw.dtype or a.dtype not in _BYTES:
        raise refuse(node, f"it adds {a.dtype} and {b.dtype} to {raw.dtype}, not bytes of one type")
    out_scale, out_zero = value(quantizer, 1), value(quantizer, 2)
    factors = np.array([np.float32(s) / np.float32(out_scale) for s in (a_scale, b_scale)], np.float32)
    ratios = [fraction(s) / fraction(out_scale) for s in (a_scale, b_scale)]
    rescale = reader.rescale(node, raw, factors, ratios, out_zero)
    zeros = (scalar(a_zero), scalar(b_zero))
    lowest = int(np.iinfo(a.dtype).min)
    name = reader.written(raw, node)
    reader.operations.append(Addition(node.name, (a.name, b.name), name, zeros, rescale, lowest))


def read_average(reader: ProgramReader, node: gs.Node) -> None:
    """Read a GlobalAveragePool."""
    data, scale, zero = reader.dequantized(node, 0)
    quantizer = reader.quantizer(node)
    out_scale, out_zero = value(quantizer, 1), value(quantizer, 2)
    count = math.prod(int(d) for d in data.shape[2:])
    factor = np.asarray(np.float32(scale) / (np.float32(out_scale) * np.float32(count)))
    ratio = fraction(scale) / fraction(out_scale) / count
    raw = quantizer.outputs[0]
    rescale = reader.rescale(node, raw, factor, [ratio], out_zero)
    name = reader.written(raw, node)
    reader.operations.append(Average(node.name, (data.name,), name, scalar(zero), rescale))


def read_window_average(reader: ProgramReader, node: gs.Node) -> None:
    """Read an AveragePool over windows.

    onnxruntime adds up floats. With a step that is a power of two these are whole multiples of it, and no sum
    is rounded; with another step the order of its additions would count.
    """
    data, scale, zero = reader.dequantized(node, 0)
    if math.frexp(float(scale.reshape(())))[0] != 0.5:
        raise refuse(
            node, "its input has a step that is no power of two: onnxruntime's sums are rounded floats"
        )
    if node.attrs.get("ceil_mode", 0):
        raise refuse(node, "it rounds its size up")
    quantizer = reader.quantizer(node)
    step, out_step, out_zero = np.float32(scale), np.float32(value(quantizer, 1)), value(quantizer, 2)
    kernel = tuple(int(k) for k in node.attrs["kernel_shape"])
    strides, dilations, pads = window(node, len(kernel))
    padded = bool(node.attrs.get("count_include_pad", 0))
    raw = quantizer.outputs[0]
    name = reader.written(raw, node)
    ratio = fraction(scale) / fraction(value(quantizer, 1))
    counts = {math.prod(kernel)}
    if not padded:
        sizes = zip(data.shape[2:], reader.shapes[name][2:], kernel, strides, dilations, pads, strict=True)
        per_axis = [_positions(*axis) for axis in sizes]
        counts = {math.prod(found) for found in itertools.product(*per_axis)}
    rescales, tables = {}, {}
    for count in sorted(counts):
        rescales[count] = reader.rescale(node, raw, step / out_step, [ratio / count], out_zero)
        sums = np.arange(-255 * count, 255 * count + 1).astype(np.float32)
        means = sums * step / np.float32(count) / out_step
        tables[count] = _on_grid(means, rescales[count])
    reader.operations.append(
        WindowAverage(
            node.name,
            (data.name,),
            name,
            kernel,
            strides,
            dilations,
            pads,
            scalar(zero),
            padded,
            rescales,
            tables,
        )
    )


def _positions(
    size: int, outputs: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> set[int]:
    """Return how many positions of a window lie within one axis, for all windows."""
    starts = [k * stride - pads[0] for k in range(outputs)]
    return {sum(0 <= start + tap * dilation < size for tap in range(kernel)) for start in starts}


def _on_grid(values: Array, rule: Rescale) -> Array:
    """Return what QuantizeLinear makes of float32 values over its step; it adds the zero point as float32."""
    found: Array = np.clip(np.rint(values + np.float32(rule.zero)), rule.low, rule.high).astype(np.int64)
    return found


def read_concatenation(reader: ProgramReader, node: gs.Node) -> None:
    """Read a Concat of quantized tensors, each with a grid of its own."""
    read = [reader.dequantized(node, index) for index in range(len(node.inputs))]
    if any(isinstance(tensor, gs.Constant) for tensor, _, _ in read):
        raise refuse(node, "it joins a constant")
    quantizer = reader.quantizer(node)
    raw, out_step = quantizer.outputs[0], np.float32(value(quantizer, 1))
    types = {np.dtype(tensor.dtype) for tensor, _, _ in read} | {np.dtype(raw.dtype)}
    axis = int(node.attrs["axis"]) % len(raw.shape)
    if len(types) > 1 or not types <= set(_BYTES) or axis == 0:
        raise refuse(node, "it joins images, or tensors of several types")
    lowest = int(np.iinfo(raw.dtype).min)
    every = np.arange(lowest, lowest + 256)
    rescales, tables, out_zero = [], [], value(quantizer, 2)
    for _, scale, zero in read:
        ratio = fraction(scale) / fraction(out_step)
        rescale = reader.rescale(node, raw, np.float32(scale) / out_step, [ratio], out_zero)
        real = (every - scalar(zero)).astype(np.float32) * np.float32(scale)
        rescales.append(rescale)
        tables.append(_on_grid(real / out_step, rescale))
    reader.operations.append(
        Concatenation(
            node.name, tuple(tensor.name for tensor, _, _ in read), reader.written(raw, node), axis, lowest,
            tuple(scalar(zero) for _, _, zero in read), tuple(rescales), tuple(tables),
        )
    )  # fmt: skip
