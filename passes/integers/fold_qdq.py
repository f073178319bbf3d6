"""Fold Q/DQ into integer operators with their requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.integers.contrib_kernels import KERNELS, use_kernel
from passes.integers.qdq import BYTES, READ_AS_FLOAT, Grid, adopt, detach, grid_behind, only_reader, read_grid
from passes.model.graph import tidy
from passes.operator_sets import CLIPS, QUANTIZATION, SAME_GRID
from passes.rewrite.names import Names
from passes.state import decline, set_origin, state_of

Array = np.ndarray[Any, Any]

_NO_INTEGER_FORM = {
    "Add": "ONNX has no integer addition that rescales; onnxruntime fuses DQ-Add-Q itself",
    "GlobalAveragePool": "ONNX has no integer average that rescales; onnxruntime fuses DQ-pool-Q itself",
    "AveragePool": "ONNX has no integer average that rescales; onnxruntime fuses DQ-pool-Q itself",
}


@dataclass(frozen=True)
class FoldQdq(Pass):
    """Replace Q/DQ around operators by integer operators.

    1. DQ-Conv-Q becomes QLinearConv. A Relu or Clip in between becomes an integer Clip behind it,
       which is exact because quantization is monotone; a Clip of the integers behind the Q joins it.
    2. DQ-Gemm becomes MatMulInteger, an int32 bias Add, Cast and one scale; an activation and Q
       behind it stay behind it. Where the logits of a file are integers, DQ-Gemm-Q stays as it is.
    3. DQ-move-Q with one grid on both sides (max pooling, views) works on the integers directly.
    4. What has no integer form in ONNX keeps its Q/DQ, and is declined with the reason. A Relu or Clip
       between it and its Q moves behind the Q as an integer Clip, so that runtimes see DQ-op-Q.
    5. With ``contrib`` additions, averages, Concat and DQ-Gemm-Q become operators of onnxruntime's own
       domain, the kernels it fuses these into: integers from the first Q to the sums of logits.
    """

    name: ClassVar[str] = "fold-qdq"
    contrib: bool = False

    def run(self, graph: gs.Graph) -> bool:
        """Fold all patterns; returns whether any was found."""
        changed, names = False, Names(graph)
        for node in list(graph.nodes):
            if node.op == "Conv":
                changed |= _fold_conv(graph, names, node)
            elif self.contrib and node.op in KERNELS and _behind(graph, node)[1] is not None:
                changed |= _fold_into_kernel(graph, names, node)
            elif node.op == "Gemm":
                changed |= _fold_gemm(graph, names, node)
            elif node.op in SAME_GRID:
                changed |= _fold_move(graph, node)
            elif node.op not in QUANTIZATION:
                self._explain(graph, node)
                changed |= node.op in _NO_INTEGER_FORM and _defer_activation(graph, names, node)
        if changed:
            tidy(graph)
        return changed

    def _explain(self, graph: gs.Graph, node: gs.Node) -> None:
        if any(t.inputs and t.inputs[0].op == "DequantizeLinear" for t in node.inputs):
            reason = f"{node.op} has no integer form in ONNX: it computes on dequantized values"
            decline(graph, self.name, node.name, _NO_INTEGER_FORM.get(node.op, reason))


def _operands(node: gs.Node) -> list[Grid] | str:
    """Return the grids of data, weights and bias, or why they do not make an integer product."""
    found = [grid_behind(t) for t in node.inputs if not t.is_empty()]
    known = [grid for grid in found if grid is not None]
    if len(known) != len(found):
        return "not all its operands are quantized"
    data, weight = known[0], known[1]
    if not data.one_scale or not weight.per_output:
        return "its scales are neither per tensor nor per output channel"
    if data.dtype not in BYTES or weight.dtype not in BYTES:
        return "its operands are not 8-bit integers"
    if data.dtype == np.int8 and weight.dtype == np.uint8:
        return "onnxruntime multiplies int8 by int8 alone"
    if len(known) > 2:
        bias = known[2]
        expected = data.scale.reshape(()) * weight.scale
        if bias.dtype != np.int32 or bias.zero.any() or not np.allclose(bias.scale, expected, rtol=1e-5):
            return "its bias is not int32 on the grid input scale x weight scale"
    return known


def _fold_conv(graph: gs.Graph, names: Names, node: gs.Node) -> bool:
    operands = _operands(node)
    if isinstance(operands, str):
        decline(graph, FoldQdq.name, node.name, operands)
        return False
    activation, rounding = _behind(graph, node)
    result = read_grid(rounding)
    if result is None or not result.one_scale or result.dtype not in BYTES:
        decline(graph, FoldQdq.name, node.name, READ_AS_FLOAT)
        return False
    if result.dtype != operands[0].dtype:
        reason = f"onnxruntime has no convolution from {operands[0].dtype} to {result.dtype}"
        decline(graph, FoldQdq.name, node.name, reason)
        return False
    bounds = _bounds(activation, result)
    if bounds is None:
        decline(graph, FoldQdq.name, node.name, "the bounds of its Clip are not constant")
        return False
    output = result.integers
    clip = only_reader(output, ("Clip",), graph.outputs)
    if clip is not None and (inner := _clip_bounds(clip)) is not None:
        bounds = _clipped(bounds, inner)
        output = clip.outputs[0]
        detach(clip)
    set_origin(graph, node, [node] if activation is None else [node, activation])
    data, weight = operands[0], operands[1]
    inputs = [data.integers, *data.constants(names), weight.integers, *weight.constants(names)]
    inputs += [*result.constants(names), *(bias.integers for bias in operands[2:])]
    detach(result.node)
    if activation is not None:
        detach(activation)
    node.op = "QLinearConv"
    node.inputs = inputs
    name = activation.name if activation is not None else names.fresh(f"{node.name}/clip")
    _write(graph, names, node, output, bounds, name)
    return True


def _defer_activation(graph: gs.Graph, names: Names, node: gs.Node) -> bool:
    activation = only_reader(node.outputs[0], CLIPS, graph.outputs)
    if activation is None:
        return False
    result = read_grid(only_reader(activation.outputs[0], ("QuantizeLinear",), graph.outputs))
    bounds = _bounds(activation, result) if result is not None and result.one_scale else None
    if result is None or bounds is None or result.dtype not in BYTES:
        return False
    origins = state_of(graph).origins
    origin, output = origins.get(activation.name, ()), result.integers
    detach(activation)
    result.node.inputs[0] = node.outputs[0]
    _write(graph, names, result.node, output, bounds, activation.name)
    origins[activation.name] = origin
    return True


def _write(
    graph: gs.Graph, names: Names, node: gs.Node, output: gs.Tensor, bounds: tuple[int, int], name: str
) -> None:
    """Let ``node`` write ``output``, through a Clip where ``bounds`` are narrower than its type."""
    limits = np.iinfo(output.dtype)
    if bounds == (limits.min, limits.max):
        node.outputs = [output]
        return
    raw = gs.Variable(names.fresh(f"{output.name}_raw"), output.dtype, list(output.shape))
    node.outputs = [raw]
    constants = [
        gs.Constant(names.fresh(f"{output.name}_{side}"), np.array(value, output.dtype))
        for side, value in zip(("low", "high"), bounds, strict=True)
    ]
    adopt(graph, node, gs.Node("Clip", name, {}, [raw, *constants], [output]))


def _bounds(activation: gs.Node | None, result: Grid) -> tuple[int, int] | None:
    """Return the integer range of the result: the type's, narrowed by the activation."""
    limits = np.iinfo(result.dtype)
    low, high = int(limits.min), int(limits.max)
    if activation is None:
        return low, high
    real = (0.0, np.inf) if activation.op == "Relu" else _clip_bounds(activation)
    if real is None:
        return None
    floor, ceiling = (_to_integer(value, result) for value in real)
    return _clipped((floor, ceiling), (low, high))


def _to_integer(value: float, grid: Grid) -> float:
    """Return where QuantizeLinear puts ``value`` before it saturates; no bound at all stays infinite."""
    with np.errstate(over="ignore"):  # the largest float, by which some exporters say that there is no bound
        steps = np.rint(np.float32(value) / np.float32(grid.scale.reshape(())))
    return float(steps) + int(grid.zero.reshape(()))


def _clipped(bounds: tuple[float, float], outer: tuple[float, float]) -> tuple[int, int]:
    """Return the range of what lies within ``bounds`` and is clipped to ``outer``.

    At each end one of the two is finite. Where they do not overlap, all of it is clipped to one end of
    ``outer``, as Clip does.
    """
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in bounds)
    return int(low), int(high)


def _clip_bounds(clip: gs.Node) -> tuple[float, float] | None:
    """Return the bounds of a Clip, or None if one is computed."""
    bounds = [-np.inf, np.inf]
    for index, tensor in enumerate(clip.inputs[1:]):
        if isinstance(tensor, gs.Constant):
            bounds[index] = float(np.asarray(tensor.values).reshape(()))
        elif not tensor.is_empty():
            return None
    return bounds[0], bounds[1]


def _fold_gemm(graph: gs.Graph, names: Names, node: gs.Node) -> bool:
    operands = _operands(node)
    reason = operands if isinstance(operands, str) else _gemm_misfit(node, operands)
    if not reason and _leaves_rounded(graph, node.outputs[0]):
        reason = (
            "its result leaves rounded: onnxruntime fuses DQ-Gemm-Q itself, and rounds otherwise than apart"
        )
    if isinstance(operands, str) or reason:
        decline(graph, FoldQdq.name, node.name, reason)
        return False
    data, weight = operands[0], operands[1]
    output = node.outputs[0]
    shape = list(output.shape)
    turned = np.ascontiguousarray(weight.integers.values.T)
    transposed = gs.Constant(names.fresh(f"{weight.integers.name}_t"), turned)
    # weights are symmetric: one scalar zero point serves all channels
    zero = np.asarray(weight.zero.reshape(-1)[0])
    weight_zero = gs.Constant(names.fresh(f"{node.name}/weight_zero_point"), zero)
    scale = np.asarray(data.scale * weight.scale, np.float32)
    factor = gs.Constant(names.fresh(f"{output.name}/scale"), scale)
    node.op = "MatMulInteger"
    node.attrs.clear()
    node.inputs = [data.integers, transposed, data.constants(names)[1], weight_zero]
    current = gs.Variable(names.fresh(f"{output.name}/accumulator"), np.int32, shape)
    node.outputs = [current]
    for bias in operands[2:]:
        biased = gs.Variable(names.fresh(f"{output.name}/biased"), np.int32, shape)
        name = names.fresh(f"{node.name}/bias")
        adopt(graph, node, gs.Node("Add", name, {}, [current, bias.integers], [biased]))
        current = biased
    real = gs.Variable(names.fresh(f"{output.name}/real"), np.float32, shape)
    cast, product = names.fresh(f"{node.name}/cast"), names.fresh(f"{node.name}/scale")
    adopt(graph, node, gs.Node("Cast", cast, {"to": 1}, [current], [real]))
    adopt(graph, node, gs.Node("Mul", product, {}, [real, factor], [output]))
    return True


def _behind(graph: gs.Graph, node: gs.Node) -> tuple[gs.Node | None, gs.Node | None]:
    """Return the activation and the QuantizeLinear behind ``node``, where nothing else reads what they do."""
    activation = only_reader(node.outputs[0], CLIPS, graph.outputs)
    last = node if activation is None else activation
    return activation, only_reader(last.outputs[0], ("QuantizeLinear",), graph.outputs)


def _fold_into_kernel(graph: gs.Graph, names: Names, node: gs.Node) -> bool:
    deferred = _defer_activation(graph, names, node)
    operands = _operands(node) if node.op == "Gemm" else []
    reason = operands if isinstance(operands, str) else _gemm_misfit(node, operands) if operands else ""
    reason = reason or use_kernel(graph, names, node)
    if reason:
        decline(graph, FoldQdq.name, node.name, reason)
    return deferred or not reason


def _leaves_rounded(graph: gs.Graph, result: gs.Tensor) -> bool:
    """Whether ``result`` is rounded and leaves the network: logits of a file that has them in integers."""
    rounding = only_reader(result, ("QuantizeLinear",), graph.outputs)
    if rounding is None:
        return False
    widened = [reader.outputs[0] for reader in rounding.outputs[0].outputs if reader.outputs]
    return any(tensor is output for tensor in widened for output in graph.outputs)


def _gemm_misfit(node: gs.Node, operands: list[Grid]) -> str:
    attrs = node.attrs
    if not attrs.get("transB", 0) or attrs.get("transA", 0):
        return "its weights are not [out, in]"
    if attrs.get("alpha", 1.0) != 1.0 or attrs.get("beta", 1.0) != 1.0:
        return "it scales its result or its bias (alpha, beta)"
    weight = operands[1]
    if np.ptp(weight.zero) or not isinstance(weight.integers, gs.Constant):
        return "its weights are no constants with one zero point"
    return ""


def _fold_move(graph: gs.Graph, node: gs.Node) -> bool:
    source = grid_behind(node.inputs[0])
    if source is None:
        return False
    result = read_grid(only_reader(node.outputs[0], ("QuantizeLinear",), graph.outputs))
    if result is None:
        decline(graph, FoldQdq.name, node.name, READ_AS_FLOAT)
        return False
    if not _has_kernel(node.op, source.dtype):
        decline(graph, FoldQdq.name, node.name, f"onnxruntime has no {node.op} of {source.dtype}")
        return False
    same = (
        source.dtype == result.dtype
        and source.one_scale
        and np.array_equal(source.scale, result.scale)
        and np.array_equal(source.zero, result.zero)
    )
    if not same:
        decline(graph, FoldQdq.name, node.name, "its input and output have different grids")
        return False
    node.inputs[0] = source.integers
    output = result.integers
    detach(result.node)
    node.outputs = [output]
    return True


def _has_kernel(op: str, dtype: np.dtype[Any]) -> bool:
    """Whether onnxruntime moves integers of ``dtype`` by ``op``: those below a byte only by Transpose."""
    if op == "MaxPool":
        return dtype in BYTES
    return op == "Transpose" or dtype.kind in "iu"
