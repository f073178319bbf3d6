"""What an exit head is made of: one list of layers that the graph, the cost and the training share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from passes.errors import InputError, did_you_mean

AUTO = "auto"


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a head.

    Attributes:
        op: ``MaxPool`` (kernel = stride), ``Conv`` (SAME padding, followed by ReLU), ``Flatten`` or ``Gemm``.
        kernel: Kernel per spatial axis; for pooling it is the stride as well.
        stride: Stride of a convolution, per spatial axis.
        channels: Output channels of a convolution or classes of the final Gemm.
    """

    op: str
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    channels: int = 0

    def pads(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return SAME_UPPER pads (begin per axis, then end per axis) for an input of ``spatial`` size."""
        begin, end = [], []
        for size, kernel, stride in zip(spatial, self.kernel, self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            begin.append(total // 2)
            end.append(total - total // 2)
        return (*begin, *end)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape (channels first, no batch) this layer makes of ``shape``."""
        if self.op == "MaxPool":
            return (shape[0], *(s // k for s, k in zip(shape[1:], self.kernel, strict=True)))
        if self.op == "Conv":
            return (self.channels, *(math.ceil(s / k) for s, k in zip(shape[1:], self.stride, strict=True)))
        if self.op == "Flatten":
            return (math.prod(shape),)
        return (self.channels,)


def _pool_to(spatial: tuple[int, ...], size: int) -> tuple[HeadLayer, ...]:
    """Max-pool, kernel = stride, so that at most ``size`` is left per axis; nothing if it is already."""
    kernel = tuple(math.ceil(s / size) for s in spatial)
    return (HeadLayer("MaxPool", kernel, kernel),) if max(kernel) > 1 else ()


def linear_head(shape: tuple[int, ...], classes: int) -> tuple[HeadLayer, ...]:
    """Max-pool to at most 4 per axis, flatten, one fully connected layer (the head of arXiv 2512.04705)."""
    return (*_pool_to(shape[1:], 4), HeadLayer("Flatten"), HeadLayer("Gemm", channels=classes))


def conv_head(shape: tuple[int, ...], classes: int) -> tuple[HeadLayer, ...]:
    """Max-pool to at most 8 per axis, 3x3 convolution of stride 2, then the linear head.

    An image that does not leave pays for the head as well, so it is kept narrow: 32 to 64 channels.
    """
    rank = len(shape) - 1
    first = _pool_to(shape[1:], 8)
    pooled = first[0].output_shape(shape) if first else shape
    width = min(64, max(32, math.ceil(2 * shape[0] / 16) * 16))
    conv = HeadLayer("Conv", (3,) * rank, (2,) * rank, width)
    return (*first, conv, *linear_head(conv.output_shape(pooled), classes))


def auto_head(shape: tuple[int, ...], classes: int) -> tuple[HeadLayer, ...]:
    """A conv head where the mount still has 8 or more per axis, a linear head on what is smaller."""
    return conv_head(shape, classes) if min(shape[1:]) >= 8 else linear_head(shape, classes)


HEADS: dict[str, Callable[[tuple[int, ...], int], tuple[HeadLayer, ...]]] = {
    AUTO: auto_head,
    "linear": linear_head,
    "conv": conv_head,
}


def head_layers(kind: str, shape: tuple[int, ...], classes: int) -> tuple[HeadLayer, ...]:
    """Return the layers of a head of ``kind`` for a mount of ``shape`` (channels first, no batch).

    Raises:
        InputError: Unknown kind, or a mount without channels and one or two spatial axes.
    """
    if kind not in HEADS:
        raise InputError(f"unknown head '{kind}'", did_you_mean(kind, HEADS))
    if len(shape) not in (2, 3):
        raise InputError(
            f"a head needs a mount with channels and 1 or 2 spatial axes, got shape {list(shape)}"
        )
    return HEADS[kind](shape, classes)
