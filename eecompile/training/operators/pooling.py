"""Pooling over windows and over all of space."""

from __future__ import annotations

import math

import onnx_graphsurgeon as gs
import torch
from torch.nn import functional

from eecompile.training.operators.step import TorchStep, root, shape_of, untrainable
from eecompile.training.operators.windows import SlidingWindow, padded, window_of

Tensor = torch.Tensor
_MAX = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_AVERAGE = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)
_CONVS = (functional.conv1d, functional.conv2d, functional.conv3d)


def _window(node: gs.Node) -> SlidingWindow:
    kernel = [int(k) for k in node.attrs["kernel_shape"]]
    if len(kernel) not in (1, 2, 3):
        raise untrainable(node, f"it has {len(kernel)} spatial axes")
    return window_of(node, kernel)


def max_pool(node: gs.Node) -> TorchStep:
    """Largest value of each window; what lies beyond the input is smaller than all."""
    window = _window(node)
    function = _MAX[len(window.kernel) - 1]
    # torch itself pads by at most half a window
    small = all(2 * b <= k for b, k in zip(window.begin, window.kernel, strict=True))
    if window.plain and small:
        return TorchStep(lambda x: function(x, window.kernel, window.strides, window.begin, window.dilations))
    return TorchStep(
        lambda x: function(
            padded(x, window.begin, window.reach, -math.inf),
            window.kernel,
            window.strides,
            0,
            window.dilations,
        )
    )


def _sums(x: Tensor, window: SlidingWindow) -> Tensor:
    """Return the sums over all windows of ``x`` [N, C, …], zeros around it."""
    rank = len(window.kernel)
    x = padded(x, window.begin, window.reach)
    if max(window.dilations) == 1:
        return _AVERAGE[rank - 1](x, window.kernel, window.strides) * math.prod(window.kernel)
    ones = x.new_ones((x.shape[1], 1, *window.kernel))
    return _CONVS[rank - 1](x, ones, None, window.strides, 0, window.dilations, x.shape[1])


def average_pool(node: gs.Node) -> TorchStep:
    """Mean of each window: of the elements of the input, or of those of the padding as well."""
    window, counts_padding = _window(node), bool(node.attrs.get("count_include_pad", 0))
    function = _AVERAGE[len(window.kernel) - 1]
    small = all(2 * b <= k for b, k in zip(window.begin, window.kernel, strict=True))
    if window.plain and small and max(window.dilations) == 1:
        return TorchStep(
            lambda x: function(x, window.kernel, window.strides, window.begin, False, counts_padding)
        )
    size = shape_of(node.inputs[0])[2:]
    if counts_padding:  # elements of the declared padding count, those that rounding up adds do not
        spread = zip(size, window.begin, window.end, strict=True)
        ones = torch.ones((1, 1, *(n + b + e for n, b, e in spread)))
        none = (0,) * len(size)
        beyond = tuple(max(r - e, 0) for r, e in zip(window.reach, window.end, strict=True))
        counts = _sums(
            ones, SlidingWindow(window.kernel, window.strides, window.dilations, none, none, beyond)
        )
    else:
        counts = _sums(torch.ones((1, 1, *size)), window)
    return TorchStep(lambda x, counts: _sums(x, window) / counts, holds=(counts,))


def lp_pool(node: gs.Node) -> TorchStep:
    """The p-norm of each window."""
    window, p = _window(node), int(node.attrs.get("p", 2))
    return TorchStep(lambda x: root(_sums(x.abs() ** p, window), p))


def _space(node: gs.Node) -> tuple[int, ...]:
    return tuple(range(2, len(shape_of(node.inputs[0]))))


def global_average_pool(node: gs.Node) -> TorchStep:
    """Mean over all of space."""
    axes = _space(node)
    return TorchStep(lambda x: x.mean(axes, keepdim=True))


def global_max_pool(node: gs.Node) -> TorchStep:
    """Maximum over all of space."""
    axes = _space(node)
    return TorchStep(lambda x: x.amax(axes, keepdim=True))


def global_lp_pool(node: gs.Node) -> TorchStep:
    """The p-norm over all of space."""
    axes, p = _space(node), int(node.attrs.get("p", 2))
    return TorchStep(lambda x: root((x.abs() ** p).sum(axes, keepdim=True), p))


BUILDERS = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "GlobalLpPool": global_lp_pool,
}
