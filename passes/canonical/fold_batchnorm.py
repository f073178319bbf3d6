"""The fold-batchnorm pass: BatchNormalization becomes part of a linear operator's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.canonical.linear import fold_affine
from passes.operator_sets import REWRITABLE_LINEAR
from passes.rewrite.rewriter import Array, Rewriter, Rule, constant_input, dims, producer_of
from passes.rewrite.weights import scale_inputs, scale_outputs, why_not_constant

_EPSILON = 1e-5  # the default of the ONNX operator


def _scale_and_shift(node: gs.Node) -> tuple[Array, Array] | None:
    """Return what a BatchNormalization computes as ``scale * x + shift``; None if that is no number."""
    found = [constant_input(node, index) for index in range(1, 5)]
    gamma, beta, mean, variance = (None if v is None else v.astype(np.float64) for v in found)
    if gamma is None or beta is None or mean is None or variance is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = gamma / np.sqrt(variance + float(node.attrs.get("epsilon", _EPSILON)))
        affine = scale, beta - mean * scale
        finite = all(np.isfinite(values.astype(node.inputs[0].dtype)).all() for values in affine)
    return affine if finite else None


def _why_not(node: gs.Node) -> str:
    if all(constant_input(node, index) is not None for index in range(1, 5)):
        return "of a channel, variance and epsilon are too small together: it would be multiplied by infinity"
    return "its parameters are computed, not constant"


def fold_back(rw: Rewriter, node: gs.Node) -> bool:
    """BatchNormalization behind a linear operator goes into its weights and bias."""
    affine = _scale_and_shift(node)
    if affine is None:
        return rw.decline(node, _why_not(node))
    data = node.inputs[0]
    linear = producer_of(data)
    if linear is None or linear.op not in REWRITABLE_LINEAR:
        return False
    reason = why_not_constant(linear)
    if reason is None and not rw.sole_reader(data):
        reason = f"more than one node reads the output of {linear.op} '{linear.name}'"
    if reason is not None:
        return rw.decline(node, reason)
    scale_outputs(rw, linear, *affine)
    rw.absorb(node, linear)
    return True


def fold_forward(rw: Rewriter, node: gs.Node) -> bool:
    """BatchNormalization in front of an unpadded Conv or a Gemm goes into its weights and bias."""
    affine, result = _scale_and_shift(node), node.outputs[0]
    if affine is None or not rw.sole_reader(result):
        return False
    linear = result.outputs[0]
    if linear.op not in ("Conv", "Gemm") or linear.inputs[0] is not result:
        return False
    reason = why_not_constant(linear)
    padded = any(linear.attrs.get("pads", ())) or linear.attrs.get("auto_pad", "NOTSET") not in (
        "NOTSET",
        "VALID",
    )
    if reason is None and padded and affine[1].any():
        reason = f"{linear.op} '{linear.name}' behind it pads with zeros, which its offset would shift"
    if reason is not None:
        return rw.decline(node, reason)
    scale_inputs(rw, linear, *affine)
    rw.inherit(linear, [node])
    return rw.replace(result, node.inputs[0])


def split_alone(rw: Rewriter, node: gs.Node) -> bool:
    """BatchNormalization with nowhere to go is a Mul and an Add by constants."""
    affine = _scale_and_shift(node)
    if affine is None:
        return False
    data, result = node.inputs[0], node.outputs[0]
    shape = (-1, *(1 for _ in dims(data)[2:]))
    scale, shift = (values.astype(data.dtype).reshape(shape) for values in affine)
    scaled = rw.variable(f"{result.name}_scaled", dims(data), data.dtype)
    node.op = "Mul"
    node.attrs.clear()
    node.inputs = [data, rw.constant(f"{node.name}_scale", scale)]
    node.outputs = [scaled]
    rw.insert("Add", [scaled, rw.constant(f"{node.name}_shift", shift)], result, [node])
    return True


def _rules_for(op: str) -> Sequence[Rule]:
    if op == "BatchNormalization":
        return (fold_back, fold_forward)
    return (fold_affine,) if op in ("Add", "Sub", "Mul", "Div") else ()


def _last_rules_for(op: str) -> Sequence[Rule]:
    return (split_alone,) if op == "BatchNormalization" else ()


@dataclass(frozen=True)
class FoldBatchnorm(Pass):
    """Take BatchNormalization out of the network.

    1. Behind a Conv, ConvTranspose or Gemm that nothing else reads: into its weights and bias.
    2. In front of a Conv without padding, or a Gemm: into its weights and bias.
    3. Add, Sub, Mul and Div by one constant per channel that thereby stand behind a linear
       operator go the same way.
    4. Anywhere else: a Mul and an Add by constants per channel, which any target can place.

    Folding is computed in float64 and rounded once. A node whose parameters are not constant,
    or would make weights infinite, stays.
    """

    name: ClassVar[str] = "fold-batchnorm"

    def run(self, graph: gs.Graph) -> bool:
        """Fold what can be folded, then split the rest."""
        rewriter = Rewriter(graph, self.name)
        changed = rewriter.apply(_rules_for)
        return rewriter.apply(_last_rules_for) or changed
