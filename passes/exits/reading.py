"""How an exit reads a tensor: a feature map, a vector of features, or tokens with features of their own.

ONNX does not say which axis of a tensor holds its channels. It is found in what computes the tensor and in
what reads it: convolutions have them behind the batch, matrix products with weights and LayerNormalization
in the last place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from passes.heads.layers import HeadLayer, Shape
from passes.operator_sets import (
    ACTIVATIONS,
    ELEMENTWISE,
    FLOAT_NAMES,
    POOLS,
    QUANTIZATION,
    RECURRENT,
    RESHAPES,
)
from passes.rewrite.rewriter import constant_input, dims, producer_of

_CHANNELS_FIRST = POOLS | {
    "Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN",
}  # fmt: skip
_CHANNELS_LAST = RECURRENT | {"LayerNormalization"}
_PRODUCTS = {"Gemm", "MatMul"}
_SAME_AXES = (
    ACTIVATIONS | ELEMENTWISE | QUANTIZATION | {"Identity", "Dropout", "Cast", "Softmax", "Pad", "Concat"}
)
# Between a classifier and the token that it reads.
_ONE_VECTOR = _SAME_AXES | RESHAPES | _PRODUCTS | {"LayerNormalization", "BatchNormalization", "Transpose"}
# By axis of a tensor: the axis of the tensor that is asked about, or None.
_Axes = tuple[int | None, ...]


@dataclass(frozen=True)
class Reading:
    """How the features of one input are read off a tensor.

    Attributes:
        layers: What makes features of it, in front of any head.
        shape: Of the features, channels first, without batch: with up to two spatial axes, or none.
        map: Shape of the tensor as [1, channels, places …]; a vector has one channel of so many places.
    """

    layers: tuple[HeadLayer, ...]
    shape: Shape
    map: Shape


def reading_of(tensor: gs.Tensor, final: gs.Tensor) -> Reading | str:
    """Return how an exit reads ``tensor``, or one sentence why none can.

    Of tokens it reads what the classifier that writes ``final`` reads, the first, the last or their mean.
    """
    shape = dims(tensor)
    rank = len(shape)
    if rank == 2 and shape[0] == 1:
        return Reading((), shape[1:], (1, 1, shape[1]))
    channels = _channel_axis(tensor) if rank in (3, 4) else None
    if channels == rank - 1 and rank == 3 and 1 in shape[:2]:
        batch = 0 if shape[0] == 1 else 1  # recurrent networks are written with the steps in front
        layer = _token_layer(final, 1 - batch, shape[1 - batch])
        return Reading((layer,), shape[2:], (1, shape[2], shape[1 - batch]))
    if shape and shape[0] != 1:
        return f"its first axis, of {shape[0]}, is not the batch: an exit reads one image's features"
    if channels == rank - 1 and rank == 4:
        layer = HeadLayer("ReduceMean", axes=(1, 2))
        return Reading((layer,), shape[3:], (1, shape[3], *shape[1:3]))
    if rank in (3, 4):
        return Reading((), shape[1:], shape)
    return (
        f"has rank {rank}: an exit reads feature maps [1, channels, …], tokens [1, tokens, channels] "
        "or vectors [1, features]"
    )


def _channel_axis(tensor: gs.Tensor) -> int | None:
    """Return the axis of ``tensor`` that holds its channels, or None if nothing near it tells.

    Looked for by distance along what leaves axes as they are; a matrix product may also mix tokens, so it
    counts only where nothing else is found.
    """
    identity: _Axes = tuple(range(len(dims(tensor))))
    waiting: deque[tuple[gs.Tensor, _Axes]] = deque([(tensor, identity)])
    seen = {id(tensor)}
    by_product = None
    while waiting:
        current, axes = waiting.popleft()
        writer = producer_of(current)
        near = [node for node in current.outputs if node.inputs and node.inputs[0] is current]
        for node in [*near, *([writer] if writer is not None else [])]:
            position = _position(node, len(axes))
            if position is not None and axes[position] is not None:
                if FLOAT_NAMES.get(node.op, node.op) not in _PRODUCTS:
                    return axes[position]
                by_product = axes[position] if by_product is None else by_product
        for other, mapped in _neighbours(current, axes):
            if id(other) not in seen and any(axis is not None for axis in mapped):
                seen.add(id(other))
                waiting.append((other, mapped))
    return by_product


def _position(node: gs.Node, rank: int) -> int | None:
    """Return where ``node`` has the channels of what it reads and writes, if its operator says so."""
    op = FLOAT_NAMES.get(node.op, node.op)
    if op in _CHANNELS_FIRST and rank > 2:
        return 1
    weighted = op in _PRODUCTS and len(node.inputs) > 1 and not _is_computed(node.inputs[1])
    if op in _CHANNELS_LAST or weighted:
        axis = int(node.attrs.get("axis", -1)) if op == "LayerNormalization" else -1
        return rank - 1 if axis in (-1, rank - 1) else None
    return None


def _is_computed(tensor: gs.Tensor) -> bool:
    while (writer := producer_of(tensor)) is not None and writer.op in QUANTIZATION:
        tensor = writer.inputs[0]
    return not isinstance(tensor, gs.Constant)


def _neighbours(tensor: gs.Tensor, axes: _Axes) -> Iterator[tuple[gs.Tensor, _Axes]]:
    """Yield the tensors beside ``tensor`` whose axes are its own, and which axis is which."""
    writer = producer_of(tensor)
    if writer is not None:
        for other in writer.inputs if writer.op in _SAME_AXES else writer.inputs[:1]:
            if not isinstance(other, gs.Constant) and not other.is_empty():
                mapped = _across(writer, axes, dims(tensor), dims(other), forward=False)
                if mapped is not None:
                    yield other, mapped
    for reader in tensor.outputs:
        if reader.op in _SAME_AXES or (reader.inputs and reader.inputs[0] is tensor):
            mapped = _across(reader, axes, dims(tensor), dims(reader.outputs[0]), forward=True)
            if mapped is not None:
                yield reader.outputs[0], mapped


def _across(node: gs.Node, axes: _Axes, here: Shape, there: Shape, *, forward: bool) -> _Axes | None:
    """Return which axes of the tensor on the other side of ``node`` are which; None if none is."""
    if node.op in _SAME_AXES:
        return axes if len(here) == len(there) else None
    if node.op == "Transpose":
        order = [int(axis) for axis in node.attrs.get("perm") or reversed(range(len(here)))]
        if forward:
            return tuple(axes[axis] for axis in order)
        return tuple(axes[order.index(axis)] for axis in range(len(order)))
    if node.op in RESHAPES:
        return _reshaped(axes, here, there)
    return None


def _reshaped(axes: _Axes, here: Shape, there: Shape) -> _Axes:
    """Return the axes that a reshape leaves: those that are the same from the front, and from the back."""
    front = _same(here, there)
    back = min(_same(here[::-1], there[::-1]), len(there) - front, len(here) - front)
    kept = axes[len(here) - back :] if back else ()
    return (*axes[:front], *[None] * (len(there) - front - back), *kept)


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def _token_layer(final: gs.Tensor, axis: int, tokens: int) -> HeadLayer:
    """Return what makes one vector of tokens: what the classifier that writes ``final`` does."""
    picked = _picked(final)
    if picked is not None and picked in (0, -1) and tokens > 1:
        return HeadLayer("Gather", axes=(axis,), token=picked)
    return HeadLayer("ReduceMean", axes=(axis,))


def _picked(final: gs.Tensor) -> int | None:
    """Return which token the classifier reads, 0 or -1 for the last; None if it reads another or several."""
    tensor = final
    while (node := producer_of(tensor)) is not None:
        if node.op in RECURRENT:
            last = len(node.outputs) > 1 and tensor is node.outputs[1]
            return -1 if last and node.attrs.get("direction", "forward") == "forward" else None
        if node.op in ("Gather", "Slice") and _long(node.inputs[0]) == _long(node.outputs[0]):
            tensor = node.inputs[0]  # of an axis of one place: a view
            continue
        index = _index(node)
        if index is not None:
            return index
        if node.op not in _ONE_VECTOR or not node.inputs:
            return None
        computed = [t for t in node.inputs if _is_computed(t) and not t.is_empty()]
        if len(computed) != 1:
            return None
        tensor = computed[0]
    return None


def _long(tensor: gs.Tensor) -> list[int]:
    return [size for size in dims(tensor) if size > 1]


def _index(node: gs.Node) -> int | None:
    """Return the token that ``node`` picks, 0 or -1 for the last; None if it picks several or another."""
    if node.op not in ("Gather", "Slice"):
        return None
    shape = dims(node.inputs[0])
    given = constant_input(node, 1)
    if given is None or given.size != 1:
        return None
    start = int(given.reshape(()))
    if node.op == "Gather":
        size = shape[int(node.attrs.get("axis", 0))]
    else:
        given = constant_input(node, 3)
        axis = 0 if given is None else int(given.reshape(-1)[0])
        size = shape[axis]
        if dims(node.outputs[0])[axis] != 1:
            return None
    found = {0: 0, -size: 0, -1: -1, size - 1: -1}
    return found.get(start)
