"""ONNX operators to loops: shapes and attributes in, loop sizes and operands out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.operator_sets import (
    BIAS_INPUT,
    CARRIERS,
    ELEMENTWISE,
    FLOAT_NAMES,
    GLOBAL_POOLS,
    VIEWS,
    WEIGHT_INPUT,
    WINDOW_POOLS,
)
from targets.network.layer import LoopDims


def float_name(op: str) -> str:
    """Return the ONNX type of the float operator that ``op`` computes."""
    return FLOAT_NAMES.get(op, op)


def is_view(node: gs.Node) -> bool:
    """Whether ``node`` moves no data: a reshape, or a transpose that only moves axes of size 1."""
    if node.op == "Transpose":
        shape = [int(d) for d in node.inputs[0].shape]
        order = node.attrs.get("perm") or list(reversed(range(len(shape))))
        long_axes = [axis for axis in order if shape[axis] > 1]
        return long_axes == sorted(long_axes)
    return node.op in VIEWS


def weight_operand(node: gs.Node) -> gs.Constant | None:
    """Return the constant weights of a linear node, past a DequantizeLinear; ``None`` if computed."""
    return _constant(node, WEIGHT_INPUT.get(node.op, 1))


def constant_operand(node: gs.Node) -> gs.Constant | None:
    """Return the constant one of the two tensors an element-wise node combines; ``None`` without one."""
    if float_name(node.op) not in ELEMENTWISE:
        return None
    found = [c for c in (_constant(node, 0), _constant(node, 1)) if c is not None]
    return found[0] if len(found) == 1 else None


def has_bias(nodes: Sequence[gs.Node], main: gs.Node) -> bool:
    """Whether a linear layer adds a constant bias, in its main node or in its integer tail."""
    index = BIAS_INPUT.get(main.op)
    if index is not None and _constant(main, index) is not None:
        return True
    integer_adds = (n for n in nodes if n.op == "Add" and main.op == "MatMulInteger")
    return any(isinstance(t, gs.Constant) for n in integer_adds for t in n.inputs)


def stored_bits(node: gs.Node) -> int | None:
    """Return how many bits the integer weights of a linear node take in the file; ``None`` if they are float.

    Training tools store narrow weights in wide types, as float -> Q -> Clip -> DQ: then it is the range of
    the Clip that counts.
    """
    tensor = node.inputs[WEIGHT_INPUT.get(node.op, 1)]
    found = [integer_bits(tensor)]
    while tensor.inputs and tensor.inputs[0].op in CARRIERS:
        carrier = tensor.inputs[0]
        tensor = carrier.inputs[0]
        found.append(integer_bits(tensor))
        if carrier.op == "Clip" and found[-1] is not None:
            found.append(_clipped_bits(carrier))
    return min((bits for bits in found if bits is not None), default=None)


def integer_bits(tensor: gs.Tensor) -> int | None:
    """Return the bits of an integer type; ``None`` for others."""
    dtype = str(tensor.dtype)
    digits = "".join(ch for ch in dtype.rpartition(".")[2] if ch.isdigit())
    return int(digits) if "int" in dtype and digits else None


def _clipped_bits(clip: gs.Node) -> int | None:
    """Return the bits that hold all integers between the bounds of ``clip``; ``None`` if one is missing."""
    bounds = [t.values for t in clip.inputs[1:] if isinstance(t, gs.Constant)]
    if len(bounds) < 2:
        return None
    low, high = (int(np.asarray(bound).reshape(())) for bound in bounds)
    return max(1, (high - low).bit_length())


def _constant(node: gs.Node, index: int) -> gs.Constant | None:
    if index >= len(node.inputs):
        return None
    tensor = node.inputs[index]
    while tensor.inputs and tensor.inputs[0].op in CARRIERS:
        tensor = tensor.inputs[0].inputs[0]
    if tensor.inputs and tensor.inputs[0].op == "Constant":
        tensor = tensor.inputs[0].attrs.get("value", tensor)
    return tensor if isinstance(tensor, gs.Constant) else None


def loop_dims(node: gs.Node) -> LoopDims | None:
    """Return the loops of a linear or pooling node; ``None`` for others and beyond two spatial axes."""
    op = float_name(node.op)
    if op == "Conv":
        return _conv(node)
    if op in ("Gemm", "MatMul"):
        return _matmul(node)
    if op in WINDOW_POOLS:
        return _window_pool(node)
    if op in GLOBAL_POOLS:
        return _global_pool(node)
    return None


def joined_dims(chunks: Sequence[LoopDims | None]) -> LoopDims | None:
    """Return the loops of a convolution that is written in chunks of input channels."""
    first = chunks[0]
    if first is None:
        return None
    return replace(first, c=sum(chunk.c for chunk in chunks if chunk is not None))


def _matmul(node: gs.Node) -> LoopDims:
    left = [int(d) for d in node.inputs[0].shape]
    right = [int(d) for d in node.inputs[WEIGHT_INPUT.get(node.op, 1)].shape]
    if node.attrs.get("transA", 0):
        left.reverse()
    if node.attrs.get("transB", 0):
        right.reverse()
    groups = math.prod(right[:-2])
    columns = right[-1] if len(right) > 1 else 1
    # Leading axes are broadcast: the left operand may have fewer rows than the result.
    rows = math.prod(int(d) for d in node.outputs[0].shape) // (groups * columns)
    return LoopDims(rows, groups, columns, left[-1], 1, 1, 1, 1, 1, 1)


def _conv(node: gs.Node) -> LoopDims | None:
    weight = [int(d) for d in node.inputs[WEIGHT_INPUT.get(node.op, 1)].shape]
    groups = int(node.attrs.get("group", 1))
    return _spatial(node, groups, weight[0] // groups, weight[1], weight[2:])


def _window_pool(node: gs.Node) -> LoopDims | None:
    channels = int(node.inputs[0].shape[1])
    return _spatial(node, channels, 1, 1, [int(f) for f in node.attrs["kernel_shape"]])


def _global_pool(node: gs.Node) -> LoopDims | None:
    shape = [int(d) for d in node.inputs[0].shape]
    if len(shape) - 2 not in (1, 2):
        return None
    y, x = shape[2:] if len(shape) == 4 else (1, shape[2])
    return LoopDims(shape[0], shape[1], 1, 1, 1, 1, y, x, y, x, y, x)


def _spatial(node: gs.Node, g: int, k: int, c: int, kernel: list[int]) -> LoopDims | None:
    inputs = [int(d) for d in node.inputs[0].shape[2:]]
    outputs = [int(d) for d in node.outputs[0].shape[2:]]
    rank = len(inputs)
    if rank not in (1, 2):
        return None
    strides = _per_axis(node.attrs.get("strides"), [1] * rank)
    dilations = _per_axis(node.attrs.get("dilations"), [1] * rank)
    pads = _pads(node, inputs, outputs, kernel, strides, dilations)
    begin, end = pads[:rank], pads[rank:]
    if rank == 1:
        inputs, outputs, kernel = [1, *inputs], [1, *outputs], [1, *kernel]
        strides, dilations, begin, end = [1, *strides], [1, *dilations], [0, *begin], [0, *end]
    batch = int(node.inputs[0].shape[0])
    return LoopDims(batch, g, k, c, *outputs, *kernel, *inputs, *strides, *dilations, *begin, *end)


def _per_axis(attribute: Any, default: list[int]) -> list[int]:
    return [int(v) for v in attribute] if attribute else default


def _pads(
    node: gs.Node,
    inputs: list[int],
    outputs: list[int],
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
) -> list[int]:
    """Return pads (begin per axis, then end per axis), with ``auto_pad`` resolved."""
    mode = node.attrs.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        return _per_axis(node.attrs.get("pads") if mode == "NOTSET" else None, [0] * (2 * len(inputs)))
    begin, end = [], []
    for size, out, window, stride, dilation in zip(inputs, outputs, kernel, strides, dilations, strict=True):
        total = max((out - 1) * stride + (window - 1) * dilation + 1 - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(large if mode == "SAME_LOWER" else small)
        end.append(small if mode == "SAME_LOWER" else large)
    return [*begin, *end]
