"""Canonical rules for what needs no operator: constants and nodes that change nothing."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.constants import evaluate, is_known
from passes.rewrite.rewriter import (
    Rewriter,
    constant_input,
    dims,
    optional_input,
    redirect,
)

_MAX_ELEMENTS = 1 << 24


def fold_constant(rw: Rewriter, node: gs.Node) -> bool:
    """Replace a node whose inputs are all known, or the Shape or Size of a static tensor, by its value."""
    if not is_known(node) or any(rw.is_output(t) for t in node.outputs):
        return False
    used = [t for t in node.outputs if t.outputs]
    if any(t.shape is None for t in used) or sum(np.prod(dims(t)) for t in used) > _MAX_ELEMENTS:
        return rw.decline(node, f"its constant result is larger than {_MAX_ELEMENTS} elements")
    for tensor, values in zip(node.outputs, evaluate(node, rw.graph.opset, rw.state.symbolic), strict=True):
        if tensor.outputs:
            redirect(tensor, gs.Constant(tensor.name, values))
    node.inputs.clear()
    node.outputs.clear()
    return True


def drop_noop(rw: Rewriter, node: gs.Node) -> bool:
    """Remove a node whose first output equals its first input."""
    unused_extra = all(not t.outputs and not rw.is_output(t) for t in node.outputs[1:])
    if not unused_extra or isinstance(node.inputs[0], gs.Constant) or not NOOPS[node.op](node):
        return False
    return rw.replace(node.outputs[0], node.inputs[0])


def _always(_: gs.Node) -> bool:
    return True


def _inference_dropout(node: gs.Node) -> bool:
    training = constant_input(node, 2)
    absent = optional_input(node, 2) is None
    return absent or (training is not None and not bool(training.reshape(-1)[0]))


def _same_type(node: gs.Node) -> bool:
    given, made = node.inputs[0].dtype, node.outputs[0].dtype
    return given is not None and made is not None and np.dtype(given) == np.dtype(made)


def _same_shape(node: gs.Node) -> bool:
    return dims(node.inputs[0]) == dims(node.outputs[0])


def _same_order(node: gs.Node) -> bool:
    perm = [int(p) for p in node.attrs.get("perm", reversed(range(len(dims(node.inputs[0])))))]
    return perm == sorted(perm)


def _single(node: gs.Node) -> bool:
    return len(node.inputs) == 1


def _pads_nothing(node: gs.Node) -> bool:
    pads = constant_input(node, 1)
    return pads is not None and not pads.any()


def _takes_all(node: gs.Node) -> bool:
    steps = constant_input(node, 4)
    forward = optional_input(node, 4) is None or (steps is not None and bool((steps > 0).all()))
    return forward and _same_shape(node)


def _pools_one_element(node: gs.Node) -> bool:
    if "Global" in node.op:
        return all(d == 1 for d in dims(node.inputs[0])[2:])
    kernel = node.attrs.get("kernel_shape", [])
    return _same_shape(node) and bool(kernel) and all(k == 1 for k in kernel)


def _unbounded(node: gs.Node) -> bool:
    return all(optional_input(node, index) is None for index in (1, 2))


NOOPS = {
    "Identity": _always,
    "Dropout": _inference_dropout,
    "Cast": _same_type,
    "Reshape": _same_shape,
    "Flatten": _same_shape,
    "Squeeze": _same_shape,
    "Unsqueeze": _same_shape,
    "Expand": _same_shape,
    "Tile": _same_shape,
    "Transpose": _same_order,
    "Pad": _pads_nothing,
    "Slice": _takes_all,
    "Clip": _unbounded,
    "AveragePool": _pools_one_element,
    "MaxPool": _pools_one_element,
    "GlobalAveragePool": _pools_one_element,
    "GlobalMaxPool": _pools_one_element,
    **dict.fromkeys(("Concat", "Sum", "Mean", "Max", "Min"), _single),
}
