"""Products with weights in a lowered graph: convolutions, hidden fully connected layers, logits of exits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.integers.program import Convolution, FullyConnected, Recycled, Rescale
from passes.integers.program_reader import (
    Logits,
    ProgramReader,
    counted,
    fraction,
    refuse,
    scalar,
    value,
    window,
)
from passes.operator_sets import CLIPS

Array = np.ndarray[Any, Any]


def read_convolution(reader: ProgramReader, node: gs.Node) -> None:
    """Read a QLinearConv."""
    scale, weight, weight_scale = value(node, 1), value(node, 3), value(node, 4)
    out_scale, out_zero = value(node, 6), value(node, 7)
    weights = counted(weight, value(node, 5))
    bias = value(node, 8) if len(node.inputs) > 8 else np.zeros(len(weight), np.int32)
    factors = (np.float32(scale) * weight_scale.astype(np.float32)) / np.float32(out_scale)
    step = fraction(scale) / fraction(out_scale)
    ratios = [fraction(s) * step for s in np.atleast_1d(weight_scale)]
    rescale = reader.rescale(node, node.outputs[0], factors, ratios, out_zero)
    reader.operations.append(
        Convolution(
            node.name, (node.inputs[0].name,), reader.written(node.outputs[0], node), weights,
            bias.astype(np.int64), scalar(value(node, 2)), *window(node, weight.ndim - 2),
            int(node.attrs.get("group", 1)), rescale,
        )
    )  # fmt: skip


def read_gemm(reader: ProgramReader, node: gs.Node) -> None:
    """Read a Gemm between Q and DQ, which onnxruntime fuses."""
    data, scale, zero = reader.dequantized(node, 0)
    tensor, weight_scale, weight_zero = reader.dequantized(node, 1)
    weight = np.asarray(tensor.values) if isinstance(tensor, gs.Constant) else None
    plain = float(node.attrs.get("alpha", 1.0)) == 1.0 and float(node.attrs.get("beta", 1.0)) == 1.0
    if weight is None or not node.attrs.get("transB", 0) or node.attrs.get("transA", 0) or not plain:
        raise refuse(node, "its weights are no constants [out, in], or it scales (alpha, beta)")
    bias = np.zeros(len(weight), np.int32)
    if len(node.inputs) > 2:
        bias = np.asarray(reader.dequantized(node, 2)[0].values)
    quantizer = reader.quantizer(node)
    out_scale, out_zero = value(quantizer, 1), value(quantizer, 2)
    factors = (np.float32(scale) * weight_scale.astype(np.float32)) / np.float32(out_scale)
    step = fraction(scale) / fraction(out_scale)
    ratios = [fraction(s) * step for s in np.atleast_1d(weight_scale)]
    raw = quantizer.outputs[0]
    rescale = reader.rescale(node, raw, factors, ratios, out_zero)
    weights, name = counted(weight, weight_zero), reader.written(raw, node)
    reader.operations.append(
        FullyConnected(node.name, (data.name,), name, weights, bias.astype(np.int64), scalar(zero), rescale)
    )


def read_matmul(reader: ProgramReader, node: gs.Node) -> None:
    """Read a Gemm as `fold-qdq` writes it: MatMulInteger, bias, Cast, scale; logits, or quantized behind."""
    reader.rule(node)
    weight = value(node, 1)
    zero = value(node, 3) if len(node.inputs) > 3 else np.zeros((), weight.dtype)
    weights = np.ascontiguousarray((weight.astype(np.int64) - int(zero.reshape(-1)[0])).T)
    bias, scale, last = _behind(reader, node, len(weights))
    data_zero = scalar(value(node, 2)) if len(node.inputs) > 2 else 0
    read = (node.inputs[0].name,)
    following = last.outputs[0].op if len(last.outputs) == 1 else ""
    if following in CLIPS | {"QuantizeLinear"} and last not in reader.graph.outputs:
        raw, rescale = _hidden(reader, node, last, scale)
        name = reader.written(raw, node)
        reader.operations.append(FullyConnected(node.name, read, name, weights, bias, data_zero, rescale))
        return
    takers = [n for n in last.outputs if n.op not in ("Mul", "Add")]
    if takers or not (last in reader.graph.outputs or last.outputs):
        told = ", ".join(f"'{n.name}' ({n.op})" for n in takers)
        raise refuse(node, f"its logits are read as float by {told or 'nothing'}")
    name = reader.written(node.outputs[0], node)
    reader.operations.append(FullyConnected(node.name, read, name, weights, bias, data_zero, None))
    reader.logits[last.name] = Logits(name, scale)


def _behind(reader: ProgramReader, node: gs.Node, rows: int) -> tuple[Array, Array, gs.Tensor]:
    """Return bias and scale of sums, and the float tensor that they become."""
    bias, last = np.zeros(rows, np.int64), node.outputs[0]
    scale: Array = np.ones(1, np.float32)
    for op in ("Add", "Cast", "Mul"):
        follower = last.outputs[0] if len(last.outputs) == 1 else None
        if follower is None or follower.op != op:
            if op == "Add":
                continue
            raise refuse(node, "its sums are read otherwise than times one scale")
        if op == "Add":
            bias = value(follower, 1).astype(np.int64)
        elif op == "Mul":
            scale = np.atleast_1d(value(follower, 1).astype(np.float32))
        reader.used.add(id(follower))
        last = follower.outputs[0]
    return bias, scale, last


def _hidden(reader: ProgramReader, node: gs.Node, last: gs.Tensor, scale: Array) -> tuple[gs.Tensor, Rescale]:
    """Return the quantized result, and how sums become it: times the scale, rounded, over the step, rounded.

    An activation in between bounds the integers: quantization is monotone.
    """
    activation = last.outputs[0] if last.outputs[0].op in CLIPS else None
    if activation is not None:
        reader.used.add(id(activation))
        last = activation.outputs[0]
    quantizer = reader.quantizer(node, last)
    step, zero, raw = np.float32(value(quantizer, 1).reshape(())), value(quantizer, 2), quantizer.outputs[0]
    ratios = [fraction(s) / fraction(step) for s in scale]
    rescale = reader.rescale(node, raw, scale, ratios, zero, step)
    if activation is not None:
        low, high = _narrowed(activation, rescale, step)
        rescale = replace(rescale, low=low, high=high)
    return raw, rescale


def _narrowed(activation: gs.Node, rescale: Rescale, step: np.float32) -> tuple[int, int]:
    bounds = [0.0, np.inf] if activation.op == "Relu" else [-np.inf, np.inf]
    for index, tensor in enumerate(activation.inputs[1:]):
        if not tensor.is_empty():
            bounds[index] = float(value(activation, index + 1).reshape(()))
    found = (np.rint(np.float32(bound) / step) + rescale.zero for bound in bounds)
    low, high = (int(min(max(bound, rescale.low), rescale.high)) for bound in found)
    return low, high


def read_recycled(reader: ProgramReader, node: gs.Node) -> None:
    """Read an exit's answer that takes over logits of another: times a weight, then added."""
    if node.op == "Mul":
        earlier = reader.logits.get(node.inputs[0].name)
        if earlier is None or earlier.recycled is not None or not isinstance(node.inputs[1], gs.Constant):
            raise refuse(node, "it multiplies what are no logits of an exit by a weight")
        weight = value(node, 1)
        if weight.size != 1:
            raise refuse(node, "logits are taken over by one weight for all classes")
        taken = Recycled(earlier.sums, earlier.scales, np.float32(weight.reshape(())))
        reader.weighed[node.outputs[0].name] = taken
        return
    own, taken = reader.logits[node.inputs[0].name], reader.weighed[node.inputs[1].name]
    reader.logits[node.outputs[0].name] = Logits(own.sums, own.scales, taken)


def takes_over(reader: ProgramReader, node: gs.Node) -> bool:
    """Whether ``node`` takes over logits of another exit."""
    if node.op == "Mul":
        return node.inputs[0].name in reader.logits
    read = [t.name for t in node.inputs]
    return node.op == "Add" and read[0] in reader.logits and read[1] in reader.weighed
