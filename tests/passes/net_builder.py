"""Small ONNX networks, node by node, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class NetBuilder:
    """Collects nodes and constants; every method that adds a node returns the name of its output."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.shape = shape
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, values: Any, dtype: Any = np.float32) -> str:
        """Add an initializer."""
        name = f"const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        """Add an initializer of random numbers."""
        return self.const(self.rng.normal(size=shape) * scale)

    def op(self, op_type: str, *inputs: str, **attrs: Any) -> str:
        """Add a node; its output has the name of the node with ``_out`` behind it."""
        name = f"n{len(self.nodes)}_{op_type}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [f"{name}_out"], name=name, **attrs))
        return f"{name}_out"

    def conv(self, x: str, cin: int, cout: int, kernel: int = 3, bias: bool = True, **attrs: Any) -> str:
        """Add a Conv with random weights; ``pads`` keep the size unless given."""
        if "pads" not in attrs and "auto_pad" not in attrs:
            attrs["pads"] = [kernel // 2] * 4
        groups = attrs.get("group", 1)
        fan = cin // groups * kernel * kernel
        weights = self.normal(cout, cin // groups, kernel, kernel, scale=fan**-0.5)
        extra = [self.normal(cout, scale=0.2)] if bias else []
        return self.op("Conv", x, weights, *extra, **attrs)

    def batchnorm(self, x: str, channels: int) -> str:
        """Add a BatchNormalization with random statistics."""
        parameters = [self.rng.uniform(0.5, 1.5, channels), self.rng.normal(size=channels) * 0.2]
        statistics = [self.rng.normal(size=channels) * 0.2, self.rng.uniform(0.5, 1.5, channels)]
        return self.op("BatchNormalization", x, *(self.const(v) for v in [*parameters, *statistics]))

    def to_last(self, x: str) -> str:
        """Add a Transpose NCHW -> NHWC."""
        return self.op("Transpose", x, perm=[0, 2, 3, 1])

    def to_first(self, x: str) -> str:
        """Add a Transpose NHWC -> NCHW."""
        return self.op("Transpose", x, perm=[0, 3, 1, 2])

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Return the network as a model with input ``x``."""
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        read = {name for node in self.nodes for name in node.input}
        constants = [tensor for tensor in self.constants if tensor.name in read]
        graph = helper.make_graph(self.nodes, "net", [given], made, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)
