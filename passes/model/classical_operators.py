"""Operators of classical machine learning that are layers: scaling, linear models, shares of shares.

They compute what standard operators do, and are written as these. Source of the formulas: the definitions of
``ai.onnx.ml`` in the ONNX standard. Trees, kernels and labels stay what they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from passes.model.labels import ML_DOMAIN

_ENDS = ("NONE", "SOFTMAX")


def write_as_layers(model: onnx.ModelProto) -> None:
    """Write Scaler, LinearRegressor, the scores of LinearClassifier and Normalizer as standard operators.

    A linear model of two classes that has one row of coefficients, or that ends in another function than
    Softmax, stays; so does a Normalizer of anything but what a Softmax made.
    """
    if not any(entry.domain == "" for entry in model.opset_import):
        return
    made: list[onnx.NodeProto] = []
    writer = _Writer(model.graph)
    for node in model.graph.node:
        made += writer.written(node) if node.domain == ML_DOMAIN else [node]
        writer.shares |= {*node.output} if node.op_type == "Softmax" else set()
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made]
    del model.graph.node[:]
    model.graph.node.extend(copies)


class _Writer:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._taken = {name for node in graph.node for name in (*node.input, *node.output, node.name)}
        self._read = {name for node in graph.node for name in node.input} | {t.name for t in graph.output}
        self.shares: set[str] = set()

    def written(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes that compute what ``node`` does; ``node`` if it is no layer, or not whole."""
        if not node.input or not node.output:
            return [node]
        if node.op_type == "Scaler":
            return self._scaler(node)
        if node.op_type == "LinearRegressor":
            targets = next((a.i for a in node.attribute if a.name == "targets"), 1)
            return self._linear(node, int(targets), node.output[0]) or [node]
        if node.op_type == "LinearClassifier" and len(node.output) > 1:
            classes = len(_numbers(node, "intercepts", []))
            scores = self._linear(node, classes, node.output[1]) if classes > 1 else []
            if scores:
                node.output[1] = ""  # what is left of it is the label
            return scores if scores and node.output[0] not in self._read else [node, *scores]
        if (
            node.op_type == "Normalizer"
            and _text(node, "norm", "MAX") == "L1"
            and node.input[0] in self.shares
        ):
            return [self._node(node, "Identity", node.input, node.output[0])]
        return [node]

    def _scaler(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        offset = self._constant(node, "offset", np.array(_numbers(node, "offset", [0.0]), np.float32))
        scale = self._constant(node, "scale", np.array(_numbers(node, "scale", [1.0]), np.float32))
        data, cast = self._floats(node)
        centered = self._fresh(f"{node.output[0]}_centered")
        return [
            cast,
            self._node(node, "Sub", [data, offset], centered),
            self._node(node, "Mul", [centered, scale], node.output[0]),
        ]

    def _linear(self, node: onnx.NodeProto, rows: int, output: str) -> list[onnx.NodeProto]:
        """Return a Gemm, and a Softmax where the model ends in one; nothing where it ends otherwise."""
        end, values = _text(node, "post_transform", "NONE"), _numbers(node, "coefficients", [])
        shift = _numbers(node, "intercepts", [0.0] * max(rows, 0))
        if (
            end not in _ENDS
            or not output
            or not values
            or rows < 1
            or len(values) % rows
            or len(shift) != rows
        ):
            return []
        weights = self._constant(node, "weights", np.array(values, np.float32).reshape(rows, -1))
        bias = self._constant(node, "bias", np.array(shift, np.float32))
        data, cast = self._floats(node)
        scores = output if end == "NONE" else self._fresh(f"{output}_scores")
        made = [cast, self._node(node, "Gemm", [data, weights, bias], scores, transB=1)]
        if end == "SOFTMAX":
            made.append(self._node(node, "Softmax", [scores], output, axis=1))
            self.shares.add(output)
        return made

    def _floats(self, node: onnx.NodeProto) -> tuple[str, onnx.NodeProto]:
        data = self._fresh(f"{node.input[0]}_float")
        return data, self._node(node, "Cast", node.input[:1], data, to=TensorProto.FLOAT)

    def _node(
        self, node: onnx.NodeProto, op: str, inputs: Any, output: str, **attributes: Any
    ) -> onnx.NodeProto:
        name = self._fresh(f"{node.name or node.op_type}_{op.lower()}")
        return helper.make_node(op, list(inputs), [output], name=name, **attributes)

    def _constant(self, node: onnx.NodeProto, what: str, values: np.ndarray[Any, Any]) -> str:
        name = self._fresh(f"{node.name or node.op_type}_{what}")
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _fresh(self, stem: str) -> str:
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name


def _numbers(node: onnx.NodeProto, name: str, default: list[float]) -> list[float]:
    return next((list(a.floats) for a in node.attribute if a.name == name and a.floats), default)


def _text(node: onnx.NodeProto, name: str, default: str) -> str:
    found = next((a.s for a in node.attribute if a.name == name and a.s), default.encode())
    return found.decode("utf-8", "replace")
