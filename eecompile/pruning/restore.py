"""What is left of a pruned layer makes again, as near as it can, what it made before."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import torch
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.quantization.gptq import conv_columns, moments
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import batches
from eecompile.training.device import Device
from eecompile.training.recipe import NO
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import part
from passes.operator_sets import QUANTIZED_LINEAR
from passes.pruning.groups import Dependencies
from passes.rewrite.rewriter import Rewriter, optional_input
from passes.rewrite.weights import out_channels, set_constant, why_not_constant
from passes.state import copy_graph

Array = NDArray[Any]
IMAGES = 256
ROWS = 16384
"""So many places of a layer, over all images, tell what it made."""
MAX_DEPTH = 2304
"""Layers with more inputs to an output stay as they are: their equations would take too long."""
_DAMPING = 0.01  # of the mean variance of inputs: keeps weights near where they are
_BATCH = 64


def restore_outputs(
    pruned: gs.Graph,
    given: gs.Graph,
    found: Dependencies,
    gone: Collection[int],
    images: Split,
    rule: Preprocess,
) -> None:
    """Let each Conv and Gemm make what it made before channels went, by least squares, in place.

    A layer that reads fewer channels misses what these added up to; much of it can be told from those that
    are left (He, Zhang and Sun 2017). Layers are put right in the order of the network, each reads what
    those before it make by then. Those whose weights are no plain constants stay as they are.

    Args:
        pruned: ``given`` without some branches and the units ``gone``; its weights and biases are changed.
        given: The network before.
        found: Channels of ``given``, or of it without those branches.
        gone: Roots of the channels that went.
        images: Of the training set.
        rule: From stored images to the model's input.
    """
    device = Device.choose(NO)
    rewriter = Rewriter(pruned, "prune-channels")
    made_before = {node.name: node.outputs[0].name for node in given.nodes if node.outputs}
    for node in [node for node in pruned.nodes if node.name in found.made and _is_fitted(node)]:
        places = math.prod(node.outputs[0].shape[2:])
        x = rule.apply(evenly(images.x, min(IMAGES, max(_BATCH, 4 * ROWS // places))))
        stays = ~np.isin(found.made[node.name], list(gone))
        read = _columns(node, _values(pruned, node.inputs[0].name, x, device))
        made = _rows(_values(given, made_before[node.name], x, device)[:, stays], read.shape)
        _fit(rewriter, node, read, made)


def with_biases(graph: gs.Graph) -> gs.Graph:
    """Return a copy whose layers have a bias wherever they can be fitted: it costs what it will then."""
    copy = copy_graph(graph)
    rewriter = Rewriter(copy, "prune-channels")
    for node in [node for node in copy.nodes if _is_fitted(node)]:
        if optional_input(node, 2) is None:
            set_constant(rewriter, node, 2, np.zeros(out_channels(node), node.inputs[1].values.dtype))
    return copy


def _is_fitted(node: gs.Node) -> bool:
    if node.op not in QUANTIZED_LINEAR or why_not_constant(node) is not None:
        return False
    plain = node.op == "Conv" or bool(node.attrs.get("transB", 0))
    return plain and math.prod(node.inputs[1].shape[1:]) <= MAX_DEPTH


def _values(graph: gs.Graph, name: str, x: Array, device: Device) -> Array:
    """Return a tensor of the network for images [N, …]."""
    entry = graph.inputs[0].name
    if name == entry:
        return x
    module = TorchGraph(part(graph, [entry], [name])).to(device.name).eval()
    with torch.no_grad():
        return np.concatenate(
            [module(device.held(x[piece]))[0].cpu().numpy() for piece in batches(len(x), _BATCH)]
        )


def _columns(node: gs.Node, x: Array) -> Array:
    """Return what each output is a product of, [groups, rows, depth]."""
    if node.op == "Gemm":
        return x[None]
    kernel, attrs = [int(d) for d in node.inputs[1].shape[2:]], node.attrs
    ones = [1] * len(kernel)
    pads = attrs.get("pads", [0] * (2 * len(kernel)))
    strides, dilations = attrs.get("strides", ones), attrs.get("dilations", ones)
    return conv_columns(x, kernel, strides, pads, dilations, int(attrs.get("group", 1)), ROWS)


def _rows(made: Array, like: tuple[int, ...]) -> Array:
    """Return what was made at the places of columns of shape ``like``, [groups, rows, outputs of each]."""
    flat = np.moveaxis(made, 1, -1).reshape(-1, made.shape[1])
    flat = flat[:: max(1, len(flat) // ROWS)] if made.ndim > 2 else flat
    return flat.reshape(len(flat), like[0], -1).transpose(1, 0, 2)


def _fit(rewriter: Rewriter, node: gs.Node, read: Array, made: Array) -> None:
    """Give a layer the weights and bias that make ``made`` of ``read`` with least squared error."""
    old = np.asarray(node.inputs[1].values)
    groups, _, depth = read.shape
    weights = old.reshape(groups, -1, depth).astype(np.float64)
    mean, covariance = moments(read)
    target = made.mean(axis=1, dtype=np.float64)
    centred = read - mean[:, None]
    cross = centred.transpose(0, 2, 1) @ (made - target[:, None]) / read.shape[1]
    damping = np.maximum(_DAMPING * np.diagonal(covariance, axis1=1, axis2=2).mean(axis=1), 1e-12)
    damped = covariance + damping[:, None, None] * np.eye(depth)
    change = np.linalg.solve(damped, cross - covariance @ weights.transpose(0, 2, 1))
    weights += change.transpose(0, 2, 1)
    bias = (target - np.einsum("gkd,gd->gk", weights, mean)).reshape(-1)
    set_constant(rewriter, node, 1, weights.reshape(old.shape).astype(old.dtype))
    set_constant(rewriter, node, 2, bias.astype(old.dtype))
