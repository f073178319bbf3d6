"""Canonical rules for normalizations that exporters write out: LayerNormalization, GroupNormalization."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.constants import is_symbolic
from passes.operator_sets import RESHAPES
from passes.rewrite.rewriter import Array, Rewriter, constant_input, dims, producer_of
from passes.rewrite.weights import set_constant

NORMS = frozenset({"LayerNormalization", "GroupNormalization"})


def layer_norm(rw: Rewriter, node: gs.Node) -> bool:
    """(x - mean(x)) / sqrt(variance(x) + epsilon) over the last axes is LayerNormalization.

    ``node`` is the Div, or the Mul by a Reciprocal, at its end.
    """
    for centered, spread in (node.inputs, reversed(node.inputs)):
        inverse = [] if node.op == "Div" else _written_by(rw, spread, "Reciprocal")
        if node.op != "Div":
            if not inverse:
                continue
            spread = inverse[0].inputs[0]  # noqa: PLW2901 - what is divided by
        found = _deviation(rw, spread)
        sub = producer_of(centered)
        if found is None or sub is None or sub.op != "Sub" or centered is not found[0]:
            if node.op == "Div":
                return False
            continue
        _, epsilon, axes, nodes = found
        data, mean = sub.inputs
        means = _written_by(rw, mean, "ReduceMean")
        inside = {id(n) for n in (*nodes, node)}
        if not means or means[0].inputs[0] is not data or _mean_axes(means[0]) != axes:
            return False
        if any(id(reader) not in inside for reader in centered.outputs) or rw.is_output(centered):
            return False
        shape = dims(data)
        if axes != tuple(range(axes[0], len(shape))):
            return rw.decline(
                node, f"it is normalized over the axes {list(axes)}, which are not the last ones"
            )
        rw.inherit(node, [*nodes, *inverse, sub, *means])
        ones = rw.constant(f"{node.name}_scale", np.ones(shape[axes[0] :], np.float32))
        node.op = "LayerNormalization"
        node.attrs.clear()
        node.attrs.update(axis=axes[0], epsilon=epsilon)
        node.inputs = [data, ones]
        return True
    return False


def _written_by(rw: Rewriter, tensor: gs.Tensor, op: str) -> list[gs.Node]:
    """Return the ``op`` that writes ``tensor`` for one reader alone, in a list; empty if there is none."""
    found = rw.sole_writer(tensor, op)
    return [] if found is None else [found]


def _mean_axes(node: gs.Node) -> tuple[int, ...] | None:
    axes = constant_input(node, 1)
    if axes is None or not node.attrs.get("keepdims", 1):
        return None
    rank = len(dims(node.inputs[0]))
    return tuple(sorted(int(axis) % rank for axis in axes.reshape(-1)))


def _deviation(
    rw: Rewriter, tensor: gs.Tensor
) -> tuple[gs.Tensor, float, tuple[int, ...], list[gs.Node]] | None:
    """Return d, epsilon, axes and nodes, if ``tensor`` is sqrt(mean(d²) + epsilon)."""
    for root in _written_by(rw, tensor, "Sqrt"):
        for add in _written_by(rw, root.inputs[0], "Add"):
            for variance, constant in (add.inputs, reversed(add.inputs)):
                single = isinstance(constant, gs.Constant) and constant.values.size == 1
                means = _written_by(rw, variance, "ReduceMean") if single else []
                axes = _mean_axes(means[0]) if means else None
                square = producer_of(means[0].inputs[0]) if means else None
                if axes and square is not None and rw.sole_reader(means[0].inputs[0]) and _squares(square):
                    epsilon = float(np.asarray(constant.values).reshape(-1)[0])
                    return square.inputs[0], epsilon, axes, [root, add, means[0], square]
    return None


def _squares(node: gs.Node) -> bool:
    if node.op == "Mul":
        return node.inputs[0] is node.inputs[1]
    exponent = constant_input(node, 1) if node.op == "Pow" else None
    return exponent is not None and exponent.size == 1 and float(exponent.reshape(-1)[0]) == 2.0


def group_norm(rw: Rewriter, node: gs.Node) -> bool:
    """InstanceNormalization of channels that a view joins in groups is GroupNormalization.

    ``node`` is the view back to the shape there was.
    """
    instances = _written_by(rw, node.inputs[0], "InstanceNormalization") if node.inputs else []
    if not instances:
        return False
    (instance,) = instances
    joined = producer_of(instance.inputs[0])
    if joined is None or joined.op not in RESHAPES or not rw.sole_reader(instance.inputs[0]):
        return False
    data, groups = joined.inputs[0], dims(instance.inputs[0])[1]
    shape, grouped = dims(data), dims(instance.inputs[0])
    if dims(node.outputs[0]) != shape or len(shape) < 3 or shape[:1] != grouped[:1] or shape[1] % groups:
        return False
    scale, bias = constant_input(instance, 1), constant_input(instance, 2)
    if scale is None or bias is None or is_symbolic(scale) or (scale != 1).any() or (bias != 0).any():
        return False
    rw.inherit(node, [instance, joined])
    node.op = "GroupNormalization"
    node.attrs.clear()
    node.attrs.update(num_groups=groups, epsilon=float(instance.attrs.get("epsilon", 1e-5)))
    ones, zeros = np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)
    node.inputs = [
        data,
        rw.constant(f"{node.name}_scale", ones),
        rw.constant(f"{node.name}_bias", zeros),
    ]
    return True


def absorb_affine(rw: Rewriter, node: gs.Node) -> bool:
    """Mul or Add by constants behind a normalization goes into its scale and bias."""
    if node.op not in ("Mul", "Add"):
        return False
    for data, factor in (node.inputs, reversed(node.inputs)):
        norm = producer_of(data)
        if norm is None or norm.op not in NORMS or not isinstance(factor, gs.Constant):
            continue
        scale = constant_input(norm, 1)
        if not rw.sole_reader(data) or scale is None or dims(data) != dims(node.outputs[0]):
            return False
        values = _along(norm, np.asarray(factor.values), dims(data))
        if values is None or is_symbolic(scale) or is_symbolic(values):
            return False
        bias = constant_input(norm, 2)
        if node.op == "Mul":
            set_constant(rw, norm, 1, (scale * values).astype(scale.dtype))
            bias = None if bias is None else bias * values
        else:
            bias = values if bias is None else bias + values
        if bias is not None:
            set_constant(rw, norm, 2, bias.astype(scale.dtype))
        rw.absorb(node, norm)
        return True
    return False


def _along(norm: gs.Node, values: Array, shape: Sequence[int]) -> Array | None:
    """Return ``values`` in the shape of the scale of ``norm``; ``None`` if they vary along other axes."""
    whole = (1,) * (len(shape) - values.ndim) + values.shape
    if norm.op == "GroupNormalization":
        fits = math.prod(whole) == whole[1]
        return np.broadcast_to(values.reshape(-1), (shape[1],)) if fits else None
    axis = int(norm.attrs.get("axis", -1)) % len(shape)
    if any(size != 1 for size in whole[:axis]):
        return None
    return np.broadcast_to(values.reshape(whole[axis:]), tuple(shape[axis:]))
