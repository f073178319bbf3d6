"""Fold Q/DQ into integer operators with their requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.graph import tidy
from passes.state import decline, set_origin, state_of

MOVES = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
_WHY_LEFT = {
    "Add": "ONNX has no integer addition that rescales; onnxruntime fuses DQ-Add-Q itself",
    "GlobalAveragePool": "ONNX has no integer average that rescales; onnxruntime fuses DQ-pool-Q itself",
    "AveragePool": "ONNX has no integer average that rescales; onnxruntime fuses DQ-pool-Q itself",
}


@dataclass(frozen=True)
class FoldQdq(Pass):
    """Replace Q/DQ around operators by integer operators.

    1. DQ-Conv-Q becomes QLinearConv. A Relu or Clip in between becomes an integer Clip behind it,
       which is exact because quantization is monotone.
    2. DQ-Gemm becomes MatMulInteger, an int32 bias Add, Cast and one scale; an activation and Q
       behind it stay behind it.
    3. DQ-move-Q with one grid on both sides (max pooling, views) works on the integers directly.
    4. What has no integer form in ONNX keeps its Q/DQ, and is declined with the reason.
    """

    name: ClassVar[str] = "fold-qdq"

    def run(self, graph: gs.Graph) -> bool:
        """Fold all patterns; returns whether any was found."""
        changed = False
        for node in list(graph.nodes):
            if node.op == "Conv":
                changed |= _fold_conv(graph, node)
            elif node.op == "Gemm":
                changed |= _fold_gemm(graph, node)
            elif node.op in MOVES:
                changed |= _fold_move(graph, node)
            elif node.op in _WHY_LEFT and _dequantizer(node.inputs[0]) is not None:
                decline(graph, self.name, node.name, _WHY_LEFT[node.op])
        if changed:
            tidy(graph)
        return changed


def _dequantizer(tensor: gs.Tensor) -> gs.Node | None:
    if tensor.inputs and tensor.inputs[0].op == "DequantizeLinear":
        return tensor.inputs[0]
    return None


def _dequantizers(node: gs.Node) -> list[gs.Node] | None:
    """Return the DequantizeLinear behind every operand, or None if one lacks it."""
    found = [_dequantizer(t) for t in node.inputs]
    return None if any(f is None for f in found) else found


def _only_reader(tensor: gs.Tensor, ops: tuple[str, ...], outputs: list[gs.Tensor]) -> gs.Node | None:
    if len(tensor.outputs) == 1 and tensor.outputs[0].op in ops and not any(tensor is o for o in outputs):
        return tensor.outputs[0]
    return None


def _fold_conv(graph: gs.Graph, node: gs.Node) -> bool:
    operands = _dequantizers(node)
    if operands is None:
        decline(graph, FoldQdq.name, node.name, "not all its operands are quantized")
        return False
    activation = _only_reader(node.outputs[0], ("Relu", "Clip"), graph.outputs)
    last = activation or node
    quantizer = _only_reader(last.outputs[0], ("QuantizeLinear",), graph.outputs)
    if quantizer is None:
        decline(graph, FoldQdq.name, node.name, "its result is read as float too")
        return False
    x, w = operands[0], operands[1]
    inputs = [*x.inputs[:3], *w.inputs[:3], *quantizer.inputs[1:3]]
    if len(operands) > 2:
        inputs.append(operands[2].inputs[0])
    result = quantizer.outputs[0]
    low, high = _bounds(activation, quantizer)
    limits = np.iinfo(result.dtype)
    clips = low > limits.min or high < limits.max
    raw = gs.Variable(f"{result.name}_raw", result.dtype, list(result.shape)) if clips else result
    folded = gs.Node("QLinearConv", node.name, dict(node.attrs), inputs)
    sources = [node] if activation is None else [node, activation]
    set_origin(graph, folded, sources)
    _replace(graph, [node, last, quantizer], folded, raw)
    if clips:
        bounds = [
            gs.Constant(f"{result.name}_{side}", np.array(v, result.dtype))
            for side, v in (("low", low), ("high", high))
        ]
        name = activation.name if activation is not None else f"{node.name}/clip"
        clip = gs.Node("Clip", name, {}, [raw, *bounds], [result])
        _adopt(graph, folded, clip)
    return True


def _bounds(activation: gs.Node | None, quantizer: gs.Node) -> tuple[int, int]:
    """Return the integer range of the result: the type's, narrowed by the activation."""
    zero = quantizer.inputs[2].values
    limits = np.iinfo(zero.dtype)
    low, high = int(limits.min), int(limits.max)
    if activation is None:
        return low, high
    scale = np.float32(quantizer.inputs[1].values)
    floor = 0.0
    ceiling = np.inf
    if activation.op == "Clip":
        floor = _scalar(activation, 1, -np.inf)
        ceiling = _scalar(activation, 2, np.inf)
    if np.isfinite(floor):
        low = max(low, int(np.rint(np.float32(floor) / scale)) + int(zero))
    if np.isfinite(ceiling):
        high = min(high, int(np.rint(np.float32(ceiling) / scale)) + int(zero))
    return low, high


def _scalar(node: gs.Node, index: int, default: float) -> float:
    if len(node.inputs) <= index or node.inputs[index].is_empty():
        return default
    return float(node.inputs[index].values)


def _fold_gemm(graph: gs.Graph, node: gs.Node) -> bool:
    operands = _dequantizers(node)
    if operands is None or not node.attrs.get("transB", 0):
        decline(
            graph,
            FoldQdq.name,
            node.name,
            "not all its operands are quantized, or its weights are not [out, in]",
        )
        return False
    x, w = operands[0], operands[1]
    output = node.outputs[0]
    shape = list(output.shape)
    transposed = gs.Constant(f"{w.inputs[0].name}_t", np.ascontiguousarray(w.inputs[0].values.T))
    scale = np.asarray(x.inputs[1].values * w.inputs[1].values, np.float32)
    accumulator = gs.Variable(f"{output.name}/accumulator", np.int32, shape)
    product = gs.Node("MatMulInteger", node.name, {}, [x.inputs[0], transposed, x.inputs[2], _zero_point(w)])
    set_origin(graph, product, [node])
    _replace(graph, [node], product, accumulator)
    current = accumulator
    if len(operands) > 2:
        biased = gs.Variable(f"{output.name}/biased", np.int32, shape)
        bias = gs.Node("Add", f"{node.name}/bias", {}, [current, operands[2].inputs[0]], [biased])
        _adopt(graph, product, bias)
        current = biased
    real = gs.Variable(f"{output.name}/real", np.float32, shape)
    _adopt(graph, product, gs.Node("Cast", f"{node.name}/cast", {"to": 1}, [current], [real]))
    factor = gs.Constant(f"{output.name}/scale", scale)
    _adopt(graph, product, gs.Node("Mul", f"{node.name}/scale", {}, [real, factor], [output]))
    return True


def _zero_point(w: gs.Node) -> gs.Constant:
    """Weights are symmetric: one scalar zero point serves all channels."""
    return gs.Constant(f"{w.inputs[2].name}_scalar", np.zeros((), w.inputs[2].values.dtype))


def _fold_move(graph: gs.Graph, node: gs.Node) -> bool:
    source = _dequantizer(node.inputs[0])
    quantizer = _only_reader(node.outputs[0], ("QuantizeLinear",), graph.outputs)
    if source is None or quantizer is None:
        return False
    same = all(
        np.array_equal(a.values, b.values)
        for a, b in zip(source.inputs[1:3], quantizer.inputs[1:3], strict=True)
    )
    if not same:
        decline(graph, FoldQdq.name, node.name, "its input and output have different grids")
        return False
    node.inputs[0] = source.inputs[0]
    result = quantizer.outputs[0]
    quantizer.outputs.clear()
    node.outputs[0] = result
    graph.nodes.remove(quantizer)
    return True


def _replace(graph: gs.Graph, old: list[gs.Node], new: gs.Node, output: gs.Tensor) -> None:
    """Put ``new`` where ``old[0]`` stands, writing ``output``; drop the old nodes."""
    position = next(i for i, n in enumerate(graph.nodes) if n is old[0])
    for node in {id(n): n for n in old}.values():
        node.outputs.clear()
        node.inputs.clear()
        del graph.nodes[next(i for i, n in enumerate(graph.nodes) if n is node)]
    new.outputs = [output]
    graph.nodes.insert(position, new)


def _adopt(graph: gs.Graph, leader: gs.Node, node: gs.Node) -> None:
    """Append ``node`` as a part of what ``leader`` came from."""
    state = state_of(graph)
    graph.nodes.append(node)
    state.origins[node.name] = state.origins.get(leader.name, ())
    if leader.name in state.layers:
        state.layers[node.name] = state.layers[leader.name]
