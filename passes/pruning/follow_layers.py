"""Channels through layers with weights: they read some, and make others."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from passes.pruning.channels import Along, Channels, Groups, Ids, WeightCut, is_constant, shape_of


def conv(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Conv; grouped ones lose the same channels of every group, depthwise ones whole groups."""
    if problem := _computed(node):
        return problem
    read, weights = channels.of.get(node.inputs[0].name), shape_of(node.inputs[1])
    groups, made = int(node.attrs.get("group", 1)), weights[0]
    if read is not None and read.axis != 1:
        return f"{node.op} '{node.name}' has its channels along axis {read.axis}"
    if groups > 1 and weights[1] == 1:
        if read is None:
            return None  # as many outputs as what stays
        channels.sites.append(Groups(node.name, read.ids))
        ids = np.repeat(read.ids, made // groups)
    elif groups > 1:
        ids = np.tile(channels.fresh(made // groups), groups)
        if read is not None:
            by_group = read.ids.reshape(groups, -1)
            channels.join(np.broadcast_to(by_group[0], by_group.shape), by_group)
            channels.sites.append(WeightCut(node.name, 1, 1, by_group[0]))
    else:
        ids = channels.fresh(made)
        if read is not None:
            channels.sites.append(WeightCut(node.name, 1, 1, read.ids))
    channels.sites.append(WeightCut(node.name, 1, 0, ids))
    _made(channels, node, ids)
    return None


def conv_transpose(channels: Channels, node: gs.Node) -> str | None:
    """Follow a ConvTranspose, ungrouped or with a group for each channel."""
    if problem := _computed(node):
        return problem
    read, weights = channels.of.get(node.inputs[0].name), shape_of(node.inputs[1])
    groups = int(node.attrs.get("group", 1))
    if read is not None and read.axis != 1:
        return f"{node.op} '{node.name}' has its channels along axis {read.axis}"
    if groups > 1:
        if weights[1] != 1 or groups != weights[0]:
            return f"ConvTranspose '{node.name}' has groups of several channels"
        if read is None:
            return None
        channels.sites += [Groups(node.name, read.ids), WeightCut(node.name, 1, 0, read.ids)]
        _made(channels, node, read.ids)
        return None
    ids = channels.fresh(weights[1])
    if read is not None:
        channels.sites.append(WeightCut(node.name, 1, 0, read.ids))
    channels.sites.append(WeightCut(node.name, 1, 1, ids))
    _made(channels, node, ids)
    return None


def gemm(channels: Channels, node: gs.Node) -> str | None:
    """Follow a Gemm of data with constant weights; behind a Flatten it reads one position per pixel."""
    if problem := _computed(node):
        return problem
    if node.attrs.get("transA", 0):
        return f"Gemm '{node.name}' reads its data transposed"
    last = bool(node.attrs.get("transB", 0))
    return _product(channels, node, reads_along=int(last), makes_along=int(not last))


def matmul(channels: Channels, node: gs.Node) -> str | None:
    """Follow a MatMul with a constant matrix behind it."""
    if (
        not is_constant(node, 1)
        or len(shape_of(node.inputs[1])) != 2
        or isinstance(node.inputs[0], gs.Constant)
    ):
        return f"MatMul '{node.name}' is no product of data with a constant matrix"
    return _product(channels, node, reads_along=0, makes_along=1)


def _product(channels: Channels, node: gs.Node, reads_along: int, makes_along: int) -> str | None:
    read, rank = channels.of.get(node.inputs[0].name), len(shape_of(node.inputs[0]))
    if read is not None and read.axis != rank - 1:
        return f"{node.op} '{node.name}' has its channels along axis {read.axis}"
    if read is not None:
        channels.sites.append(WeightCut(node.name, 1, reads_along, read.ids))
    ids = channels.fresh(shape_of(node.inputs[1])[makes_along])
    channels.sites.append(WeightCut(node.name, 1, makes_along, ids))
    _made(channels, node, ids)
    return None


def _computed(node: gs.Node) -> str | None:
    for index, what in ((1, "weights"), (2, "bias")):
        given = index < len(node.inputs) and not node.inputs[index].is_empty()
        if given and not is_constant(node, index):
            return f"the {what} of {node.op} '{node.name}' are computed"
    if isinstance(node.inputs[0], gs.Constant):
        return f"{node.op} '{node.name}' reads no data"
    return None


def _made(channels: Channels, node: gs.Node, ids: Ids) -> None:
    """Note what a layer makes, and the bias that belongs to it."""
    if node.op != "MatMul" and is_constant(node, 2):
        bias = shape_of(node.inputs[2])
        if bias and bias[-1] == len(ids):
            channels.sites.append(WeightCut(node.name, 2, len(bias) - 1, ids))
    output = node.outputs[0]
    axis = 1 if "Conv" in node.op else len(shape_of(output)) - 1
    channels.of[output.name] = Along(axis, ids)
    channels.made[node.name] = ids
