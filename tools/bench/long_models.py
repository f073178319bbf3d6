"""Classifiers of any number of layers, in the shapes networks have: a chain, skips, blocks, branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIZE, CLASSES = 8, 8, 10
EXPANSION, BRANCHES = 2, 4
_PART_OF_A_LAYER = {"Relu", "BatchNormalization"}


class LongModel:
    """Appends layers of eight channels, 8 x 8, until there are ``layers`` of them.

    Attributes:
        layers: How many layers there shall be in front of the classifier, at least; activations and
            normalizations are part of the layer in front of them.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    @property
    def full(self) -> bool:
        """Whether there are enough layers."""
        return sum(node.op_type not in _PART_OF_A_LAYER for node in self._nodes) >= self.layers

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer."""
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return its output."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def conv(self, x: str, cin: int, cout: int, kernel: int = 3, group: int = 1) -> str:
        """Append a SAME-padded convolution with bias."""
        weight = self.constant(self._rng.normal(size=(cout, cin // group, kernel, kernel)))
        bias = self.constant(self._rng.normal(size=cout))
        return self.op(
            "Conv", x, weight, bias, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group
        )

    def normalized(self, x: str) -> str:
        """Append a BatchNormalization."""
        return self.op("BatchNormalization", x, *(self.constant(np.ones(CHANNELS)) for _ in range(4)))

    def model(self, x: str) -> onnx.ModelProto:
        """Append mean and linear layer; return the model."""
        features = self.op("Flatten", self.op("GlobalAveragePool", x))
        logits = self.op(
            "Gemm", features, self.constant(self._rng.normal(size=(CLASSES, CHANNELS))), transB=1
        )
        given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])
        made = helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES])
        graph = helper.make_graph(self._nodes, "long", [given], [made], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _chain(net: LongModel, x: str) -> str:
    return net.op("Relu", net.conv(x, CHANNELS, CHANNELS))


def _residual(net: LongModel, x: str) -> str:
    inner = net.conv(net.op("Relu", net.conv(x, CHANNELS, CHANNELS)), CHANNELS, CHANNELS)
    return net.op("Relu", net.op("Add", inner, x))


def _bottleneck(net: LongModel, x: str) -> str:
    wide = EXPANSION * CHANNELS
    inner = net.op("Relu", net.conv(x, CHANNELS, wide, kernel=1))
    inner = net.op("Relu", net.conv(inner, wide, wide, group=wide))
    return net.op("Add", net.conv(inner, wide, CHANNELS, kernel=1), x)


def _normalized(net: LongModel, x: str) -> str:
    return net.op("Relu", net.normalized(net.conv(x, CHANNELS, CHANNELS)))


def _elementwise(net: LongModel, x: str) -> str:
    return net.op("Add", net.op("Sigmoid", x), x)


def _branches(net: LongModel, x: str) -> str:
    width = CHANNELS // BRANCHES
    parts = [net.op("Relu", net.conv(x, CHANNELS, width, kernel=1)) for _ in range(BRANCHES)]
    return net.op("Concat", *parts, axis=1)


BLOCKS: dict[str, Callable[[LongModel, str], str]] = {
    "chain": _chain,
    "residual": _residual,
    "bottleneck": _bottleneck,
    "batchnorm": _normalized,
    "elementwise": _elementwise,
    "branches": _branches,
}


def long_model(shape: str, layers: int) -> onnx.ModelProto:
    """Return a classifier of about ``layers`` layers whose blocks are those called ``shape``."""
    net = LongModel(layers)
    x = "input"
    while not net.full:
        x = BLOCKS[shape](net, x)
    return net.model(x)
