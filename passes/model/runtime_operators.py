"""Operators that onnxruntime's quantizer adds to the standard, as standard ones.

They stand between DequantizeLinear and QuantizeLinear then, which is how they are defined (onnxruntime,
ContribOperators.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

DOMAIN = "com.microsoft"
_SAME = ("QuantizeLinear", "DequantizeLinear")  # in this domain for integers that older opsets do not have


@dataclass
class _Writer:
    """Collects what one node becomes."""

    node: onnx.NodeProto
    opset: int
    origin: str
    constants: dict[str, onnx.TensorProto]
    taken: set[str]
    nodes: list[onnx.NodeProto]

    def _fresh(self, kind: str) -> str:
        stem, number = f"{self.node.name or self.node.output[0]}/{kind}", 2
        name = stem
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name

    def op(self, op: str, inputs: Sequence[str], output: str = "", main: bool = False, **attrs: Any) -> str:
        """Append a standard node; returns its output. The main one keeps the name of the node."""
        output = output or self._fresh(op.lower())
        name = self.node.name if main else self._fresh(op.lower())
        made = helper.make_node(op, list(inputs), [output], name, **attrs)
        if self.node.name:
            made.metadata_props.add(key=self.origin, value=json.dumps([self.node.name]))
        self.nodes.append(made)
        return output

    def constant(self, kind: str, values: np.ndarray[Any, Any]) -> str:
        name = self._fresh(kind)
        self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def real(self, inputs: Sequence[str], axis: int | None = None) -> str:
        """Return the dequantized (integers, scale, zero point); an empty zero point is none."""
        kept = [name for name in inputs if name]
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        return self.op("DequantizeLinear", kept, **attributes)

    def finish(self, real: str, scale: str, zero: str) -> None:
        self.op("QuantizeLinear", [name for name in (real, scale, zero) if name], self.node.output[0])


def _attributes(node: onnx.NodeProto, *left_out: str) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name not in left_out}


def _binary(op: str) -> Callable[[_Writer], bool]:
    def write(w: _Writer) -> bool:
        i = w.node.input
        result = w.op(op, [w.real(i[0:3]), w.real(i[3:6])], main=True)
        w.finish(result, i[6], i[7] if len(i) > 7 else "")
        return True

    return write


def _unary(op: str, *left_out: str) -> Callable[[_Writer], bool]:
    def write(w: _Writer) -> bool:
        attrs = _attributes(w.node, *left_out)
        if attrs.pop("channels_last", 0):
            return False
        i = w.node.input
        w.finish(w.op(op, [w.real(i[0:3])], main=True, **attrs), i[3], i[4] if len(i) > 4 else "")
        return True

    return write


def _concat(w: _Writer) -> bool:
    i = w.node.input
    parts = [w.real(i[start : start + 3]) for start in range(2, len(i), 3)]
    w.finish(w.op("Concat", parts, main=True, **_attributes(w.node)), i[0], i[1])
    return True


def _softmax(w: _Writer) -> bool:
    attrs = _attributes(w.node)
    if attrs.pop("opset", 13) < 13 <= w.opset:  # before 13, it worked on a matrix
        return False
    i = w.node.input
    w.finish(w.op("Softmax", [w.real(i[0:3])], main=True, **attrs), i[3], i[4] if len(i) > 4 else "")
    return True


def _gemm(w: _Writer) -> bool:
    i, attrs = [*w.node.input, *[""] * (9 - len(w.node.input))], _attributes(w.node)
    scales = [w.constants.get(name) for name in (i[1], i[4])]
    per_channel = 0 if attrs.get("transB", 0) else 1
    inputs = [w.real(i[0:3]), w.real(i[3:6], per_channel)]
    if i[6]:
        found = [numpy_helper.to_array(scale) for scale in scales if scale is not None]
        if len(found) < 2 or attrs.get("alpha", 1.0) != 1.0:
            return False
        scale = w.constant("bias_scale", np.asarray(found[0] * found[1], np.float32))
        inputs.append(w.real([i[6], scale], 0))
    if not i[7]:
        w.op("Gemm", inputs, w.node.output[0], main=True, **attrs)
        return True
    w.finish(w.op("Gemm", inputs, main=True, **attrs), i[7], i[8])
    return True


def _same(w: _Writer) -> bool:
    w.op(w.node.op_type, w.node.input, w.node.output[0], main=True, **_attributes(w.node))
    return True


_WRITERS: dict[str, Callable[[_Writer], bool]] = {
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearAveragePool": _unary("AveragePool"),
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
    "QLinearLeakyRelu": _unary("LeakyRelu"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearConcat": _concat,
    "QLinearSoftmax": _softmax,
    "QGemm": _gemm,
    **dict.fromkeys(_SAME, _same),
}


def as_standard(model: onnx.ModelProto, origin: str) -> None:
    """Replace in ``model`` the nodes of onnxruntime's quantizer by standard ones.

    What has no such form (channels last, for one) is left for the check of operators to refuse.

    Args:
        model: Changed in place.
        origin: Key of the node metadata that names the nodes of the user's file.
    """
    graph = model.graph
    if not any(node.domain == DOMAIN and node.op_type in _WRITERS for node in graph.node):
        return
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    taken = set(_names(graph))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        writer = _WRITERS.get(node.op_type) if node.domain == DOMAIN else None
        written = _Writer(node, opset, origin, dict(constants), taken, [])
        if writer is None or not writer(written):
            nodes.append(node)
            continue
        nodes += written.nodes
        graph.initializer.extend(t for name, t in written.constants.items() if name not in constants)
    del graph.node[:]
    graph.node.extend(nodes)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer))
    for node in graph.node:
        yield node.name
        yield from (*node.input, *node.output)
