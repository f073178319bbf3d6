"""What an exit head is made of: one list of layers that the graph, the cost and the training share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError, did_you_mean
from passes.operator_sets import FLOAT_LINEAR

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

AUTO = "auto"
# What makes one vector of features of many tokens.
TOKENS = frozenset({"ReduceMean", "Gather"})
# First layers that have nothing to train: features are stored behind them.
STORED_BEHIND = TOKENS | {"MaxPool"}


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a head.

    Attributes:
        op: ``ReduceMean`` or ``Gather`` (over tokens, features last), ``MaxPool`` (kernel = stride), ``Conv``
            (SAME padding, followed by ReLU), ``Flatten`` or ``Gemm``.
        kernel: Kernel per spatial axis; for pooling it is the stride as well.
        stride: Stride of a convolution, per spatial axis.
        channels: Output channels of a convolution, outputs of a Gemm.
        hidden: A Gemm that is followed by ReLU, as every convolution is.
        axes: Axes of the tokens, the batch counted: averaged by ReduceMean, the first picked from by Gather.
        token: Which one Gather picks; -1 is the last.
    """

    op: str
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    channels: int = 0
    hidden: bool = False
    axes: tuple[int, ...] = ()
    token: int = 0

    @property
    def ends_in_relu(self) -> bool:
        """Whether a ReLU follows: behind each layer with weights but the last."""
        return self.op == "Conv" or self.hidden

    def pads(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return SAME_UPPER pads (begin per axis, then end per axis) for an input of ``spatial`` size."""
        begin, end = [], []
        for size, kernel, stride in zip(spatial, self.kernel, self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            begin.append(total // 2)
            end.append(total - total // 2)
        return (*begin, *end)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape (no batch; channels first, tokens before their features) it makes of ``shape``."""
        if self.op in TOKENS:
            return shape[-1:]
        if self.op == "MaxPool":
            return (shape[0], *(s // k for s, k in zip(shape[1:], self.kernel, strict=True)))
        if self.op == "Conv":
            return (self.channels, *(math.ceil(s / k) for s, k in zip(shape[1:], self.stride, strict=True)))
        if self.op == "Flatten":
            return (math.prod(shape),)
        return (self.channels,)

    def attributes(self, shape: Shape) -> dict[str, Any]:
        """Return the ONNX attributes of this layer on an input of ``shape`` (channels first, no batch)."""
        if self.op == "MaxPool":
            return {"kernel_shape": list(self.kernel), "strides": list(self.kernel)}
        if self.op == "Conv":
            return {
                "kernel_shape": list(self.kernel),
                "strides": list(self.stride),
                "pads": list(self.pads(shape[1:])),
                "dilations": [1] * len(self.kernel),
                "group": 1,
            }
        if self.op == "Flatten":
            return {"axis": 1}
        if self.op == "ReduceMean":
            return {"keepdims": 0}
        if self.op == "Gather":
            return {"axis": self.axes[0]}
        return {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}

    def parameters(self, shape: Shape, rng: np.random.Generator | None) -> dict[str, Array]:
        """Return the constants it reads, in their order.

        Of layers with weights ``weight`` and ``bias``: He normal from ``rng``, symbolic without.
        """
        if self.op == "ReduceMean":
            return {"axes": np.array(self.axes, np.int64)}
        if self.op == "Gather":
            return {"token": np.array(self.token, np.int64)}
        if self.op not in FLOAT_LINEAR:
            return {}
        weight_shape = (self.channels, shape[0], *self.kernel)
        if rng is None:
            ones = np.float32(1)
            return {
                "weight": np.broadcast_to(ones, weight_shape),
                "bias": np.broadcast_to(ones, (self.channels,)),
            }
        deviation = math.sqrt(2.0 / math.prod(weight_shape[1:]))
        weight = rng.normal(0.0, deviation, weight_shape).astype(np.float32)
        return {"weight": weight, "bias": np.zeros(self.channels, np.float32)}


@dataclass(frozen=True)
class HeadFamily:
    """A kind of head, recorded in each exit that has one.

    Attributes:
        name: As it is written into files.
        layers: From the shape of the features (channels first, no batch, up to two spatial axes) and the
            number of classes to the layers of the head.
    """

    name: str
    layers: Callable[[Shape, int], tuple[HeadLayer, ...]]

    def on(self, mount: Shape, classes: int, reading: Sequence[HeadLayer] = ()) -> tuple[HeadLayer, ...]:
        """Return all layers of a head on a mount of shape ``mount`` (no batch), ``reading`` in front."""
        for layer in reading:
            mount = layer.output_shape(mount)
        return (*reading, *self.layers(mount, classes))

    def build(
        self,
        mount: gs.Tensor,
        name: str,
        classes: int,
        rng: np.random.Generator | None,
        reading: Sequence[HeadLayer] = (),
    ) -> list[gs.Node]:
        """Return the nodes of a head that reads ``mount``; the last one writes its logits, ``name``.

        Nodes are called ``<name>/<layer>``, see :func:`layer_names`. Weights are drawn from ``rng``;
        without, they are symbolic. ``reading`` is what makes features of the mount.
        """
        shape: Shape = tuple(int(d) for d in mount.shape[1:])
        layers = self.on(shape, classes, reading)
        ops = [op for layer in layers for op in ((layer.op, "Relu") if layer.ends_in_relu else (layer.op,))]
        stems = iter([f"{name}/{found}" for found in layer_names(ops)])
        current, nodes = mount, []
        for layer in layers:
            stem = next(stems)
            values = layer.parameters(shape, rng)
            constants = [gs.Constant(f"{stem}.{key}", value) for key, value in values.items()]
            attributes = layer.attributes(shape)
            shape = layer.output_shape(shape)
            output = gs.Variable(f"{stem}_out", np.float32, [1, *shape])
            nodes.append(gs.Node(layer.op, stem, attributes, [current, *constants], [output]))
            current = output
            if layer.ends_in_relu:
                stem = next(stems)
                current = gs.Variable(f"{stem}_out", np.float32, [1, *shape])
                nodes.append(gs.Node("Relu", stem, {}, [output], [current]))
        current.name = name
        return nodes


def layer_names(ops: Sequence[str]) -> list[str]:
    """Return the names of layers of one head: ``conv``, ``conv_1`` … by operator, in their order."""
    counts: dict[str, int] = {}
    names = []
    for op in ops:
        number = counts.get(op, 0)
        counts[op] = number + 1
        names.append(op.lower() if number == 0 else f"{op.lower()}_{number}")
    return names


def _pool_to(spatial: tuple[int, ...], size: int) -> tuple[HeadLayer, ...]:
    """Max-pool, kernel = stride, so that at most ``size`` is left per axis; nothing if it is already."""
    kernel = tuple(math.ceil(s / size) for s in spatial)
    return (HeadLayer("MaxPool", kernel, kernel),) if max(kernel, default=1) > 1 else ()


def _narrow(channels: int) -> int:
    """Return the width of a hidden layer: an image that does not leave pays for the head as well."""
    return min(64, max(32, math.ceil(2 * channels / 16) * 16))


def linear_head(shape: Shape, classes: int) -> tuple[HeadLayer, ...]:
    """Max-pool to at most 4 per axis, flatten, one fully connected layer (the head of arXiv 2512.04705).

    On a vector of features it is the fully connected layer alone.
    """
    flat = (HeadLayer("Flatten"),) if len(shape) > 1 else ()
    return (*_pool_to(shape[1:], 4), *flat, HeadLayer("Gemm", channels=classes))


def conv_head(shape: Shape, classes: int) -> tuple[HeadLayer, ...]:
    """Max-pool to at most 8 per axis, 3x3 convolution of stride 2, then the linear head.

    On a vector of features the hidden layer is a fully connected one. It has 32 to 64 channels.
    """
    rank = len(shape) - 1
    width = _narrow(shape[0])
    if rank == 0:
        return (HeadLayer("Gemm", channels=width, hidden=True), *linear_head((width,), classes))
    first = _pool_to(shape[1:], 8)
    pooled = first[0].output_shape(shape) if first else shape
    conv = HeadLayer("Conv", (3,) * rank, (2,) * rank, width)
    return (*first, conv, *linear_head(conv.output_shape(pooled), classes))


LINEAR = HeadFamily("linear", linear_head)
CONV = HeadFamily("conv", conv_head)
FAMILIES: dict[str, HeadFamily] = {family.name: family for family in (LINEAR, CONV)}


def check_kind(kind: str) -> str:
    """Return ``kind``; raises InputError if it is neither a family nor ``auto``."""
    if kind != AUTO and kind not in FAMILIES:
        raise InputError(f"unknown head '{kind}'", did_you_mean(kind, (AUTO, *FAMILIES)))
    return kind


def head_family(kind: str, shape: Shape) -> HeadFamily:
    """Return the family of a head of ``kind`` for features of ``shape`` (channels first, no batch).

    ``auto`` chooses: a conv head where there are still 8 or more per spatial axis, a linear head on what is
    smaller or has none.

    Raises:
        InputError: Unknown kind, or features without channels or with more than two spatial axes.
    """
    check_kind(kind)
    if len(shape) not in (1, 2, 3):
        raise InputError(
            f"a head needs features with channels and up to 2 spatial axes, got shape {list(shape)}"
        )
    if kind == AUTO:
        return CONV if min(shape[1:], default=0) >= 8 else LINEAR
    return FAMILIES[kind]
