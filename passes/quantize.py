"""Write calibrated integer grids into the graph as QuantizeLinear / DequantizeLinear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.graph import tidy
from passes.state import QuantGrid, decline, state_of

Array = np.ndarray[Any, Any]
QUANTIZED_LINEAR = ("Conv", "Gemm")
SAME_GRID = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
BITS32 = 2**31


@dataclass(frozen=True)
class Quantize(Pass):
    """Turn a calibrated float graph into Q/DQ form; every number becomes one its grid can hold.

    1. The graph input and every tensor with a grid gets QuantizeLinear; every reader gets a
       DequantizeLinear of its own, so that a cut at any exit falls on the integer tensor.
    2. Weights with a grid become integer initializers behind a DequantizeLinear.
    3. Biases become int32 on the grid input scale x weight scale.
    4. Tensors of operators that move values but compute none (max pooling, views) keep their
       producer's grid.
    5. Logits stay float: they leave as accumulators times their scale.

    Grids come from calibration (``state.grids``); a tensor without one is declined.
    """

    name: ClassVar[str] = "quantize"

    def requires(self, graph: gs.Graph) -> None:
        """Calibrated grids are there."""
        state = state_of(graph)
        if not state.grids and not _is_quantized(graph):
            hint = "calibrate first: give images with --data"
            if state.symbolic:
                hint = "a shape-only model has no values to calibrate; cost and inspect work without"
            raise self.broken(graph, "the graph has no calibrated ranges", hint)

    def run(self, graph: gs.Graph) -> bool:
        """Insert Q/DQ on all tensors with a grid."""
        if _is_quantized(graph):
            return False
        state = state_of(graph)
        layers: dict[str, str] = state.layers
        for node in list(graph.nodes):
            if node.op in QUANTIZED_LINEAR:
                _quantize_parameters(graph, node, state.grids)
        outputs = {t.name for t in graph.outputs}
        for tensor in [*graph.inputs, *(t for n in list(graph.nodes) for t in n.outputs)]:
            grid = state.grids.get(tensor.name)
            if tensor.inputs and tensor.inputs[0].op in ("DequantizeLinear", "QuantizeLinear"):
                continue
            if grid is None or tensor.name in outputs:
                if grid is None and tensor.name not in outputs and not _fused_away(tensor):
                    decline(graph, self.name, tensor.name, "calibration gave it no range")
                continue
            _quantize_tensor(graph, tensor, grid, layers)
        tidy(graph)
        return True


def _is_quantized(graph: gs.Graph) -> bool:
    return any(n.op in ("QuantizeLinear", "QLinearConv") for n in graph.nodes)


def _fused_away(tensor: gs.Tensor) -> bool:
    """A linear result that only its activation reads lives in the accumulator."""
    return len(tensor.outputs) == 1 and tensor.outputs[0].op in ("Relu", "Clip")


def _scalars(stem: str, grid: QuantGrid) -> tuple[gs.Constant, gs.Constant]:
    scale = np.array(grid.scale, np.float32) if grid.axis is not None else np.float32(grid.scale[0])
    zero = np.full(np.shape(scale), grid.zero_point, np.dtype(grid.dtype))
    return gs.Constant(f"{stem}_scale", np.asarray(scale)), gs.Constant(f"{stem}_zero_point", zero)


def to_integers(values: Array, grid: QuantGrid) -> Array:
    """Return the integers of ``values`` on ``grid``: round half to even, then clip."""
    scale = np.array(grid.scale, np.float32)
    if grid.axis is not None:
        scale = scale.reshape([-1 if axis == grid.axis else 1 for axis in range(values.ndim)])
    rounded = np.rint(values.astype(np.float32) / scale) + grid.zero_point
    integers: Array = np.clip(rounded, grid.low, grid.high).astype(np.dtype(grid.dtype))
    return integers


def _quantize_parameters(graph: gs.Graph, node: gs.Node, grids: dict[str, QuantGrid]) -> None:
    weight = node.inputs[1]
    grid = grids.get(weight.name)
    input_grid = grids.get(node.inputs[0].name)
    if grid is None or input_grid is None or not isinstance(weight, gs.Constant):
        decline(graph, Quantize.name, node.name, "its weights are not constant or have no calibrated range")
        return
    integers = gs.Constant(f"{weight.name}_quantized", to_integers(weight.values, grid))
    node.inputs[1] = _dequantize(graph, node, integers, weight, grid)
    if len(node.inputs) > 2:
        bias = node.inputs[2]
        scale = tuple(float(np.float32(input_grid.scale[0]) * np.float32(s)) for s in grid.scale)
        axis = 0 if len(scale) > 1 else None
        bias_grid = QuantGrid(scale, 0, -BITS32, BITS32 - 1, "int32", axis)
        wide = bias.values.astype(np.float64) / np.array(scale)
        values = np.clip(np.rint(wide), -BITS32, BITS32 - 1).astype(np.int32)
        node.inputs[2] = _dequantize(
            graph, node, gs.Constant(f"{bias.name}_quantized", values), bias, bias_grid
        )


def _dequantize(
    graph: gs.Graph, reader: gs.Node, integers: gs.Tensor, real: gs.Tensor, grid: QuantGrid
) -> gs.Variable:
    """Return a float tensor that ``reader`` alone reads, dequantized from ``integers``."""
    state = state_of(graph)
    stem = f"{integers.name}/{reader.name}"
    scale, zero = _scalars(stem, grid)
    output = gs.Variable(f"{stem}/dequantized", np.float32, list(real.shape))
    attributes = {} if grid.axis is None else {"axis": grid.axis}
    node = gs.Node("DequantizeLinear", f"{stem}/dequantize", attributes, [integers, scale, zero], [output])
    graph.nodes.append(node)
    state.origins[node.name] = ()
    if reader.name in state.layers:
        state.layers[node.name] = state.layers[reader.name]
    return output


def _quantize_tensor(graph: gs.Graph, tensor: gs.Tensor, grid: QuantGrid, layers: dict[str, str]) -> None:
    state = state_of(graph)
    readers = list(
        dict.fromkeys((n.name, i) for n in tensor.outputs for i, t in enumerate(n.inputs) if t is tensor)
    )
    by_name = {n.name: n for n in tensor.outputs}
    scale, zero = _scalars(tensor.name, grid)
    quantized = gs.Variable(f"{tensor.name}_quantized", np.dtype(grid.dtype), list(tensor.shape))
    node = gs.Node("QuantizeLinear", f"{tensor.name}/quantize", {}, [tensor, scale, zero], [quantized])
    graph.nodes.append(node)
    state.origins[node.name] = ()
    if tensor.inputs and tensor.inputs[0].name in layers:
        layers[node.name] = layers[tensor.inputs[0].name]
    for name, index in readers:
        reader = by_name[name]
        reader.inputs[index] = _dequantize(graph, reader, quantized, tensor, grid)
