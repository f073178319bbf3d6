"""The layers of an exit head: one list that the graph, the cost and the training share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from passes.operator_sets import FLOAT_LINEAR

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

# What makes one vector of features of many tokens.
TOKENS = frozenset({"ReduceMean", "Gather"})
# First layers that have nothing to train: features are stored behind them.
STORED_BEHIND = TOKENS | {"MaxPool"}
# Layers that also read the exit before: its features, or its logits.
JOINS = frozenset({"Concat", "Add"})


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a head.

    Attributes:
        op: ``ReduceMean`` or ``Gather`` (over tokens, features last), ``MaxPool`` (kernel = stride), ``Conv``
            (SAME padding, followed by ReLU), ``Flatten``, ``Gemm``, ``Concat`` (with the features of the exit
            before) or ``Add`` (of its logits).
        kernel: Kernel per spatial axis; for pooling it is the stride as well.
        stride: Stride of a convolution, per spatial axis.
        channels: Output channels of a convolution, outputs of a Gemm; of a Concat what the other brings.
        hidden: A Gemm that is followed by ReLU, as every convolution is.
        axes: Axes of the tokens, the batch counted: averaged by ReduceMean, the first picked from by Gather.
        token: Which one Gather picks; -1 is the last.
        depthwise: Each channel of a convolution is a group of its own.
        ceiling: The most that the ReLU lets through, 6 for ReLU6; 0 where it has none.
    """

    op: str
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    channels: int = 0
    hidden: bool = False
    axes: tuple[int, ...] = ()
    token: int = 0
    depthwise: bool = False
    ceiling: float = 0.0

    @property
    def ends_in_relu(self) -> bool:
        """Whether a ReLU follows: behind each layer with weights but the last."""
        return self.op == "Conv" or self.hidden

    @property
    def ops(self) -> tuple[str, ...]:
        """The ONNX operators of the layer, one or two."""
        if not self.ends_in_relu:
            return (self.op,)
        return (self.op, "Clip" if self.ceiling else "Relu")

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
        if self.op == "Concat":
            return (shape[0] + self.channels,)
        return shape if self.op == "Add" else (self.channels,)

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
                "group": shape[0] if self.depthwise else 1,
            }
        if self.op in ("Flatten", "Concat"):
            return {"axis": 1}
        if self.op == "ReduceMean":
            return {"keepdims": 0}
        if self.op == "Gather":
            return {"axis": self.axes[0]}
        return {} if self.op == "Add" else {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}

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
        weight_shape = (self.channels, 1 if self.depthwise else shape[0], *self.kernel)
        if rng is None:
            ones = np.float32(1)
            return {
                "weight": np.broadcast_to(ones, weight_shape),
                "bias": np.broadcast_to(ones, (self.channels,)),
            }
        deviation = math.sqrt(2.0 / math.prod(weight_shape[1:]))
        weight = rng.normal(0.0, deviation, weight_shape).astype(np.float32)
        return {"weight": weight, "bias": np.zeros(self.channels, np.float32)}


def shape_behind(layers: Sequence[HeadLayer], shape: Shape) -> Shape:
    """Return the shape that ``layers`` make of ``shape``, one after the other."""
    for layer in layers:
        shape = layer.output_shape(shape)
    return shape


def layer_names(ops: Sequence[str]) -> list[str]:
    """Return the names of layers of one head: ``conv``, ``conv_1`` … by operator, in their order."""
    counts: dict[str, int] = {}
    names = []
    for op in ops:
        number = counts.get(op, 0)
        counts[op] = number + 1
        names.append(op.lower() if number == 0 else f"{op.lower()}_{number}")
    return names
