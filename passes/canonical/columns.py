"""Canonical rules for columns: vectors [K, 1] multiplied by weights in front of them become rows [1, K].

Networks that were written down as mathematics have W x + b, with x a column. What makes a column of a row
sinks through the nodes behind it until another view takes it in.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.linear import is_weight
from passes.canonical.transposes import BROADCAST, UNARY
from passes.canonical.views import permutation
from passes.operator_sets import QUANTIZATION, RESHAPES
from passes.rewrite.rewriter import Rewriter, dims, producer_of


def column_to_row(rw: Rewriter, node: gs.Node) -> bool:
    """MatMul of constant weights [M, K] with a column is that of the row with the weights transposed."""
    weights, data = node.inputs
    if not is_weight(weights) or isinstance(data, gs.Constant) or len(dims(weights)) != 2:
        return False
    if not _is_column(data) or is_weight(data):
        return False
    turned = rw.variable(f"{weights.name}_t", dims(weights)[::-1], weights.dtype)
    rw.insert("Transpose", [weights], turned, [node], perm=[1, 0])
    node.inputs = [_row(rw, data, node), turned]
    _column_behind(rw, node)
    return True


def sink_column(rw: Rewriter, node: gs.Node) -> bool:
    """Move what makes a column of a row behind the nodes that read it."""
    if not makes_column(node) or rw.is_mount(node.outputs[0]):
        return False
    shape = dims(node.outputs[0])
    for reader in list(node.outputs[0].outputs):
        back = dims(reader.outputs[0]) == dims(node.inputs[0])
        if back and (reader.op in RESHAPES or reader.op == "Transpose"):
            return rw.replace(reader.outputs[0], node.inputs[0])
        computed = [t for t in reader.inputs if not isinstance(t, gs.Constant) and not t.is_empty()]
        if reader.op not in (UNARY | BROADCAST) - QUANTIZATION or dims(reader.outputs[0]) != shape:
            continue
        if any(
            np.prod(dims(t)) != 1 and dims(t) not in (shape, shape[-2:])
            for t in reader.inputs
            if not t.is_empty()
        ):
            continue
        if any(np.prod(dims(t)) == 1 for t in computed):
            continue
        reader.inputs = [_row(rw, tensor, reader) for tensor in reader.inputs]
        _column_behind(rw, reader)
        return True
    return False


def makes_column(node: gs.Node) -> bool:
    """Whether ``node`` makes a column [K, 1], or [1, K, 1], of the row [1, K]."""
    if node.op == "Transpose":
        return (
            dims(node.inputs[0])[:1] == (1,) and permutation(node) == (1, 0) and _is_column(node.outputs[0])
        )
    source = node.inputs[0] if node.op in RESHAPES else None
    if source is None or isinstance(source, gs.Constant) or not _is_column(node.outputs[0]):
        return False
    return dims(source) == (1, int(np.prod(dims(node.outputs[0]))))


def _is_column(tensor: gs.Tensor) -> bool:
    shape = dims(tensor)
    return len(shape) in (2, 3) and shape[-1] == 1 and shape[-2] > 1 and all(d == 1 for d in shape[:-2])


def _row(rw: Rewriter, tensor: gs.Tensor, reader: gs.Node) -> gs.Tensor:
    """Return a column as a row; what has one element, or none, stays."""
    if tensor.is_empty() or np.prod(dims(tensor)) == 1:
        return tensor
    if isinstance(tensor, gs.Constant):
        return rw.constant(f"{tensor.name}_row", np.asarray(tensor.values).reshape(1, -1))
    above = producer_of(tensor)
    if above is not None and makes_column(above):
        return above.inputs[0]
    shape = (1, int(np.prod(dims(tensor))))
    row = rw.variable(f"{tensor.name}_row", shape, tensor.dtype)
    rw.insert("Reshape", [tensor, rw.constant(f"{row.name}_shape", np.array(shape, np.int64))], row, [reader])
    return row


def _column_behind(rw: Rewriter, node: gs.Node) -> None:
    """Let ``node`` write a row, which is made a column behind it."""
    column = node.outputs[0]
    shape = dims(column)
    row = rw.variable(f"{column.name}_row", (1, int(np.prod(shape))), column.dtype)
    node.outputs[0] = row
    target = rw.constant(f"{row.name}_shape", np.array(shape, np.int64))
    rw.insert("Reshape", [row, target], column, [node])
