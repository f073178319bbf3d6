"""Channels through what keeps each value with its channel: activations, arithmetic, pools, norms."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.pruning.channels import Along, Channels, WeightCut, is_constant, shape_of, values_of


def unary(channels: Channels, node: gs.Node) -> str | None:
    """Follow what computes each value from one value."""
    channels.of[node.outputs[0].name] = channels.of[node.inputs[0].name]
    return None


def elementwise(channels: Channels, node: gs.Node) -> str | None:
    """Follow what computes each value from the values at its place: their channels become one.

    A constant per channel belongs to it; what is one number for all channels does not.
    """
    rank = len(shape_of(node.outputs[0]))
    read = [(t, channels.of[t.name]) for t in node.inputs if t.name in channels.of]
    places = {along.axis + rank - len(shape_of(t)) for t, along in read}
    if len(places) != 1:
        return f"{node.op} '{node.name}' reads channels along different axes"
    axis = places.pop()
    count = shape_of(node.outputs[0])[axis]
    if any(len(along.ids) != count for _, along in read):
        return f"{node.op} '{node.name}' repeats a channel for all others"
    ids = read[0][1].ids
    for index, tensor in enumerate(node.inputs):
        if tensor.name in channels.of:
            channels.join(ids, channels.of[tensor.name].ids)
            continue
        own = shape_of(tensor) if not tensor.is_empty() else ()
        at = axis - (rank - len(own))
        if at < 0 or own[at] == 1:
            continue
        if not isinstance(tensor, gs.Constant):
            return f"{node.op} '{node.name}' reads '{tensor.name}' beside, whose channels stay"
        channels.sites.append(WeightCut(node.name, index, at, ids))
    channels.of[node.outputs[0].name] = Along(axis, ids)
    return None


def pool(channels: Channels, node: gs.Node) -> str | None:
    """Follow what works within each map: pooling over windows or all of it."""
    along = channels.of[node.inputs[0].name]
    if along.axis != 1:
        return f"{node.op} '{node.name}' has its channels along axis {along.axis}"
    return unary(channels, node)


def normalization(channels: Channels, node: gs.Node) -> str | None:
    """Follow a BatchNormalization or InstanceNormalization: some numbers per channel."""
    along = channels.of[node.inputs[0].name]
    count = 5 if node.op == "BatchNormalization" else 3
    if along.axis != 1 or not all(is_constant(node, index) for index in range(1, count)):
        return f"{node.op} '{node.name}' has computed parameters, or no channels along axis 1"
    channels.sites += [WeightCut(node.name, index, 0, along.ids) for index in range(1, count)]
    return unary(channels, node)


def over_axis(channels: Channels, node: gs.Node) -> str | None:
    """Follow what works along one axis, or from it to the last (LayerNormalization): not that of channels."""
    along, rank = channels.of[node.inputs[0].name], len(shape_of(node.inputs[0]))
    axis = int(node.attrs.get("axis", -1)) % rank
    if along.axis == axis or (node.op == "LayerNormalization" and along.axis > axis):
        return f"{node.op} '{node.name}' weighs channels against each other"
    return unary(channels, node)


def reduction(channels: Channels, node: gs.Node) -> str | None:
    """Follow a reduction over axes other than that of channels."""
    along, rank = channels.of[node.inputs[0].name], len(shape_of(node.inputs[0]))
    given = values_of(node, 1) if len(node.inputs) > 1 else list(node.attrs.get("axes", range(rank)))
    axes = None if given is None else {axis % rank for axis in given}
    if axes is None or along.axis in axes or not axes:
        return f"{node.op} '{node.name}' makes one value of several channels"
    gone = 0 if node.attrs.get("keepdims", 1) else sum(axis < along.axis for axis in axes)
    channels.of[node.outputs[0].name] = Along(along.axis - gone, along.ids)
    return None


def pad(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Pad that adds no channels."""
    along, rank = channels.of[node.inputs[0].name], len(shape_of(node.inputs[0]))
    amounts = values_of(node, 1)
    axes = values_of(node, 3) if len(node.inputs) > 3 else list(range(rank))
    if amounts is None or axes is None:
        return f"the amounts of Pad '{node.name}' are computed"
    for axis, before, after in zip(axes, amounts, amounts[len(axes) :], strict=False):
        if axis % rank == along.axis and (before or after):
            return f"Pad '{node.name}' adds channels"
    return unary(channels, node)


def resize(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Resize by factors that leave the number of channels alone."""
    along = channels.of[node.inputs[0].name]
    scales = np.asarray(node.inputs[2].values) if is_constant(node, 2) else np.zeros(0)
    if len(scales) != len(shape_of(node.inputs[0])) or scales[along.axis] != 1:
        return f"Resize '{node.name}' is not told by factors, or changes the number of channels"
    return unary(channels, node)
