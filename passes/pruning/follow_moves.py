"""Channels through what moves values: views, concatenation, taking apart."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs

from passes.pruning.channels import Along, Channels, Ids, Size, WeightCut, shape_of, values_of


def transpose(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Transpose."""
    along, rank = channels.of[node.inputs[0].name], len(shape_of(node.inputs[0]))
    order = list(node.attrs.get("perm", range(rank)[::-1]))
    channels.of[node.outputs[0].name] = Along(order.index(along.axis), along.ids)
    return None


def view(channels: Channels, node: gs.Node) -> str | None:
    """Follow Flatten, Reshape, Squeeze and Unsqueeze.

    Where channels come to lie along several axes, some are made one until they differ along the longest
    alone: what is left of the tensor when some go has to be a tensor again.
    """
    along, before = channels.of[node.inputs[0].name], shape_of(node.inputs[0])
    after = shape_of(node.outputs[0])
    single = [1] * len(before)
    single[along.axis] = before[along.axis]
    where = np.broadcast_to(channels.roots(along.ids).reshape(single), before).reshape(after)
    varying = [axis for axis in range(len(after)) if (where != where.take([0], axis)).any()]
    if not varying or (node.op == "Reshape" and values_of(node, 1) is None):
        return f"{node.op} '{node.name}' reads one channel, or has a computed shape"
    axis = max(varying, key=lambda a: (after[a], a))
    others = [a for a in range(len(after)) if a != axis]
    line = where.transpose([axis, *others]).reshape(after[axis], -1)
    ids: Ids = np.ascontiguousarray(line[:, 0])
    if len(varying) > 1:
        channels.join(np.broadcast_to(ids[:, None], line.shape), line)
    if node.op == "Reshape":
        channels.sites.append(Size(node.name, 1, axis, ids))
    channels.of[node.outputs[0].name] = Along(axis, ids)
    return None


def concat(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Concat: of channels, behind each other; of other parts, whose channels become one."""
    rank = len(shape_of(node.outputs[0]))
    axis = int(node.attrs["axis"]) % rank
    read = [channels.of[t.name] for t in node.inputs if t.name in channels.of]
    if len({along.axis for along in read}) != 1:
        return f"Concat '{node.name}' reads channels along different axes"
    if read[0].axis == axis:
        parts = []
        for tensor in node.inputs:
            if tensor.name not in channels.of:
                added = channels.fresh(shape_of(tensor)[axis])
                channels.freeze(added, f"'{tensor.name}' has channels that stay")
                parts.append(added)
            else:
                parts.append(channels.of[tensor.name].ids)
        channels.of[node.outputs[0].name] = Along(axis, np.concatenate(parts))
        return None
    ids = read[0].ids
    for index, tensor in enumerate(node.inputs):
        if tensor.name in channels.of:
            channels.join(ids, channels.of[tensor.name].ids)
        elif isinstance(tensor, gs.Constant):
            channels.sites.append(WeightCut(node.name, index, read[0].axis, ids))
        else:
            return f"Concat '{node.name}' reads '{tensor.name}' beside, whose channels stay"
    channels.of[node.outputs[0].name] = Along(read[0].axis, ids)
    return None


def split(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Split: each output has a part of the channels, or of something else."""
    along = channels.of[node.inputs[0].name]
    axis = int(node.attrs.get("axis", 0)) % len(shape_of(node.inputs[0]))
    if along.axis != axis:
        channels.of.update({t.name: along for t in node.outputs})
        return None
    if len(node.inputs) > 1 and not node.inputs[1].is_empty() and values_of(node, 1) is None:
        return f"the sizes of Split '{node.name}' are computed"
    ends = list(itertools.accumulate(shape_of(t)[axis] for t in node.outputs))
    for number, (tensor, end) in enumerate(zip(node.outputs, ends, strict=True)):
        ids = along.ids[end - shape_of(tensor)[axis] : end]
        channels.of[tensor.name] = Along(axis, ids)
        channels.sites.append(Size(node.name, 1, number, ids))
    return None


def selection(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Slice or Gather that selects something else than channels."""
    along, rank = channels.of.get(node.inputs[0].name), len(shape_of(node.inputs[0]))
    if along is None:
        return f"what {node.op} '{node.name}' selects is computed"
    moved = 0
    if node.op == "Gather":
        axes: list[int] | None = [int(node.attrs.get("axis", 0)) % rank]
        moved = len(shape_of(node.inputs[1])) - 1 if axes and axes[0] < along.axis else 0
    elif len(node.inputs) > 3 and not node.inputs[3].is_empty():
        axes = values_of(node, 3)
    else:
        axes = list(range(len(values_of(node, 1) or range(rank))))
    if axes is None or along.axis in {axis % rank for axis in axes}:
        return f"{node.op} '{node.name}' selects channels"
    channels.of[node.outputs[0].name] = Along(along.axis + moved, along.ids)
    return None
