"""Canonical rules for networks that are written without a batch axis: it stays in front of every activation.

Exporters put an axis of size 1 in front of each Conv, and take it away behind it. What takes it away sinks
through the nodes that read it until it meets what puts it there again, and the two cancel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.transposes import BROADCAST, REDUCE, UNARY
from passes.canonical.views import is_view, permutation
from passes.operator_sets import FLOAT_LINEAR, POOLS, QUANTIZATION, RESHAPES
from passes.rewrite.rewriter import Rewriter, constant_input, dims, optional_input, producer_of

_ALONG_AXIS = {"Softmax": -1, "LogSoftmax": -1, "LayerNormalization": -1, "Split": 0, "Gather": 0}
"""Operators that name one axis, of their first input, and the one they take by default."""
_BATCH_BY_BATCH = UNARY | BROADCAST | {"Concat", "Split", "Slice", "Pad"}


def sink_squeeze(rw: Rewriter, node: gs.Node) -> bool:
    """Move what takes the batch axis away behind the nodes that read its result."""
    if not takes_batch(node) or rw.is_mount(node.outputs[0]):
        return False
    for reader in list(node.outputs[0].outputs):
        mover = _mover(reader)
        if mover is not None and mover(rw, reader, node):
            return True
    return False


def vector_to_row(rw: Rewriter, node: gs.Node) -> bool:
    """MatMul of a vector [K] with a matrix is that of [1, K], without the batch axis behind it."""
    data, weights = node.inputs
    if len(dims(data)) != 1 or len(dims(weights)) != 2 or isinstance(data, gs.Constant):
        return False
    above = producer_of(data)
    node.inputs[0] = (
        above.inputs[0] if above is not None and takes_batch(above) else _in_front(rw, data, node)
    )
    _take_behind(rw, node)
    return True


def takes_batch(node: gs.Node) -> bool:
    """Whether ``node`` views a computed tensor [1, …] without the axis in front, which is its batch."""
    if node.op not in RESHAPES or isinstance(node.inputs[0], gs.Constant) or is_view(node):
        return False
    before, after = dims(node.inputs[0]), dims(node.outputs[0])
    return bool(after) and before == (1, *after) and (after[0] != 1 or _batch_leads(node.inputs[0]))


def _batch_leads(tensor: gs.Tensor) -> bool:
    """Whether the first axis of ``tensor`` is its batch, and not another of size 1 such as a direction."""
    node = producer_of(tensor)
    while node is not None and node.op in _BATCH_BY_BATCH:
        computed = [t for t in node.inputs if t.inputs]
        node = producer_of(computed[0]) if computed else None
    return node is not None and node.op in FLOAT_LINEAR | POOLS


def _mover(reader: gs.Node) -> Callable[[Rewriter, gs.Node, gs.Node], bool] | None:
    if reader.op in RESHAPES:
        return _through_view
    if reader.op in UNARY | BROADCAST:
        return _through_elementwise
    if reader.op in REDUCE:
        return _through_reduce
    if reader.op in _ALONG_AXIS:
        return _through_axis
    return {
        "Concat": _through_concat,
        "Transpose": _through_transpose,
        "Slice": _through_slice,
        "Pad": _through_pad,
    }.get(reader.op)


def _through_view(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    source, shape = squeeze.inputs[0], dims(node.outputs[0])
    if shape == dims(source):
        return rw.replace(node.outputs[0], source)
    target = shape if len(shape) > 1 and shape[0] == 1 else (1, *shape)
    rw.inherit(node, [squeeze])
    node.op = "Reshape"
    node.attrs.clear()
    node.inputs = [source, rw.constant(f"{node.name}_shape", np.array(target, np.int64))]
    if target != shape:
        _take_behind(rw, node)
    return True


def _through_elementwise(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    rank = len(dims(squeeze.outputs[0]))
    used = [t for t in node.outputs if t.outputs or rw.is_output(t)]
    if used != [node.outputs[0]] or len(dims(used[0])) != rank or used[0].dtype is None:
        return False
    if node.op in QUANTIZATION and np.prod(dims(node.inputs[1])) > 1:
        node.attrs["axis"] = int(node.attrs.get("axis", 1)) % rank + 1
    # Shapes are broadcast from their last axes: what has fewer axes is read as before.
    node.inputs = [_batched(rw, tensor, node, rank) for tensor in node.inputs]
    _take_behind(rw, node)
    return True


def _through_concat(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    rank = len(dims(squeeze.outputs[0]))
    node.attrs["axis"] = int(node.attrs["axis"]) % rank + 1
    node.inputs = [_batched(rw, tensor, node, rank, constants=True) for tensor in node.inputs]
    _take_behind(rw, node)
    return True


def _through_axis(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    shape = dims(squeeze.outputs[0])
    # The Softmax of logits stays behind their last view, where it can be set apart.
    if "Softmax" in node.op and sum(size != 1 for size in shape) < 2:
        return False
    if node.inputs[0] is not squeeze.outputs[0] or not dims(node.outputs[0]):
        return False
    node.attrs["axis"] = int(node.attrs.get("axis", _ALONG_AXIS[node.op])) % len(shape) + 1
    node.inputs[0] = squeeze.inputs[0]
    _take_behind(rw, node)
    return True


def _through_reduce(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    given, rank = constant_input(node, 1), len(dims(squeeze.outputs[0]))
    if given is None or given.size == 0 or not dims(node.outputs[0]):
        return False
    axes = np.array(sorted(int(axis) % rank + 1 for axis in given.reshape(-1)), np.int64)
    node.inputs = [squeeze.inputs[0], rw.constant(f"{node.name}_axes", axes)]
    _take_behind(rw, node)
    return True


def _through_transpose(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    node.attrs["perm"] = [0, *(axis + 1 for axis in permutation(node))]
    node.inputs[0] = squeeze.inputs[0]
    _take_behind(rw, node)
    return True


def _through_slice(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    starts, axes, rank = constant_input(node, 1), constant_input(node, 3), len(dims(squeeze.outputs[0]))
    if starts is None or (axes is None and optional_input(node, 3) is not None):
        return False
    given = range(starts.size) if axes is None else axes.reshape(-1)
    moved = np.array([int(axis) % rank + 1 for axis in given], np.int64)
    rest = node.inputs[4:]
    node.inputs = [squeeze.inputs[0], *node.inputs[1:3], rw.constant(f"{node.name}_axes", moved), *rest]
    _take_behind(rw, node)
    return True


def _through_pad(rw: Rewriter, node: gs.Node, squeeze: gs.Node) -> bool:
    pads = constant_input(node, 1)
    if pads is None or optional_input(node, 3) is not None:
        return False
    sides = np.pad(pads.reshape(2, -1), ((0, 0), (1, 0))).reshape(-1).astype(np.int64)
    node.inputs = [squeeze.inputs[0], rw.constant(f"{node.name}_pads", sides), *node.inputs[2:]]
    _take_behind(rw, node)
    return True


def _batched(
    rw: Rewriter, tensor: gs.Tensor, reader: gs.Node, rank: int, constants: bool = False
) -> gs.Tensor:
    """Return ``tensor`` as a reader of tensors with a batch axis reads it."""
    if tensor.is_empty() or len(dims(tensor)) < rank:
        return tensor
    if isinstance(tensor, gs.Constant):
        whole = np.asarray(tensor.values)[None]
        return rw.constant(f"{tensor.name}_batched", whole) if constants else tensor
    above = producer_of(tensor)
    return above.inputs[0] if above is not None and takes_batch(above) else _in_front(rw, tensor, reader)


def _in_front(rw: Rewriter, tensor: gs.Tensor, reader: gs.Node) -> gs.Tensor:
    """Return ``tensor`` with an axis of size 1 in front."""
    batched = rw.variable(f"{tensor.name}_batched", (1, *dims(tensor)), tensor.dtype)
    rw.insert("Unsqueeze", [tensor, rw.constant(f"{batched.name}_axes", np.array([0]))], batched, [reader])
    return batched


def _take_behind(rw: Rewriter, node: gs.Node) -> None:
    """Let ``node`` write tensors with a batch axis, which is taken away behind it."""
    for slot, result in enumerate(list(node.outputs)):
        if result.is_empty():
            continue
        batched = rw.variable(f"{result.name}_batched", (1, *dims(result)), result.dtype)
        node.outputs[slot] = batched
        axes = rw.constant(f"{batched.name}_axes", np.array([0]))
        rw.insert("Squeeze", [batched, axes], result, [node])
