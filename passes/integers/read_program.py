"""From a lowered graph to an integer program."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.integers.program import (
    Addition,
    Average,
    Convolution,
    FullyConnected,
    IntegerExit,
    IntegerProgram,
    Maximum,
    Operation,
    Rescale,
    View,
)
from passes.number_formats import MULTIPLIED, Requantization
from passes.operator_sets import RESHAPES
from passes.state import Exit, state_of

Array = np.ndarray[Any, Any]
_HINT = "keep the network to operators that docs/integers.md lists, or leave this layer out of the program"


def integer_program(graph: gs.Graph) -> IntegerProgram:
    """Read what `fold-qdq` wrote.

    Args:
        graph: A lowered graph with one float input; it is not changed.

    Raises:
        InputError: A node that has no integer form, by name and operator.
    """
    return _Reader(graph).program()


def _refuse(node: gs.Node, why: str) -> InputError:
    return InputError(f"node '{node.name}' ({node.op}) has no integer form: {why}", _HINT)


def _value(node: gs.Node, index: int) -> Array:
    tensor = node.inputs[index]
    if not isinstance(tensor, gs.Constant):
        raise _refuse(node, f"its input '{tensor.name}' is computed")
    return np.asarray(tensor.values)


def _fraction(value: Any) -> Fraction:
    return Fraction(float(np.float32(value)))


class _Reader:
    """Follows a lowered graph; tensors of the program are its integer tensors, by their names."""

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.state = state_of(graph)
        self.renamed: dict[str, str] = {}  # what a Clip writes is written by the operation in front of it
        self.clips: dict[str, tuple[int, int]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.operations: list[Operation] = []
        self.logits: dict[str, tuple[str, Array]] = {}
        self.used: set[int] = set()
        self.source: tuple[str, np.float32, int, int, int] | None = None

    def program(self) -> IntegerProgram:
        outputs = {t.name for t in self.graph.outputs}
        for node in self.graph.nodes:
            self._note_clip(node)
        for node in self.graph.nodes:
            if id(node) not in self.used and node.op != "DequantizeLinear":
                self._read(node)
        if self.source is None:
            raise InputError(
                "the network has no quantized input",
                "give a file that `run` quantized, for example model.lowered.onnx",
            )
        exits = self.state.exits or [Exit("final", "", self.graph.outputs[0].name)]
        for item in exits:
            if item.output not in self.logits:
                writer = next((n for n in self.graph.nodes for t in n.outputs if t.name == item.output), None)
                kind = "nothing" if writer is None else f"node '{writer.name}' ({writer.op})"
                raise InputError(
                    f"the logits of exit '{item.name}' are no integer sums: {kind} writes them", _HINT
                )
        name, scale, zero, low, high = self.source
        found = [
            IntegerExit(item.name, *self.logits[item.output], item.threshold, item.confidence)
            for item in exits
            if item.output in outputs
        ]
        plain = IntegerProgram(
            self.graph.inputs[0].name, name, scale, zero, low, high,
            self.shapes, tuple(self.operations), tuple(found),
        )  # fmt: skip
        ordered = [op for number in range(len(found)) for op in plain.until(number)]
        return IntegerProgram(
            plain.name, name, scale, zero, low, high, self.shapes, tuple(ordered), tuple(found)
        )

    # What stands around operations

    def _note_clip(self, node: gs.Node) -> None:
        """Let a Clip of integers be bounds of what writes them, where nothing else reads that."""
        if node.op != "Clip" or node.outputs[0].dtype not in (np.uint8, np.int8):
            return
        raw = node.inputs[0]
        if len(raw.outputs) != 1 or raw in self.graph.outputs:
            raise _refuse(node, "what it clips is read elsewhere too")
        limits = np.iinfo(node.outputs[0].dtype)
        bounds = [limits.min, limits.max]
        for index in range(1, len(node.inputs)):
            if not node.inputs[index].is_empty():
                bounds[index - 1] = int(_value(node, index).reshape(()))
        self.clips[raw.name] = (int(bounds[0]), int(bounds[1]))
        self.renamed[raw.name] = node.outputs[0].name
        self.used.add(id(node))

    def _written(self, tensor: gs.Tensor, node: gs.Node) -> str:
        name = self.renamed.get(tensor.name, tensor.name)
        shape = tensor.shape
        if shape is None or any(not isinstance(d, int) for d in shape[1:]):
            raise _refuse(node, f"the shape of '{tensor.name}' is not known")
        self.shapes[name] = (1, *(int(d) for d in shape[1:]))
        return str(name)

    def _rescale(
        self,
        node: gs.Node,
        raw: gs.Tensor,
        factors: Array,
        ratios: Sequence[Fraction],
        zero: Array,
    ) -> Rescale:
        limits = np.iinfo(raw.dtype)
        low, high = self.clips.get(raw.name, (int(limits.min), int(limits.max)))
        found = np.atleast_1d(np.asarray(factors, np.float32))
        rule = self._rule(node)
        return Rescale(found, tuple(ratios), int(zero.reshape(())), low, high, rule)

    def _rule(self, node: gs.Node) -> Requantization:
        precision = self.state.precisions.get(node.name)
        if precision is not None and precision.array is not None and node.op in ("QLinearConv", "Gemm"):
            raise _refuse(node, "it runs in an analog array, whose converter it does not contain")
        return MULTIPLIED if precision is None else precision.requantization

    def _dequantized(self, node: gs.Node, index: int) -> tuple[gs.Tensor, Array, Array]:
        """Return integers, steps and zero point of a float operand."""
        tensor = node.inputs[index]
        writer = tensor.inputs[0] if tensor.inputs else None
        if writer is None or writer.op != "DequantizeLinear":
            raise _refuse(node, f"it reads '{tensor.name}' as float")
        scale = _value(writer, 1)
        zero = _value(writer, 2) if len(writer.inputs) > 2 else np.zeros(scale.shape, np.int32)
        return writer.inputs[0], scale, zero

    def _quantizer(self, node: gs.Node) -> gs.Node:
        result = node.outputs[0]
        if len(result.outputs) != 1 or result.outputs[0].op != "QuantizeLinear":
            raise _refuse(node, "its result is read as float")
        found = result.outputs[0]
        self.used.add(id(found))
        return found

    # Operations

    def _read(self, node: gs.Node) -> None:
        readers = {
            "QuantizeLinear": self._input,
            "QLinearConv": self._convolution,
            "MatMulInteger": self._logits,
            "Gemm": self._product,
            "Add": self._addition,
            "GlobalAveragePool": self._average,
            "MaxPool": self._maximum,
            "Transpose": self._view,
            **dict.fromkeys(RESHAPES, self._view),
        }
        if node.op not in readers:
            raise _refuse(node, "no operation of the integer program computes it")
        readers[node.op](node)

    def _input(self, node: gs.Node) -> None:
        if node.inputs[0] is not self.graph.inputs[0]:
            raise _refuse(node, f"'{node.inputs[0].name}' is computed as float")
        raw = node.outputs[0]
        scale = _value(node, 1)
        zero = _value(node, 2) if len(node.inputs) > 2 else np.zeros((), raw.dtype)
        limits = np.iinfo(raw.dtype)
        low, high = self.clips.get(raw.name, (int(limits.min), int(limits.max)))
        name = self._written(raw, node)
        self.source = (name, np.float32(scale.reshape(())), int(zero.reshape(())), low, high)

    def _convolution(self, node: gs.Node) -> None:
        scale, weight, weight_scale = _value(node, 1), _value(node, 3), _value(node, 4)
        out_scale, out_zero = _value(node, 6), _value(node, 7)
        axes = weight.ndim - 2
        weights = _counted(weight, _value(node, 5))
        bias = _value(node, 8) if len(node.inputs) > 8 else np.zeros(len(weight), np.int32)
        factors = (np.float32(scale) * weight_scale.astype(np.float32)) / np.float32(out_scale)
        step = _fraction(scale) / _fraction(out_scale)
        ratios = [_fraction(s) * step for s in np.atleast_1d(weight_scale)]
        rescale = self._rescale(node, node.outputs[0], factors, ratios, out_zero)
        self.operations.append(
            Convolution(
                node.name, (node.inputs[0].name,), self._written(node.outputs[0], node), weights,
                bias.astype(np.int64), int(_value(node, 2).reshape(())), *_window(node, axes),
                int(node.attrs.get("group", 1)), rescale,
            )
        )  # fmt: skip

    def _product(self, node: gs.Node) -> None:
        data, scale, zero = self._dequantized(node, 0)
        tensor, weight_scale, weight_zero = self._dequantized(node, 1)
        weight = np.asarray(tensor.values) if isinstance(tensor, gs.Constant) else None
        plain = float(node.attrs.get("alpha", 1.0)) == 1.0 and float(node.attrs.get("beta", 1.0)) == 1.0
        if weight is None or not node.attrs.get("transB", 0) or node.attrs.get("transA", 0) or not plain:
            raise _refuse(node, "its weights are no constants [out, in], or it scales (alpha, beta)")
        bias = np.zeros(len(weight), np.int32)
        if len(node.inputs) > 2:
            held = self._dequantized(node, 2)[0]
            bias = np.asarray(held.values)
        quantizer = self._quantizer(node)
        out_scale, out_zero = _value(quantizer, 1), _value(quantizer, 2)
        factors = (np.float32(scale) * weight_scale.astype(np.float32)) / np.float32(out_scale)
        step = _fraction(scale) / _fraction(out_scale)
        ratios = [_fraction(s) * step for s in np.atleast_1d(weight_scale)]
        raw = quantizer.outputs[0]
        rescale = self._rescale(node, raw, factors, ratios, out_zero)
        weights = _counted(weight, weight_zero)
        name = self._written(raw, node)
        self.operations.append(
            FullyConnected(
                node.name, (data.name,), name, weights, bias.astype(np.int64), int(zero.reshape(())), rescale
            )
        )

    def _logits(self, node: gs.Node) -> None:
        """MatMulInteger, bias, Cast, scale: the sums are kept, the scale stands at the exit."""
        self._rule_of_logits(node)
        weight = _value(node, 1)
        zero = _value(node, 3) if len(node.inputs) > 3 else np.zeros((), weight.dtype)
        weights = np.ascontiguousarray((weight.astype(np.int64) - int(zero.reshape(-1)[0])).T)
        bias, last = np.zeros(len(weights), np.int64), node.outputs[0]
        scale: Array = np.ones(1, np.float32)
        for op in ("Add", "Cast", "Mul"):
            reader = last.outputs[0] if len(last.outputs) == 1 else None
            if reader is None or reader.op != op:
                if op == "Add":
                    continue
                raise _refuse(node, "its sums are read otherwise than times one scale")
            if op == "Add":
                bias = _value(reader, 1).astype(np.int64)
            elif op == "Mul":
                scale = np.atleast_1d(_value(reader, 1).astype(np.float32))
            self.used.add(id(reader))
            last = reader.outputs[0]
        if not any(last is t for t in self.graph.outputs) or last.outputs:
            readers = ", ".join(f"'{n.name}' ({n.op})" for n in last.outputs)
            raise _refuse(node, f"its logits are read as float by {readers or 'nothing'}")
        name = self._written(node.outputs[0], node)
        data_zero = int(_value(node, 2).reshape(())) if len(node.inputs) > 2 else 0
        self.operations.append(
            FullyConnected(node.name, (node.inputs[0].name,), name, weights, bias, data_zero, None)
        )
        self.logits[last.name] = (name, scale)

    def _rule_of_logits(self, node: gs.Node) -> None:
        precision = self.state.precisions.get(node.name)
        if precision is not None and precision.array is not None:
            raise _refuse(node, "it runs in an analog array, whose converter it does not contain")

    def _addition(self, node: gs.Node) -> None:
        (a, a_scale, a_zero), (b, b_scale, b_zero) = (self._dequantized(node, i) for i in (0, 1))
        if isinstance(a, gs.Constant) or isinstance(b, gs.Constant) or list(a.shape) != list(b.shape):
            raise _refuse(node, "it adds a constant, or tensors of two shapes")
        if a.dtype != np.uint8 or b.dtype != np.uint8:
            raise _refuse(node, f"it adds {a.dtype} and {b.dtype}; sums are known of uint8 alone")
        quantizer = self._quantizer(node)
        out_scale, out_zero = _value(quantizer, 1), _value(quantizer, 2)
        factors = np.array([np.float32(s) / np.float32(out_scale) for s in (a_scale, b_scale)], np.float32)
        ratios = [_fraction(s) / _fraction(out_scale) for s in (a_scale, b_scale)]
        raw = quantizer.outputs[0]
        rescale = self._rescale(node, raw, factors, ratios, out_zero)
        zeros = (int(a_zero.reshape(())), int(b_zero.reshape(())))
        name = self._written(raw, node)
        self.operations.append(Addition(node.name, (a.name, b.name), name, zeros, rescale))

    def _average(self, node: gs.Node) -> None:
        data, scale, zero = self._dequantized(node, 0)
        quantizer = self._quantizer(node)
        out_scale, out_zero = _value(quantizer, 1), _value(quantizer, 2)
        count = int(np.prod([int(d) for d in data.shape[2:]]))
        factor = np.asarray(np.float32(scale) / (np.float32(out_scale) * np.float32(count)))
        ratio = _fraction(scale) / _fraction(out_scale) / count
        raw = quantizer.outputs[0]
        rescale = self._rescale(node, raw, factor, [ratio], out_zero)
        name = self._written(raw, node)
        self.operations.append(Average(node.name, (data.name,), name, int(zero.reshape(())), rescale))

    def _maximum(self, node: gs.Node) -> None:
        source = self._integers(node)
        if len(node.outputs) > 1 or node.attrs.get("ceil_mode", 0):
            raise _refuse(node, "it gives indices too, or rounds its size up")
        kernel = tuple(int(k) for k in node.attrs["kernel_shape"])
        name = self._written(node.outputs[0], node)
        self.operations.append(Maximum(node.name, (source,), name, kernel, *_window(node, len(kernel))))

    def _view(self, node: gs.Node) -> None:
        source = self._integers(node)
        axes = tuple(int(a) for a in node.attrs.get("perm", ())) if node.op == "Transpose" else ()
        if node.op == "Transpose" and (not axes or axes[0] != 0):
            raise _refuse(node, "it moves the batch")
        self.operations.append(View(node.name, (source,), self._written(node.outputs[0], node), axes))

    def _integers(self, node: gs.Node) -> str:
        tensor = node.inputs[0]
        if tensor.dtype not in (np.uint8, np.int8):
            raise _refuse(node, f"it reads '{tensor.name}' as float")
        return str(tensor.name)


def _counted(weights: Array, zero: Array) -> Array:
    """Return weights counted from their zero point, which may be one per output channel."""
    turned = zero.astype(np.int64).reshape(-1, *([1] * (weights.ndim - 1)))
    counted: Array = weights.astype(np.int64) - turned
    return counted


def _window(node: gs.Node, axes: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise _refuse(node, "its padding is chosen at run time (auto_pad)")
    pads = [int(p) for p in node.attrs.get("pads", [0] * (2 * axes))]
    return (
        tuple(int(s) for s in node.attrs.get("strides", [1] * axes)),
        tuple(int(d) for d in node.attrs.get("dilations", [1] * axes)),
        tuple(zip(pads[:axes], pads[axes:], strict=True)),
    )
