"""Networks in Q/DQ and QOperator form, as other tools write them; what they round, and to what, is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]
SHAPE, CLASSES = (1, 3, 8, 8), 4
_FLOAT = TensorProto.FLOAT

# Tensor -> (step, zero point, type) such that every supplied target can compute with it.
GRIDS: Mapping[str, tuple[float, int, str]] = {
    "image": (1 / 32, 0, "int8"),
    "first": (1 / 16, 0, "int8"),
    "second": (1 / 16, 0, "int8"),
    "sum": (1 / 8, 0, "int8"),
    "pooled": (1 / 8, 0, "int8"),
    "mean": (1 / 16, 0, "int8"),
    "logits": (1 / 16, 0, "int8"),
}
STEPS: Mapping[str, float | tuple[float, ...]] = {"first": 1 / 256, "second": 1 / 512, "last": 1 / 64}


class QuantizedNet:
    """Writes conv, Relu, conv, Add, Relu, MaxPool, mean, Gemm, each result on a grid of its own.

    Args:
        grids: Tensor -> its grid; ``None`` leaves it in float.
        steps: Layer -> step of its weights, or one per channel.
        weights: Layer -> integers in place of those that are drawn, of any type.
        zeros: Layer -> zero points of its weights.
        biases: Layer -> ``float`` for one without a grid, ``large`` for one beyond 24 bits, or a factor
            on its step.
        given: Type of the input, where it is given as integers.
        relu: Relu is written out; else the grid of a zero point at its lowest integer does its work.
    """

    def __init__(
        self,
        grids: Mapping[str, tuple[float, int, str] | None] | None = None,
        steps: Mapping[str, float | tuple[float, ...]] | None = None,
        weights: Mapping[str, Array] | None = None,
        zeros: Mapping[str, int | Array] | None = None,
        biases: Mapping[str, float | str] | None = None,
        given: str = "",
        relu: bool = True,
    ) -> None:
        self._grids = {**GRIDS, **(grids or {})}
        self._steps = {**STEPS, **(steps or {})}
        self._weights, self._zeros, self._biases = dict(weights or {}), dict(zeros or {}), dict(biases or {})
        self._rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._given, self._relu = given, relu

    def constant(self, name: str, values: Any, dtype: str = "float32") -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], f"n_{output}", **attrs))
        return output

    def rounded(self, name: str, source: str = "") -> str:
        """Round a tensor to its grid; returns what reads it."""
        if (grid := self._grids["mean" if name == "flat" else name]) is None:
            return source or name
        step, zero = self.constant(f"{name}_s", grid[0]), self.constant(f"{name}_z", grid[1], grid[2])
        self.op("QuantizeLinear", [source or name, step, zero], f"{name}_q")
        return self.op("DequantizeLinear", [f"{name}_q", step, zero], f"{name}_d")

    def layer(
        self, kind: str, name: str, data: str, shape: tuple[int, ...], output: str, **attrs: Any
    ) -> str:
        """Append a layer with weights and a bias in integers."""
        drawn = self._rng.integers(-60, 61, shape).astype(np.int8)
        values = np.asarray(self._weights.get(name, drawn))
        step = np.asarray(self._steps[name], np.float32)
        zero = np.broadcast_to(np.asarray(self._zeros.get(name, 0), values.dtype), step.shape)
        inputs = [self.constant(f"{name}_k", values, str(values.dtype)), self.constant(f"{name}_ks", step),
                  self.constant(f"{name}_kz", zero, str(values.dtype))]  # fmt: skip
        weight = self.op("DequantizeLinear", inputs, f"{name}_w", axis=0)
        entry = self._grids["image" if name == "first" else "first" if name == "second" else "mean"]
        bias = self._bias(name, self._rng.integers(-300, 300, shape[0]), (entry or (1.0,))[0] * step)
        return self.op(kind, [data, weight, bias], output, **attrs)

    def _bias(self, name: str, integers: Array, step: Array) -> str:
        kind = self._biases.get(name, 1.0)
        if kind == "float":
            return self.constant(f"{name}_b", integers / 4096)
        scale = self.constant(f"{name}_bs", step * np.float32(1.0 if isinstance(kind, str) else kind))
        values = integers + 2**27 + 1 if kind == "large" else integers
        parts = [self.constant(f"{name}_bi", values, "int32"), scale]
        return self.op("DequantizeLinear", parts, f"{name}_b", axis=0)

    def model(self) -> onnx.ModelProto:
        """Return the network."""
        entry = self._entry()
        conv = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
        first = self.layer("Conv", "first", entry, (8, 3, 3, 3), "c1", **conv)
        data = self.rounded("first", self._clipped(first, "r1"))
        self.layer("Conv", "second", data, (8, 8, 3, 3), "second", **conv)
        added = self.op("Add", [data, self.rounded("second")], "a")
        data = self.rounded("sum", self._clipped(added, "r2"))
        self.op("MaxPool", [data], "pooled", kernel_shape=[2, 2], strides=[2, 2])
        self.op("GlobalAveragePool", [self.rounded("pooled")], "mean")
        self.op("Flatten", [self.rounded("mean")], "flat")
        self.layer("Gemm", "last", self.rounded("flat"), (CLASSES, 8), "logits", transB=1)
        out = self.rounded("logits")
        self.op("Softmax", [out], "probabilities", axis=1)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self._given or "float32"))
        graph = helper.make_graph(
            self.nodes, "quantized", [helper.make_tensor_value_info("image", kind, SHAPE)],
            [helper.make_tensor_value_info("probabilities", _FLOAT, [1, CLASSES])], self.constants,
        )  # fmt: skip
        made: onnx.ModelProto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
        )
        return made

    def _entry(self) -> str:
        if not self._given:
            return self.rounded("image")
        step, zero, _ = self._grids["image"] or (1.0, 0, "")
        parts = [self.constant("image_s", step), self.constant("image_z", zero, self._given)]
        return self.op("DequantizeLinear", ["image", *parts], "image_d")

    def _clipped(self, data: str, output: str) -> str:
        return self.op("Relu", [data], output) if self._relu else data


def with_logits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with what its Softmax reads as its output."""
    copy: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    softmax = next(node for node in copy.graph.node if node.op_type == "Softmax")
    copy.graph.node.remove(softmax)
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(softmax.input[0], _FLOAT, [1, CLASSES]))
    return copy


def images(count: int, seed: int = 1) -> Array:
    """Return images of the input's shape."""
    return np.random.default_rng(seed).normal(0, 1.5, (count, *SHAPE[1:])).astype(np.float32)
