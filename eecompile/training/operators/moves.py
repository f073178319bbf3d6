"""What changes the shape, the order or the choice of values, and sums over axes.

Where the batch is the first axis of what is read and of what is written, any number of images goes through
at once; a step that works along that axis says so (``mixes``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.step import (
    Builder,
    Step,
    axes_of,
    constant,
    integers,
    only_output,
    shape_of,
    text,
    untrainable,
)

Tensor = torch.Tensor


def reshape(node: gs.Node) -> Step:
    """Reshape or Flatten to the static shape, whatever the batch."""
    shape = shape_of(node.outputs[0])
    if not shape or 0 in shape:
        raise untrainable(node, f"it makes a tensor of shape {list(shape)}")
    rest = shape[1:]
    return Step(lambda x: x.reshape(-1, *rest), mixes=shape_of(node.inputs[0])[:1] != shape[:1])


def squeeze(node: gs.Node) -> Step:
    """Drop axes of length 1."""
    shape = shape_of(node.inputs[0])
    axes = integers(node, 1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    found = axes_of(axes, len(shape))
    return Step(lambda x: x.squeeze(found), mixes=0 in found)


def unsqueeze(node: gs.Node) -> Step:
    """Add axes of length 1."""
    axes = integers(node, 1, "axes") or []
    rank = len(shape_of(node.outputs[0]))
    found = sorted(axes_of(axes, rank))

    def run(x: Tensor) -> Tensor:
        for axis in found:
            x = x.unsqueeze(axis)
        return x

    return Step(run, mixes=0 in found)


def transpose(node: gs.Node) -> Step:
    """Change the order of the axes."""
    rank = len(shape_of(node.inputs[0]))
    order = [int(axis) for axis in node.attrs.get("perm", range(rank)[::-1])]
    return Step(lambda x: x.permute(order), mixes=order[:1] != [0])


def concat(node: gs.Node) -> Step:
    """Join along an axis; constants are the same for every image."""
    rank = len(shape_of(node.outputs[0]))
    (axis,) = axes_of([int(node.attrs["axis"])], rank)
    fixed = [isinstance(tensor, gs.Constant) for tensor in node.inputs]

    def run(*parts: Tensor) -> Tensor:
        if any(fixed) and axis:
            batch = next(part.shape[0] for part, still in zip(parts, fixed, strict=True) if not still)
            parts = tuple(part.expand(batch, *part.shape[1:]) for part in parts)
        return torch.cat(parts, axis)

    return Step(run, tuple(range(len(node.inputs))), mixes=axis == 0)


def expand(node: gs.Node) -> Step:
    """Repeat along axes of length 1."""
    shape = shape_of(node.outputs[0])
    before = shape_of(node.inputs[0])
    if len(before) == len(shape) and before[0] == shape[0]:
        return Step(lambda x: x.expand(x.shape[0], *shape[1:]))
    return Step(lambda x: x.expand(shape), mixes=True)


def tile(node: gs.Node) -> Step:
    """Repeat."""
    repeats = integers(node, 1) or []
    return Step(lambda x: x.repeat(repeats), mixes=repeats[0] != 1)


def _picked(positions: dict[int, np.ndarray[Any, Any]]) -> Callable[[Tensor], Tensor]:
    """Return the function that picks positions along axes."""
    chosen = {axis: torch.from_numpy(np.ascontiguousarray(found)) for axis, found in positions.items()}

    def run(x: Tensor) -> Tensor:
        for axis, index in chosen.items():
            x = x.index_select(axis, index.to(x.device))
        return x

    return run


def slice_(node: gs.Node) -> Step:
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
        found = np.arange(shape[place])[slice(start, _end(end, shape[place], step), step)]
        if len(found) == shape[place] and step == 1:
            continue
        mixes |= place == 0
        if step > 0 and len(found):
            parts[place] = slice(int(found[0]), int(found[-1]) + 1, step)
        else:
            positions[place] = found
    pick = _picked(positions)
    cut = tuple(parts)
    return Step(lambda x: pick(x[cut]), mixes=mixes)


def _end(end: int, size: int, step: int) -> int | None:
    """Return the end of a slice as Python has it: below the first element of a backward one there is none."""
    return None if step < 0 and end < -size else end


def split(node: gs.Node) -> Step:
    """Take a tensor apart."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", 0))], rank)
    sizes = [shape_of(tensor)[axis] for tensor in node.outputs]
    return Step(lambda x: x.split(sizes, axis), mixes=axis == 0)


def gather(node: gs.Node) -> Step:
    """Pick places along an axis; a table of constants may be looked up by what the network is given."""
    axis = int(node.attrs.get("axis", 0))
    rank = len(shape_of(node.inputs[0]))
    if isinstance(node.inputs[0], gs.Constant):
        if axis != 0:
            raise untrainable(node, "it looks up a table along another axis than the first")
        return Step(lambda table, index: torch.nn.functional.embedding(index.long(), table), (0, 1))
    (place,) = axes_of([axis], rank)
    index = constant(node, 1)
    if index is None:
        raise untrainable(node, "it has no indices")
    size = shape_of(node.inputs[0])[place]
    pick = _picked({place: np.asarray(index, np.int64).reshape(-1) % size})
    shape = index.shape
    if index.ndim == 1:
        return Step(pick, mixes=place == 0)
    return Step(lambda x: pick(x).reshape(*x.shape[:place], *shape, *x.shape[place + 1 :]), mixes=place == 0)


def pad(node: gs.Node) -> Step:
    """Zeros, another number, or values of the tensor itself around it; negative pads cut off."""
    rank = len(shape_of(node.inputs[0]))
    pads = integers(node, 1, "pads") or []
    axes = integers(node, 3) or list(range(rank))
    mode = text(node.attrs.get("mode", "constant"))
    begin, end = [0] * rank, [0] * rank
    for number, axis in enumerate(axes):
        begin[axis % rank], end[axis % rank] = pads[number], pads[number + len(axes)]
    mixes = bool(begin[0] or end[0])
    if mode == "constant":
        value = constant(node, 2)
        number = 0.0 if value is None else float(value.reshape(-1)[0])
        both = [p for pair in zip(reversed(begin), reversed(end), strict=True) for p in pair]
        return Step(lambda x: torch.nn.functional.pad(x, both, value=number), mixes=mixes)
    positions = {}
    for axis, size in enumerate(shape_of(node.inputs[0])):
        if begin[axis] or end[axis]:
            places = np.arange(max(-begin[axis], 0), size - max(-end[axis], 0))
            around = (max(begin[axis], 0), max(end[axis], 0))
            positions[axis] = np.pad(places, around, mode=mode)  # type: ignore[call-overload]
    return Step(_picked(positions), mixes=mixes)


def depth_to_space(node: gs.Node) -> Step:
    """Channels become blocks of pixels."""
    block, mode = int(node.attrs["blocksize"]), text(node.attrs.get("mode", "DCR"))

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if mode == "CRD":
            return torch.nn.functional.pixel_shuffle(x, block)
        parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, c // block**2, h * block, w * block)

    return Step(run)


def space_to_depth(node: gs.Node) -> Step:
    """Blocks of pixels become channels."""
    block = int(node.attrs["blocksize"])

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * block**2, h // block, w // block)

    return Step(run)


_TYPES = {
    np.dtype(np.float32): None, np.dtype(np.float64): None, np.dtype(np.float16): None,
    np.dtype(np.int64): torch.int64, np.dtype(np.int32): torch.int32, np.dtype(np.bool_): torch.bool,
}  # fmt: skip


def cast(node: gs.Node) -> Step:
    """Between types; all floats are one here."""
    wanted = np.dtype(node.outputs[0].dtype)
    if wanted not in _TYPES:
        raise untrainable(node, f"it makes {wanted}")
    kind = _TYPES[wanted]
    if kind is not None:
        return Step(lambda x: x.to(kind))
    return Step(lambda x: x if x.is_floating_point() else x.to(torch.get_default_dtype()))


def _log_sum_exp(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return torch.logsumexp(x, axes, keepdim)


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
    "ReduceL2": lambda x, axes, keep: (x * x).sum(axes, keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": _log_sum_exp,
}


def reduction(node: gs.Node) -> Step:
    """One value of many, over some axes."""
    rank = len(shape_of(node.inputs[0]))
    axes = integers(node, 1, "axes")
    if not axes:
        if int(node.attrs.get("noop_with_empty_axes", 0)):
            return Step(lambda x: x)
        axes = list(range(rank))
    found, keep = axes_of(axes, rank), bool(node.attrs.get("keepdims", 1))
    return Step(functools.partial(_reduced, _REDUCTIONS[node.op], found, keep), mixes=0 in found)


def _reduced(
    function: Callable[[Tensor, list[int], bool], Tensor], axes: list[int], keep: bool, x: Tensor
) -> Tensor:
    return function(x, axes, keep)


def arg(node: gs.Node) -> Step:
    """Place of the largest or smallest value along an axis, the first of equal ones."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", 0))], rank)
    if int(node.attrs.get("select_last_index", 0)):
        raise untrainable(node, "of equal values it takes the last")
    function = torch.argmax if node.op == "ArgMax" else torch.argmin
    keep = bool(node.attrs.get("keepdims", 1))
    return Step(lambda x: function(x, axis, keep), mixes=axis == 0)


def top_k(node: gs.Node) -> Step:
    """The largest or smallest values along an axis, sorted, and their places."""
    rank = len(shape_of(node.inputs[0]))
    (axis,) = axes_of([int(node.attrs.get("axis", -1))], rank)
    (count,) = integers(node, 1, "k") or [0]
    largest = bool(node.attrs.get("largest", 1))
    return Step(lambda x: tuple(torch.topk(x, count, axis, largest)), mixes=axis == 0)


def dropout(node: gs.Node) -> Step:
    """What it is in inference: nothing."""
    only_output(node, "mask")
    return Step(lambda x: x)


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
    "Identity": lambda node: Step(lambda x: x),  # noqa: ARG005
    "Dropout": dropout,
    "ArgMax": arg,
    "ArgMin": arg,
    "TopK": top_k,
    **dict.fromkeys(_REDUCTIONS, reduction),
}
