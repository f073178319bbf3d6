"""Canonical rules for linear operators: Gemm in one form, scales and offsets inside the weights."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.views import permutation
from passes.model.constants import is_symbolic
from passes.operator_sets import CARRIERS, REWRITABLE_LINEAR
from passes.rewrite.rewriter import (
    Array,
    Rewriter,
    constant_input,
    dims,
    optional_input,
    producer_of,
)
from passes.rewrite.weights import channel_values, scale_outputs, set_constant, why_not_constant


def matmul_to_gemm(rw: Rewriter, node: gs.Node) -> bool:
    """MatMul of [N, K] with a constant [K, M] is a Gemm."""
    data, weights = node.inputs
    if not is_weight(weights) or len(dims(weights)) != 2:
        return rw.decline(node, "its second operand is not a constant matrix, so it is no Gemm")
    if len(dims(data)) != 2:
        return rw.decline(node, f"its input has rank {len(dims(data))}, a Gemm takes rank 2")
    node.op = "Gemm"
    node.attrs.clear()
    return plain_gemm(rw, node) or True


def is_weight(tensor: gs.Tensor) -> bool:
    """Whether ``tensor`` is constant, or a constant that is quantized and widened again."""
    while (above := producer_of(tensor)) is not None and above.op in CARRIERS:
        tensor = above.inputs[0]
    return isinstance(tensor, gs.Constant)


def plain_gemm(rw: Rewriter, node: gs.Node) -> bool:
    """Write a Gemm with transB=1, alpha=beta=1 and a bias of shape [M]."""
    weights = constant_input(node, 1)
    if weights is None and is_weight(node.inputs[1]) and not node.attrs.get("transA", 0):
        return _transpose_quantized(rw, node)
    if weights is None or node.attrs.get("transA", 0):
        return rw.decline(node, "its weights are computed, or its input is transposed")
    bias = constant_input(node, 2)
    if bias is None and optional_input(node, 2) is not None:
        return rw.decline(node, "its bias is computed, not constant")
    changed = False
    if not node.attrs.get("transB", 0):
        weights = _transposed(weights)
        changed = True
    alpha, beta = float(node.attrs.get("alpha", 1.0)), float(node.attrs.get("beta", 1.0))
    if alpha != 1.0 and not is_symbolic(weights):
        weights = (weights.astype(np.float64) * alpha).astype(weights.dtype)
        changed = True
    if changed:
        set_constant(rw, node, 1, weights)
    channels = weights.shape[0]
    if bias is not None and (beta != 1.0 or bias.shape != (channels,)):
        values = np.broadcast_to(bias.astype(np.float64).reshape(-1) * beta, (channels,))
        set_constant(rw, node, 2, np.ascontiguousarray(values).astype(bias.dtype))
        changed = True
    wanted = {"alpha": 1.0, "beta": 1.0, "transB": 1}
    changed |= dict(node.attrs) != wanted
    node.attrs.clear()
    node.attrs.update(wanted)
    return changed


def _transpose_quantized(rw: Rewriter, node: gs.Node) -> bool:
    """Give a Gemm with quantized weights transB=1: the Transpose in front of it moves onto the integers."""
    if node.attrs.get("transB", 0):
        return False
    weights = node.inputs[1]
    turned = rw.variable(f"{weights.name}_t", reversed(dims(weights)), weights.dtype)
    rw.insert("Transpose", [weights], turned, [node], perm=[1, 0])
    node.inputs[1] = turned
    node.attrs["transB"] = 1
    return True


def _transposed(matrix: Array) -> Array:
    return matrix.T if is_symbolic(matrix) else np.ascontiguousarray(matrix.T)


def fold_affine(rw: Rewriter, node: gs.Node) -> bool:
    """Add, Sub, Mul or Div by one constant per channel behind a linear operator goes into its weights."""
    for position in (0, 1):
        data, factor = node.inputs[position], node.inputs[1 - position]
        linear = producer_of(data)
        if linear is None or linear.op not in REWRITABLE_LINEAR or dims(data) != dims(node.outputs[0]):
            continue
        values = channel_values(factor, data)
        if values is None or (position == 1 and node.op == "Div"):
            continue
        reason = why_not_constant(linear)
        if reason is None and not rw.sole_reader(data):
            reason = f"more than one node reads the output of {linear.op} '{linear.name}'"
        if reason is None and node.op == "Div" and not _divides(values, data):
            reason = "it divides by 0, or by a number so small that its inverse is infinite"
        if reason is not None:
            return rw.decline(node, reason)
        scale, shift = _affine(node.op, values, constant_first=position == 1)
        scale_outputs(rw, linear, scale, shift)
        rw.absorb(node, linear)
        return True
    return False


def _divides(values: Array, data: gs.Tensor) -> bool:
    """Whether the inverse of each value is a number in the type of ``data``."""
    with np.errstate(divide="ignore", over="ignore"):
        return bool(np.isfinite((1.0 / values).astype(data.dtype)).all())


def _affine(op: str, values: Array, constant_first: bool) -> tuple[Array, Array]:
    ones, zeros = np.ones_like(values), np.zeros_like(values)
    if op == "Mul":
        return values, zeros
    if op == "Div":
        return 1.0 / values, zeros
    if op == "Sub":
        return (-ones, values) if constant_first else (ones, -values)
    return ones, values


def flatten_order(rw: Rewriter, node: gs.Node) -> bool:
    """A Transpose that only feeds a Flatten in front of Gemms is a permutation of their weights."""
    flatten = producer_of(node.inputs[0])
    if flatten is None or flatten.op != "Flatten" or rw.is_mount(node.inputs[0]):
        return False
    if flatten.attrs.get("axis", 1) != 1:  # it moves the batch axis, or it would be written plainly
        return False
    transpose = producer_of(flatten.inputs[0])
    if transpose is None or transpose.op != "Transpose" or rw.is_mount(flatten.inputs[0]):
        return False
    perm = permutation(transpose)
    weights = constant_input(node, 1)
    if perm[0] != 0 or weights is None or not node.attrs.get("transB", 0):
        return rw.decline(transpose, f"the weights of {node.op} '{node.name}' behind it cannot be permuted")
    if rw.is_input(transpose.inputs[0]):
        return False
    inverse = [perm.index(axis) for axis in range(len(perm))]
    seen = dims(transpose.outputs[0])[1:]
    blocks = weights.reshape(weights.shape[0], *seen)
    moved = blocks.transpose(inverse).reshape(weights.shape)
    set_constant(rw, node, 1, moved if is_symbolic(weights) else np.ascontiguousarray(moved))
    flat = rw.variable(f"{flatten.outputs[0].name}_nchw", dims(node.inputs[0]), flatten.outputs[0].dtype)
    rw.insert("Flatten", [transpose.inputs[0]], flat, [flatten, transpose], axis=1)
    node.inputs[0] = flat
    return True
