"""Canonical rules for activations: bounds become one Clip, and a Clip at zero becomes Relu."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.rewrite.rewriter import Rewriter, constant_input, detach, dims, optional_input, producer_of

_INF = float("inf")
Bounds = tuple[float, float]


def bounds_of(node: gs.Node) -> Bounds | None:
    """Return (low, high) of a Relu or a Clip with constant bounds, None for everything else.

    A bound that is left out, or that no number exceeds, is infinite.
    """
    if node.op == "Relu":
        return 0.0, _INF
    if node.op != "Clip":
        return None
    found = [-_INF, _INF]
    for index in (1, 2):
        if optional_input(node, index) is None:
            continue
        value = constant_input(node, index)
        if value is None or value.size != 1:
            return None
        found[index - 1] = float(value.reshape(-1)[0])
    low, high = found
    if _leaves_nothing(low, high):
        return None
    limit = _limit(node)
    return (low if low > -limit else -_INF), (high if high < limit else _INF)


def _leaves_nothing(low: float, high: float) -> bool:
    """Whether all becomes infinite: such bounds look like none, and are left as they are."""
    return low == _INF or high == -_INF


def _limit(node: gs.Node) -> float:
    dtype = np.dtype(node.inputs[0].dtype)
    return float(np.finfo(dtype).max) if dtype.kind == "f" else _INF


def minmax_to_clip(rw: Rewriter, node: gs.Node) -> bool:
    """Min or Max of a tensor and one constant number is a Clip."""
    if len(node.inputs) != 2 or np.dtype(node.outputs[0].dtype).kind != "f":
        return False
    for data, bound in (node.inputs, reversed(node.inputs)):
        number = isinstance(bound, gs.Constant) and bound.values.size == 1
        if number and not isinstance(data, gs.Constant) and dims(data) == dims(node.outputs[0]):
            value = float(bound.values.reshape(-1)[0])
            bounds = (-_INF, value) if node.op == "Min" else (value, _INF)
            if _leaves_nothing(*bounds):
                return False
            _write(rw, node, data, bounds)
            return True
    return False


def merge_clips(rw: Rewriter, node: gs.Node) -> bool:
    """A bounded activation behind another one is one of them; a Clip with plain bounds is written plainly."""
    bounds = bounds_of(node)
    if bounds is None or np.dtype(node.inputs[0].dtype).kind != "f":
        return False
    data = node.inputs[0]
    first = producer_of(data)
    inner = bounds_of(first) if first is not None else None
    if first is not None and inner is not None and rw.sole_reader(data):
        low, high = bounds
        merged = (min(max(inner[0], low), high), min(max(inner[1], low), high))
        rw.inherit(node, [first])
        source = first.inputs[0]
        detach(first)
        _write(rw, node, source, merged)
        return True
    if _is_plain(node, bounds):
        return False
    _write(rw, node, data, bounds)
    return True


def _is_plain(node: gs.Node, bounds: Bounds) -> bool:
    if node.op == "Relu":
        return True
    if bounds == (0.0, _INF):
        return False
    for index, bound in ((1, bounds[0]), (2, bounds[1])):
        tensor = optional_input(node, index)
        if (tensor is None) != (abs(bound) == _INF) or (tensor is not None and dims(tensor) != ()):
            return False
    return True


def _write(rw: Rewriter, node: gs.Node, data: gs.Tensor, bounds: Bounds) -> None:
    """Make ``node`` the plain form of clipping ``data`` to ``bounds``."""
    node.attrs.clear()
    if bounds == (0.0, _INF):
        node.op = "Relu"
        node.inputs = [data]
        return
    node.op = "Clip"
    inputs = [data]
    for bound, suffix in zip(bounds, ("min", "max"), strict=True):
        if abs(bound) == _INF:
            inputs.append(gs.Variable.empty())
        else:
            inputs.append(rw.constant(f"{node.name}_{suffix}", np.array(bound, data.dtype)))
    if inputs[-1].is_empty():
        inputs.pop()
    if len(inputs) == 2 and inputs[1].is_empty():
        inputs.pop()
    node.inputs = inputs
