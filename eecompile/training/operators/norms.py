"""Normalizations."""

from __future__ import annotations

import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.training.operators.step import (
    TorchStep,
    axes_of,
    constant,
    present,
    root,
    shape_of,
)

Tensor = torch.Tensor


def batch_normalization(node: gs.Node) -> TorchStep:
    """Per channel: by the batch while it is trained (the running statistics follow), else by the latter.

    ONNX's ``momentum`` is the share of the old statistics that stays, and its running variance that of the
    population, where torch takes that of a sample.
    """
    for index in (3, 4):
        constant(node, index)  # statistics that are computed could not follow
    epsilon, share = float(node.attrs.get("epsilon", 1e-5)), 1 - float(node.attrs.get("momentum", 0.9))

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, training: bool) -> Tensor:
        if not training:
            return functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
        count = x.numel() // x.shape[1]
        # The old statistics are kept for the gradient: what follows is a copy.
        moved, spread = mean.clone(), torch.zeros_like(var)
        found = functional.batch_norm(x, moved, spread, scale, bias, True, share, epsilon)
        with torch.no_grad():
            mean.copy_(moved)
            var.mul_(1 - share).add_(spread, alpha=(count - 1) / count)
        return found

    return TorchStep(run, (0, 1, 2, 3, 4), learns=True)


def instance_normalization(node: gs.Node) -> TorchStep:
    """Per image and channel."""
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    return TorchStep(
        # unlike that of `functional` this one takes a single element
        lambda x, scale, bias: torch.instance_norm(x, scale, bias, None, None, True, 0.0, epsilon, False),
        (0, 1, 2),
    )


def layer_normalization(node: gs.Node) -> TorchStep:
    """Over the last axes of each token."""
    shape = shape_of(node.inputs[0])
    axis, epsilon = int(node.attrs.get("axis", -1)), float(node.attrs.get("epsilon", 1e-5))
    (first,) = axes_of([axis], len(shape))
    over = shape[first:]
    reads = present(node, 3)
    if shape_of(node.inputs[1]) == over and (len(reads) == 2 or shape_of(node.inputs[2]) == over):
        return TorchStep(
            lambda x, scale, bias=None: functional.layer_norm(x, over, scale, bias, epsilon),
            reads,
            mixes=first == 0,
        )

    def run(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        found = functional.layer_norm(x, over, None, None, epsilon) * scale
        return found if bias is None else found + bias

    return TorchStep(run, reads, mixes=first == 0)


def group_normalization(node: gs.Node) -> TorchStep:
    """Over groups of channels of each image."""
    groups, epsilon = int(node.attrs["num_groups"]), float(node.attrs.get("epsilon", 1e-5))
    channels = shape_of(node.inputs[0])[1]

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if scale.numel() != channels:  # before opset 21 there is one per group
            scale, bias = (v.repeat_interleave(channels // groups) for v in (scale, bias))
        return torch.group_norm(x, groups, scale, bias, epsilon)

    return TorchStep(run, (0, 1, 2))


def local_response_normalization(node: gs.Node) -> TorchStep:
    """Over neighbouring channels."""
    size, alpha = int(node.attrs["size"]), float(node.attrs.get("alpha", 1e-4))
    beta, bias = float(node.attrs.get("beta", 0.75)), float(node.attrs.get("bias", 1.0))

    def run(x: Tensor) -> Tensor:
        squares = (x * x).flatten(2).transpose(1, 2)
        around = functional.pad(squares, ((size - 1) // 2, size // 2))
        means = functional.avg_pool1d(around, size, 1).transpose(1, 2).reshape(x.shape)
        return x / (bias + alpha * means) ** beta

    return TorchStep(run)


def mean_variance_normalization(node: gs.Node) -> TorchStep:
    """To mean 0 and deviation 1 over the given axes."""
    rank = len(shape_of(node.inputs[0]))
    axes = axes_of(node.attrs.get("axes", [0, 2, 3]), rank)

    def run(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (root((centred * centred).mean(axes, keepdim=True)) + 1e-9)

    return TorchStep(run, mixes=0 in axes)


def lp_normalization(node: gs.Node) -> TorchStep:
    """To length 1 along an axis."""
    (axis,) = axes_of([int(node.attrs.get("axis", -1))], len(shape_of(node.inputs[0])))
    p = int(node.attrs.get("p", 2))
    return TorchStep(lambda x: functional.normalize(x, p, axis, 1e-30), mixes=axis == 0)


BUILDERS = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "LRN": local_response_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LpNormalization": lp_normalization,
}
