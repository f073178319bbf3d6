"""Constants: nodes whose result is known before any image is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx.reference
import onnx_graphsurgeon as gs

Array = np.ndarray[Any, Any]

# Weights behind a DequantizeLinear are a statement about precision, not arithmetic left undone.
KEPT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "If", "Loop", "Scan"})
RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def is_known(node: gs.Node) -> bool:
    """Whether the outputs of ``node`` follow from constants, or from the static shape that it asks for."""
    if node.op in KEPT or node.op in RANDOM:
        return False
    if node.op in ("Shape", "Size"):
        shape = node.inputs[0].shape
        return shape is not None and all(isinstance(d, int) and d >= 0 for d in shape)
    return all(isinstance(t, gs.Constant) or t.is_empty() for t in node.inputs)


def is_symbolic(values: Array) -> bool:
    """Whether ``values`` stand for absent weights: an array of ones that takes no memory."""
    return values.size > 1 and not any(values.strides)


def value_of(tensor: gs.Tensor) -> Array | None:
    """Return the values of a constant, whether it is one of the file or what a node Constant writes."""
    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    node = tensor.inputs[0] if tensor.inputs else None
    if node is None or node.op != "Constant":
        return None
    ((name, value),) = node.attrs.items()
    if name == "value":
        return np.asarray(value.values)
    kinds = {
        "value_int": np.int64,
        "value_ints": np.int64,
        "value_float": np.float32,
        "value_floats": np.float32,
    }
    return np.array(value, kinds[name]) if name in kinds else None


def evaluate(node: gs.Node, opset: int, symbolic: bool = False) -> list[Array]:
    """Return the values of all outputs of a node that is known.

    Args:
        node: What :func:`is_known` says yes to.
        opset: Of its graph.
        symbolic: Weights are absent, and so is what follows from them.
    """
    if node.op == "Shape":
        shape = [int(d) for d in node.inputs[0].shape]
        return [np.array(shape[node.attrs.get("start", 0) : node.attrs.get("end", len(shape))], np.int64)]
    if node.op == "Size":
        return [np.array(math.prod(int(d) for d in node.inputs[0].shape), np.int64)]
    if symbolic and any(isinstance(t, gs.Constant) and is_symbolic(t.values) for t in node.inputs):
        return [np.broadcast_to(np.ones((), t.dtype), [int(d) for d in t.shape]) for t in node.outputs]
    outputs = [gs.Variable(t.name, t.dtype, t.shape) for t in node.outputs]
    # Copies: tensors list their readers, and the library takes nodes that look alike for one.
    inputs = [gs.Variable.empty() if t.is_empty() else gs.Constant(t.name, t.values) for t in node.inputs]
    alone = gs.Node(node.op, node.name, dict(node.attrs), inputs, outputs)
    model = gs.export_onnx(gs.Graph([alone], outputs=outputs, opset=opset), do_type_check=False)
    return [np.asarray(value) for value in onnx.reference.ReferenceEvaluator(model).run(None, {})]


def evaluated(node: gs.Node, opset: int, symbolic: bool = False) -> list[Array] | None:
    """Return what :func:`evaluate` does; None where a node of a broken file cannot be evaluated."""
    try:
        return evaluate(node, opset, symbolic)
    except Exception:  # whatever the reference evaluator raises for nodes of others
        return None
