"""Arithmetic on the constant weights of Conv, ConvTranspose and Gemm nodes.

All in float64, then rounded once to the type of the weights. Symbolic weights are kept as they
are: their shapes do not change and their values mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.constants import is_symbolic
from passes.rewrite.rewriter import Array, Rewriter, constant_input, dims, optional_input


def why_not_constant(node: gs.Node) -> str | None:
    """Return why the weights of a linear node cannot be rewritten, or None if they can."""
    for index, what in ((1, "weights"), (2, "bias")):
        tensor = optional_input(node, index)
        if tensor is not None and not isinstance(tensor, gs.Constant):
            return f"the {what} of {node.op} '{node.name}' are computed, not constant"
    if node.op == "Gemm" and not _plain_gemm(node):
        return f"Gemm '{node.name}' has transA, alpha or beta that canonicalize could not fold"
    return None


def _plain_gemm(node: gs.Node) -> bool:
    scaled = node.attrs.get("alpha", 1.0) != 1.0 or node.attrs.get("beta", 1.0) != 1.0
    return not scaled and not node.attrs.get("transA", 0)


def out_channels(node: gs.Node) -> int:
    """Return the number of output channels of a linear node."""
    shape = dims(node.outputs[0])
    return shape[1]


def scale_outputs(rw: Rewriter, node: gs.Node, scale: Array, shift: Array) -> None:
    """Make ``node`` compute ``scale * y + shift`` per output channel instead of ``y``.

    Args:
        rw: The rewriting session.
        node: A linear node for which :func:`why_not_constant` is None.
        scale: Factors, shape [out channels].
        shift: Offsets, shape [out channels].
    """
    weights = np.asarray(node.inputs[1].values)
    if not is_symbolic(weights):
        factors = np.asarray(scale, np.float64).reshape(_output_axes(node, weights))
        grouped = weights.astype(np.float64).reshape(_grouped_shape(node, weights))
        set_constant(rw, node, 1, (grouped * factors).reshape(weights.shape).astype(weights.dtype))
    bias = _bias(node) * np.asarray(scale, np.float64) + np.asarray(shift, np.float64)
    _set_bias(rw, node, bias, weights.dtype)


def scale_inputs(rw: Rewriter, node: gs.Node, scale: Array, shift: Array) -> None:
    """Make an unpadded Conv, or a Gemm, read ``x`` where it read ``scale * x + shift``.

    Args:
        rw: The rewriting session.
        node: A Conv without padding or a Gemm, for which :func:`why_not_constant` is None.
        scale: Factors, shape [input channels].
        shift: Offsets, shape [input channels].
    """
    weights = np.asarray(node.inputs[1].values)
    if is_symbolic(weights):
        _set_bias(rw, node, _bias(node), weights.dtype)
        return
    values = weights.astype(np.float64)
    if node.op == "Gemm":
        matrix = values if node.attrs.get("transB", 0) else values.T
        added = matrix @ shift
        scaled = matrix * scale
        new = scaled if node.attrs.get("transB", 0) else scaled.T
    else:
        groups = int(node.attrs.get("group", 1))
        grouped = values.reshape(groups, values.shape[0] // groups, values.shape[1], -1)
        added = np.einsum("goik,gi->go", grouped, shift.reshape(groups, -1)).reshape(-1)
        new = (grouped * scale.reshape(groups, 1, -1, 1)).reshape(values.shape)
    set_constant(rw, node, 1, np.ascontiguousarray(new).astype(weights.dtype))
    _set_bias(rw, node, _bias(node) + added, weights.dtype)


def set_constant(rw: Rewriter, node: gs.Node, index: int, values: Array) -> None:
    """Give input ``index`` of ``node`` new values, under its old name where nothing else reads it."""
    old = optional_input(node, index)
    if isinstance(old, gs.Constant) and len(old.outputs) == 1:
        old.values = values
        return
    stem = old.name if old is not None else f"{node.name}_{'bias' if index == 2 else 'weight'}"
    new = rw.constant(stem, values)
    while len(node.inputs) <= index:
        node.inputs.append(gs.Variable.empty())
    node.inputs[index] = new


def _bias(node: gs.Node) -> Array:
    bias = constant_input(node, 2)
    channels = out_channels(node)
    if bias is None:
        return np.zeros(channels)
    return np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,))


def _set_bias(rw: Rewriter, node: gs.Node, bias: Array, dtype: Any) -> None:
    set_constant(rw, node, 2, np.ascontiguousarray(bias).astype(dtype))


def _grouped_shape(node: gs.Node, weights: Array) -> tuple[int, ...]:
    if node.op != "ConvTranspose":
        return tuple(weights.shape)
    groups = int(node.attrs.get("group", 1))
    return groups, weights.shape[0] // groups, *weights.shape[1:]


def _output_axes(node: gs.Node, weights: Array) -> tuple[int, ...]:
    if node.op == "Gemm" and not node.attrs.get("transB", 0):
        return (1, -1)
    if node.op == "ConvTranspose":
        groups = int(node.attrs.get("group", 1))
        return (groups, 1, -1, *(1 for _ in weights.shape[2:]))
    return (-1, *(1 for _ in weights.shape[1:]))


def channel_values(tensor: gs.Tensor, like: gs.Tensor) -> Array | None:
    """Return constant ``tensor`` as one float64 value per channel of ``like``, or None if it is not that."""
    if not isinstance(tensor, gs.Constant):
        return None
    shape, target = dims(tensor), dims(like)
    if len(shape) > len(target):
        return None
    padded = (1,) * (len(target) - len(shape)) + shape
    channels = target[1]
    if any(d != 1 for axis, d in enumerate(padded) if axis != 1) or padded[1] not in (1, channels):
        return None
    return np.broadcast_to(np.asarray(tensor.values, np.float64).reshape(-1), (channels,))
