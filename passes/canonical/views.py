"""Canonical rules for views: chains of nodes that only rename axes become one Flatten or Reshape.

A view keeps all elements in order and the batch axis in front. Written without the batch size in
it (Flatten, or Reshape to ``[0, …]``), so that the graph still fits any batch.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.operator_sets import RESHAPES
from passes.rewrite.rewriter import Rewriter, constant_input, dims, producer_of
from passes.rewrite.weights import set_constant


def permutation(node: gs.Node) -> tuple[int, ...]:
    """Return the permutation of a Transpose: output axis i is input axis ``permutation[i]``."""
    rank = len(dims(node.inputs[0]))
    return tuple(int(p) for p in node.attrs.get("perm", reversed(range(rank))))


def moves_only_ones(perm: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether permuting ``shape`` keeps the batch in front and the elements in order."""
    if perm[0] != 0:
        return False
    wide = [p for p in perm[1:] if shape[p] != 1]
    return wide == sorted(wide)


def is_view(node: gs.Node) -> bool:
    """Whether ``node`` only renames the axes behind the batch."""
    source, target = node.inputs[0], node.outputs[0]
    if node.op == "Transpose":
        return moves_only_ones(permutation(node), dims(source))
    if node.op not in RESHAPES or isinstance(source, gs.Constant):
        return False
    shapes = dims(source), dims(target)
    return all(shapes) and shapes[0][0] == shapes[1][0] and not _touches_batch(node)


def _touches_batch(node: gs.Node) -> bool:
    """Whether a Squeeze or Unsqueeze takes away or adds an axis in front."""
    if node.op not in ("Squeeze", "Unsqueeze"):
        return False
    axes = constant_input(node, 1)
    rank = max(len(dims(node.inputs[0])), len(dims(node.outputs[0])))
    return axes is None or any(int(axis) % rank == 0 for axis in axes.reshape(-1))


def merge_views(rw: Rewriter, node: gs.Node) -> bool:
    """Make a chain of views that ends in ``node`` one Flatten(axis=1), one Reshape or nothing."""
    if not is_view(node):
        # Logits whose batch axis was taken away, and put in front again.
        if rw.is_output(node.outputs[0]) and (same := _same_above(rw, node)) is not None:
            return rw.replace(node.outputs[0], same)
        if node.op in RESHAPES and not isinstance(node.inputs[0], gs.Constant):
            return rw.decline(node, f"{node.op} to {list(dims(node.outputs[0]))} moves the batch axis")
        return False
    source, absorbed = node.inputs[0], []
    while (above := producer_of(source)) is not None and is_view(above) and not rw.is_mount(source):
        absorbed.append(above)
        source = above.inputs[0]
    target = node.outputs[0]
    if dims(source) == dims(target):
        return rw.replace(target, source)
    if not absorbed and _is_plain(node):
        return False
    rw.inherit(node, absorbed)
    write_view(rw, node, source)
    return True


def gather_to_view(rw: Rewriter, node: gs.Node) -> bool:
    """A Gather of all elements in their order, of a view, is a view: what PyTorch makes of as_strided."""
    data, target = node.inputs[0], node.outputs[0]
    above, indices = producer_of(data), constant_input(node, 1)
    if above is None or above.op not in RESHAPES or indices is None or len(dims(data)) != 1:
        return False
    in_order = indices.size == dims(data)[0] and (indices.reshape(-1) == np.arange(indices.size)).all()
    source = above.inputs[0]
    if not in_order or isinstance(source, gs.Constant) or dims(source)[:1] != dims(target)[:1]:
        return False
    rw.inherit(node, [above])
    write_view(rw, node, source)
    return True


def gather_from_part(rw: Rewriter, node: gs.Node) -> bool:
    """A Gather of one place of a Concat reads the part that holds it, such as the last state of many."""
    above, indices = producer_of(node.inputs[0]), constant_input(node, 1)
    if above is None or above.op != "Concat" or indices is None or indices.size != 1:
        return False
    shape = dims(node.inputs[0])
    axis = int(node.attrs.get("axis", 0)) % len(shape)
    if axis != int(above.attrs["axis"]) % len(shape):
        return False
    index = int(indices.reshape(())) % shape[axis]
    for part in above.inputs:
        size = dims(part)[axis]
        if index < size:
            node.inputs[0] = part
            set_constant(rw, node, 1, np.full(indices.shape, index, indices.dtype))
            return True
        index -= size
    return False


def _same_above(rw: Rewriter, node: gs.Node) -> gs.Tensor | None:
    """Return the tensor above that has the shape of ``node``'s output, if only views lie between."""
    above: gs.Node | None = node
    while above is not None and above.op in RESHAPES:
        source = above.inputs[0]
        if isinstance(source, gs.Constant) or rw.is_mount(source):
            return None
        if dims(source) == dims(node.outputs[0]):
            return source
        above = producer_of(source)
    return None


def _is_plain(node: gs.Node) -> bool:
    shape = dims(node.outputs[0])
    if len(shape) == 2:
        return bool(node.op == "Flatten" and node.attrs.get("axis", 1) == 1)
    wanted = constant_input(node, 1)
    plain = node.op == "Reshape" and not node.attrs.get("allowzero", 0)
    return bool(plain and wanted is not None and wanted.tolist() == [0, *shape[1:]])


def write_view(rw: Rewriter, node: gs.Node, source: gs.Tensor) -> None:
    """Make ``node`` the plain view of ``source`` that has the shape of its output."""
    shape = dims(node.outputs[0])
    node.attrs.clear()
    if len(shape) == 2:
        node.op = "Flatten"
        node.attrs["axis"] = 1
        node.inputs = [source]
    else:
        node.op = "Reshape"
        target = rw.constant(f"{node.name}_shape", np.array((0, *shape[1:]), np.int64))
        node.inputs = [source, target]


def transpose_to_view(rw: Rewriter, node: gs.Node) -> bool:
    """A Transpose that moves only axes of size 1 is a Reshape (tried once nothing else applies)."""
    if not is_view(node):
        return False
    write_view(rw, node, node.inputs[0])
    return True
