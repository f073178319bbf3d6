"""What changes the shape, the order or the choice of values, and sums over axes.

Where the batch is the first axis of what is read and of what is written, any number of images goes through
at once; a step that works along that axis says so (``mixes``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.training.operators.step import (
    Array,
    Builder,
    TorchStep,
    axes_of,
    constant,
    integers,
    root,
    settled,
    shape_of,
    text,
    untrainable,
)

Tensor = torch.Tensor


def reshape(node: gs.Node) -> TorchStep:
    """Reshape or Flatten to the static shape, whatever the batch."""
    shape = shape_of(node.outputs[0])
    if not shape or 0 in shape:
        raise untrainable(node, f"it makes a tensor of shape {list(shape)}")
    rest = shape[1:]
    return TorchStep(lambda x: x.reshape(-1, *rest), mixes=shape_of(node.inputs[0])[:1] != shape[:1])


def squeeze(node: gs.Node) -> TorchStep:
    """Drop axes of length 1."""
    shape = shape_of(node.inputs[0])
    axes = integers(node, 1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    found = axes_of(axes, len(shape))
    return TorchStep(lambda x: x.squeeze(found), mixes=0 in found)


def unsqueeze(node: gs.Node) -> TorchStep:
    """Add axes of length 1."""
    axes = integers(node, 1, "axes") or []
    rank = len(shape_of(node.outputs[0]))
    found = sorted(axes_of(axes, rank))

    def run(x: Tensor) -> Tensor:
        for axis in found:
            x = x.unsqueeze(axis)
        return x

    return TorchStep(run, mixes=0 in found)


def transpose(node: gs.Node) -> TorchStep:
    """Change the order of the axes."""
    rank = len(shape_of(node.inputs[0]))
    order = [int(axis) for axis in node.attrs.get("perm", range(rank)[::-1])]
    return TorchStep(lambda x: x.permute(order), mixes=order[:1] != [0])


def concat(node: gs.Node) -> TorchStep:
    """Join along an axis; constants are the same for every image."""
    rank = len(shape_of(node.outputs[0]))
    (axis,) = axes_of([int(node.attrs["axis"])], rank)
    reads = tuple(range(len(node.inputs)))
    if axis == 0 or not any(settled(tensor) for tensor in node.inputs):
        return TorchStep(lambda *parts: torch.cat(parts, axis), reads, mixes=axis == 0)

    def run(*parts: Tensor) -> Tensor:
        batch = max(part.shape[0] for part in parts)
        return torch.cat([part.expand(batch, *part.shape[1:]) for part in parts], axis)

    return TorchStep(run, reads)


def expand(node: gs.Node) -> TorchStep:
    """Repeat along axes of length 1."""
    shape = shape_of(node.outputs[0])
    before = shape_of(node.inputs[0])
    if len(before) == len(shape) and before[0] == shape[0]:
        return TorchStep(lambda x: x.expand(x.shape[0], *shape[1:]))
    return TorchStep(lambda x: x.expand(shape), mixes=True)


def tile(node: gs.Node) -> TorchStep:
    """Repeat."""
    repeats = integers(node, 1) or []
    return TorchStep(lambda x: x.repeat(repeats), mixes=repeats[0] != 1)


def _picked(positions: dict[int, Array]) -> TorchStep:
    """Return the step that picks positions along axes."""

    def run(x: Tensor, *chosen: Tensor) -> Tensor:
        for axis, index in zip(positions, chosen, strict=True):
            x = x.index_select(axis, index)
        return x

    holds = tuple(torch.from_numpy(found.copy()) for found in positions.values())
    return TorchStep(run, holds=holds, mixes=0 in positions)


def slice_(node: gs.Node) -> TorchStep:
    """Part of a tensor; steps may be negative."""
    shape = shape_of(node.inputs[0])
    starts, ends = integers(node, 1, "starts") or [], integers(node, 2, "ends") or []
    axes, steps = (
        integers(node, 3, "axes") or list(range(len(starts))),
        integers(node, 4) or [1] * len(starts),
    )
    positions, mixes = {}, False
    parts = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % len(shape)
        found = np.arange(shape[place])[slice(start, end, step)]
        if len(found) == shape[place] and step == 1:
            continue
        mixes |= place == 0
        if step > 0 and len(found):
            parts[place] = slice(int(found[0]), int(found[-1]) + 1, step)
        else:
            positions[place] = found
    pick = _picked(positions)
    cut = tuple(parts)
    return replace(pick, run=lambda x, *chosen: pick.run(x[cut], *chosen), mixes=mixes)


def split(node: gs.Node) -> TorchStep:
    """Take a tensor apart."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", 0))], rank)
    sizes = [shape_of(tensor)[axis] for tensor in node.outputs]
    return TorchStep(lambda x: x.split(sizes, axis), many=True, mixes=axis == 0)


def gather(node: gs.Node) -> TorchStep:
    """Pick places along an axis; a table of constants may be looked up by what the network is given."""
    axis = int(node.attrs.get("axis", 0))
    rank = len(shape_of(node.inputs[0]))
    if isinstance(node.inputs[0], gs.Constant):
        if axis != 0:
            raise untrainable(node, "it looks up a table along another axis than the first")
        rows = shape_of(node.inputs[0])[0]
        return TorchStep(lambda table, index: functional.embedding(index.long() % rows, table), (0, 1))
    (place,) = axes_of([axis], rank)
    index = constant(node, 1)
    if index is None:
        raise untrainable(node, "it has no indices")
    size = shape_of(node.inputs[0])[place]
    pick = _picked({place: np.asarray(index, np.int64).reshape(-1) % size})
    shape = index.shape
    if index.ndim == 1:
        return pick
    return replace(
        pick,
        run=lambda x, chosen: pick.run(x, chosen).reshape(*x.shape[:place], *shape, *x.shape[place + 1 :]),
    )


def pad(node: gs.Node) -> TorchStep:
    """Zeros, another number, or values of the tensor itself around it; negative pads cut off."""
    rank = len(shape_of(node.inputs[0]))
    pads = integers(node, 1, "pads") or []
    axes = integers(node, 3) or list(range(rank))
    mode = text(node.attrs.get("mode", "constant"))
    begin, end = [0] * rank, [0] * rank
    for number, axis in enumerate(axes):
        begin[axis % rank], end[axis % rank] = pads[number], pads[number + len(axes)]
    if mode == "constant":
        value = constant(node, 2)
        filled = 0.0 if value is None else float(value.reshape(-1)[0])
        both = [p for pair in zip(reversed(begin), reversed(end), strict=True) for p in pair]
        return TorchStep(lambda x: functional.pad(x, both, value=filled), mixes=bool(begin[0] or end[0]))
    positions = {}
    for axis, size in enumerate(shape_of(node.inputs[0])):
        if begin[axis] or end[axis]:
            places = np.arange(max(-begin[axis], 0), size - max(-end[axis], 0))
            around = (max(begin[axis], 0), max(end[axis], 0))
            positions[axis] = np.pad(places, around, mode=mode)  # type: ignore[call-overload]
    return _picked(positions)


def depth_to_space(node: gs.Node) -> TorchStep:
    """Channels become blocks of pixels."""
    block, mode = int(node.attrs["blocksize"]), text(node.attrs.get("mode", "DCR"))

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "CRD":
            return functional.pixel_shuffle(x, block)
        parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, c // block**2, h * block, w * block)

    return TorchStep(run)


def space_to_depth(node: gs.Node) -> TorchStep:
    """Blocks of pixels become channels."""
    block = int(node.attrs["blocksize"])

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * block**2, h // block, w // block)

    return TorchStep(run)


_TYPES = {
    np.dtype(np.int64): torch.int64, np.dtype(np.int32): torch.int32, np.dtype(np.bool_): torch.bool,
}  # fmt: skip


def cast(node: gs.Node) -> TorchStep:
    """Between types; all floats are one here."""
    wanted = np.dtype(node.outputs[0].dtype)
    if wanted.kind == "f":  # whatever the module is in
        return TorchStep(
            lambda x, like: x if x.is_floating_point() else x.to(like.dtype), holds=(torch.zeros(()),)
        )
    if wanted not in _TYPES:
        raise untrainable(node, f"it makes {wanted}")
    kind = _TYPES[wanted]
    return TorchStep(lambda x: x.to(kind))


def _product(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim)
    return x


_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: root((x * x).sum(axes, keep)),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keep),
}


def reduction(node: gs.Node) -> TorchStep:
    """One value of many, over some axes."""
    rank = len(shape_of(node.inputs[0]))
    axes = integers(node, 1, "axes")
    if not axes:
        if int(node.attrs.get("noop_with_empty_axes", 0)):
            return TorchStep(lambda x: x)
        axes = list(range(rank))
    found, keep = axes_of(axes, rank), bool(node.attrs.get("keepdims", 1))
    function = _REDUCTIONS[node.op]
    return TorchStep(lambda x: function(x, found, keep), mixes=0 in found)


def arg(node: gs.Node) -> TorchStep:
    """Place of the largest or smallest value along an axis, the first of equal ones."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", 0))], rank)
    if int(node.attrs.get("select_last_index", 0)):
        raise untrainable(node, "of equal values it takes the last")
    function = torch.argmax if node.op == "ArgMax" else torch.argmin
    keep = bool(node.attrs.get("keepdims", 1))
    return TorchStep(lambda x: function(x, axis, keep), mixes=axis == 0)


def top_k(node: gs.Node) -> TorchStep:
    """The largest or smallest values along an axis, sorted, and their places."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", -1))], rank)
    (count,) = integers(node, 1, "k") or [0]
    largest = bool(node.attrs.get("largest", 1))

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        # of equal values ONNX takes the first, which `torch.topk` does not promise
        values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), places.narrow(axis, 0, count)

    return TorchStep(run, many=True, mixes=axis == 0)


def same(node: gs.Node) -> TorchStep:  # noqa: ARG001
    """Identity, and what Dropout is in inference."""
    return TorchStep(lambda x: x)


BUILDERS: dict[str, Builder] = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Expand": expand,
    "Tile": tile,
    "Slice": slice_,
    "Split": split,
    "Gather": gather,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Cast": cast,
    "Identity": same,
    "Dropout": same,
    "ArgMax": arg,
    "ArgMin": arg,
    "TopK": top_k,
    **dict.fromkeys(_REDUCTIONS, reduction),
}
