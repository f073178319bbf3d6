"""Layers of a backbone as nodes of a graph, one behind the other; their weights are absent until drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.loading import IR_VERSION, OPSET
from passes.state import state_of

RELU, RELU6 = "relu", "relu6"


class BackboneBuilder:
    """Collects nodes; each method that adds one reads the tensor of the one before.

    A layer called ``stem`` has the weights ``stem.weight`` and ``stem.bias`` and the tensor ``stem.out``.
    Maps are padded so that a stride of s leaves ceil(size / s) places, more at the end (SAME_UPPER of ONNX).

    Args:
        name: Name of the graph.
        input_shape: (1, channels, rows, columns).
    """

    def __init__(self, name: str, input_shape: Sequence[int]) -> None:
        self._name = name
        self._input = gs.Variable("image", np.float32, list(input_shape))
        self._nodes: list[gs.Node] = []
        self.tensor = self._input

    @property
    def channels(self) -> int:
        """Channels of the tensor that the next layer reads."""
        return int(self.tensor.shape[1])

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        depthwise: bool = False,
    ) -> None:
        """Add a convolution with bias; ``depthwise``: of each channel alone."""
        kernels = (kernel, kernel) if isinstance(kernel, int) else kernel
        places = [int(d) for d in self.tensor.shape[2:]]
        after = [-(-place // stride) for place in places]
        missing = [
            max(0, (count - 1) * stride + size - place)
            for count, size, place in zip(after, kernels, places, strict=True)
        ]
        begin = [total // 2 for total in missing]
        pads = [*begin, *(total - first for total, first in zip(missing, begin, strict=True))]
        groups = self.channels if depthwise else 1
        weights = (channels, self.channels // groups, *kernels)
        attributes = {
            "kernel_shape": list(kernels),
            "strides": [stride, stride],
            "pads": pads,
            "dilations": [1, 1],
            "group": groups,
        }
        self._linear("Conv", name, weights, attributes, [1, channels, *after])

    def activate(self, name: str, kind: str = RELU) -> None:
        """Add ``relu``, or ``relu6``, which ends at 6."""
        if kind == RELU:
            self._add("Relu", name, [self.tensor], {}, self.tensor.shape)
            return
        bounds = [
            gs.Constant(f"{name}.{key}", np.array(v, np.float32)) for key, v in (("min", 0), ("max", 6))
        ]
        self._add("Clip", name, [self.tensor, *bounds], {}, self.tensor.shape)

    def add(self, name: str, other: gs.Variable) -> None:
        """Add another tensor to this one."""
        self._add("Add", name, [self.tensor, other], {}, self.tensor.shape)

    def end_block(self, name: str) -> None:
        """Call the tensor as the block is called: exits may go there."""
        self.tensor.name = name

    def classify(self, classes: int) -> None:
        """Add the mean over all places and a fully connected layer: the logits."""
        channels = self.channels
        if max(self.tensor.shape[2:]) > 1:
            self._add("GlobalAveragePool", "pool", [self.tensor], {}, [1, channels, 1, 1])
        self._add("Flatten", "flatten", [self.tensor], {"axis": 1}, [1, channels])
        self._linear(
            "Gemm", "classifier", (classes, channels), {"alpha": 1.0, "beta": 1.0, "transB": 1}, [1, classes]
        )
        self.tensor.name = "logits"

    def graph(self) -> gs.Graph:
        """Return the network; what was added last is its answer."""
        graph = gs.Graph(self._nodes, [self._input], [self.tensor], name=self._name, opset=OPSET)
        graph.ir_version = IR_VERSION
        state_of(graph).symbolic = True
        return graph

    def _linear(
        self, op: str, name: str, weights: tuple[int, ...], attributes: dict[str, Any], made: Sequence[int]
    ) -> None:
        absent = np.ones((), np.float32)
        constants = [
            gs.Constant(f"{name}.{key}", np.broadcast_to(absent, shape))
            for key, shape in (("weight", weights), ("bias", weights[:1]))
        ]
        self._add(op, name, [self.tensor, *constants], attributes, made)

    def _add(
        self, op: str, name: str, read: Sequence[gs.Tensor], attributes: dict[str, Any], made: Sequence[int]
    ) -> None:
        tensor = gs.Variable(f"{name}.out", np.float32, list(made))
        self._nodes.append(gs.Node(op, name, attributes, list(read), [tensor]))
        self.tensor = tensor


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width`` as a multiple of 8, 8 at least.

    The nearest one, but the next where that is more than a tenth too few (the rule of MobileNets).
    """
    exact = channels * width
    found = max(8, math.floor(exact / 8 + 0.5) * 8)
    return found if found >= 0.9 * exact else found + 8
