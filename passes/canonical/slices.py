"""Canonical rule for Slices: those that take a tensor apart are one Split."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.rewrite.rewriter import Rewriter, constant_input, detach, dims, optional_input

Part = tuple[int, int, int]


def parts_to_split(rw: Rewriter, node: gs.Node) -> bool:
    """Slices of one tensor that together take all of it, each element once, along one axis, are a Split."""
    data = node.inputs[0]
    mine = _part(node)
    if mine is None or isinstance(data, gs.Constant):
        return False
    axis = mine[0]
    siblings: dict[int, tuple[Part, gs.Node]] = {}
    for reader in data.outputs:
        part = _part(reader) if reader.op == "Slice" and reader.inputs[0] is data else None
        if part is not None and part[0] == axis:
            siblings[id(reader)] = (part, reader)
    ordered = sorted(siblings.values(), key=lambda entry: entry[0])
    ends = [0, *(part[2] for part, _ in ordered)]
    if len(ordered) < 2 or ends[-1] != dims(data)[axis] or [part[1] for part, _ in ordered] != ends[:-1]:
        return False
    nodes = [slice_ for _, slice_ in ordered]
    outputs = [slice_.outputs[0] for slice_ in nodes]
    sizes = rw.constant(f"{nodes[0].name}_sizes", np.diff(ends).astype(np.int64))
    for slice_ in nodes:
        detach(slice_)
    split = rw.insert("Split", [data, sizes], outputs[0], nodes, axis=axis)
    split.outputs = outputs
    return True


def _part(node: gs.Node) -> Part | None:
    """Return axis, begin and end of a Slice along one axis by steps of one; ``None`` for others."""
    shape = dims(node.inputs[0])
    starts, ends, axes, steps = (constant_input(node, index) for index in range(1, 5))
    if starts is None or ends is None or starts.size != 1 or not shape:
        return None
    if (axes is None and optional_input(node, 3) is not None) or (
        steps is None and optional_input(node, 4) is not None
    ):
        return None
    if steps is not None and int(steps.reshape(-1)[0]) != 1:
        return None
    axis = 0 if axes is None else int(axes.reshape(-1)[0]) % len(shape)
    begin, end, _ = slice(int(starts.reshape(-1)[0]), int(ends.reshape(-1)[0])).indices(shape[axis])
    return (axis, begin, end) if begin < end else None
