"""Write calibrated integer grids into the graph as QuantizeLinear / DequantizeLinear."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.integers.analog import affine_key, converter_key, why_digital, write_analog
from passes.model.graph import tidy
from passes.operator_sets import CLIPS, QUANTIZED_LINEAR, SAME_GRID
from passes.rewrite.names import Names
from passes.state import QuantGrid, decline, state_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Quantize(Pass):
    """Turn a calibrated float graph into Q/DQ form; every number becomes one its grid can hold.

    1. The graph input and every tensor with a grid gets QuantizeLinear; every reader gets a
       DequantizeLinear of its own, so that a cut at any exit falls on the integer tensor. A grid
       narrower than its type gets an integer Clip in between.
    2. Weights with a grid become integer initializers behind a DequantizeLinear.
    3. Biases become int32 on the grid input scale x weight scale, within the bits the core has for them.
    4. Tensors of operators that move values but compute none (max pooling, views) keep their
       producer's grid.
    5. Logits stay float: they leave as accumulators times their scale. Only those of a network that came
       quantized may have a grid, which they keep.
    6. What runs in an analog array becomes chunks, conversions, their sum and its affine.

    Grids come from calibration (``state.grids``); a tensor without one is declined.
    """

    name: ClassVar[str] = "quantize"

    def requires(self, graph: gs.Graph) -> None:
        """Calibrated grids are there."""
        state = state_of(graph)
        if not state.grids and not _is_quantized(graph):
            hint = "calibrate first: give images with `data`"
            if state.symbolic:
                hint = "a shape-only model has no values to calibrate; cost and inspect work without"
            raise self.broken(graph, "the graph has no calibrated ranges", hint)

    def run(self, graph: gs.Graph) -> bool:
        """Insert Q/DQ on all tensors with a grid."""
        if _is_quantized(graph):
            return False
        grids, names = state_of(graph).grids, Names(graph)
        before = len(graph.nodes)
        stored: dict[str, gs.Constant] = {}  # weights that several nodes read stay one
        analog: list[gs.Node] = []
        for node in list(graph.nodes):
            if node.op not in QUANTIZED_LINEAR:
                continue
            if _runs_in_array(graph, node):
                analog.append(node)
            else:
                _quantize_parameters(graph, names, node, stored)
        for node in graph.nodes:
            if node.op == "Clip" and (grid := grids.get(node.outputs[0].name)) is not None:
                _leave_to_saturation(node, grid)
        for tensor in [*graph.inputs, *(t for n in graph.nodes for t in n.outputs)]:
            self._round(graph, names, tensor)
        for node in analog:
            weight = node.inputs[1]
            write_analog(graph, names, node, to_integers(weight.values, grids[weight.name]))
        changed = len(graph.nodes) > before
        if changed:
            tidy(graph)
        return changed

    def _round(self, graph: gs.Graph, names: Names, tensor: gs.Tensor) -> None:
        """Put a tensor onto its grid, where it has one; says where it should."""
        grid, writer = state_of(graph).grids.get(tensor.name), tensor.inputs[0].op if tensor.inputs else ""
        if writer == "DequantizeLinear" or tensor.is_empty():  # written by us
            return
        if any(tensor is output for output in graph.outputs):
            if grid is not None and writer and writer not in SAME_GRID:
                _quantize_output(graph, names, tensor, grid)
        elif grid is not None:
            _quantize_tensor(graph, names, tensor, grid)
        elif not fused_away(tensor):
            decline(graph, self.name, tensor.name, "calibration gave it no range")


def _is_quantized(graph: gs.Graph) -> bool:
    return any(n.op in ("QuantizeLinear", "QLinearConv") for n in graph.nodes)


def narrows(graph: gs.Graph, node: gs.Node) -> bool:
    """Whether a Clip only cuts stored integers to the levels of their grid, behind their QuantizeLinear."""
    written = node.op == "Clip" and bool(node.inputs[0].inputs)
    if not written or node.inputs[0].inputs[0].op != "QuantizeLinear":
        return False
    return state_of(graph).origins.get(node.name) == ()


def fused_away(tensor: gs.Tensor) -> bool:
    """A linear result that only its activation reads lives in the accumulator."""
    return len(tensor.outputs) == 1 and tensor.outputs[0].op in CLIPS


def ends_of(grid: QuantGrid) -> tuple[np.float32, np.float32]:
    """Return between which values a tensor on ``grid`` lies."""
    ends = ((integer - grid.zero_point) * max(grid.scale) for integer in (grid.low, grid.high))
    low, high = (np.float32(end) for end in ends)
    return low, high


def _leave_to_saturation(clip: gs.Node, grid: QuantGrid) -> None:
    """Take a Clip out that does nothing but what rounding its result to ``grid`` does by itself.

    Runtimes see DQ-op-Q then, as they do in the file of a quantizer that had left it out.
    """
    source, bounds = clip.inputs[0], clip.inputs[1:]
    if len(bounds) != 2 or not all(isinstance(end, gs.Constant) for end in bounds):
        return
    if not source.inputs or not fused_away(source):
        return
    if all(np.array_equal(end.values, own) for end, own in zip(bounds, ends_of(grid), strict=True)):
        writer, result = source.inputs[0], clip.outputs[0]
        clip.inputs.clear()
        clip.outputs.clear()
        writer.outputs[next(i for i, tensor in enumerate(writer.outputs) if tensor is source)] = result


def _scalars(names: Names, stem: str, grid: QuantGrid) -> tuple[gs.Constant, gs.Constant]:
    scale = np.array(grid.scale, np.float32) if grid.axis is not None else np.float32(grid.scale[0])
    zero = np.full(np.shape(scale), grid.zero_point, np.dtype(grid.dtype))
    step = gs.Constant(names.fresh(f"{stem}_scale"), np.asarray(scale))
    return step, gs.Constant(names.fresh(f"{stem}_zero_point"), zero)


def to_integers(values: Array, grid: QuantGrid) -> Array:
    """Return the integers of ``values`` on ``grid``: round half to even, then clip."""
    scale = np.array(grid.scale, np.float32)
    if grid.axis is not None:
        scale = scale.reshape([-1 if axis == grid.axis else 1 for axis in range(values.ndim)])
    rounded = np.rint(values.astype(np.float32) / scale) + grid.zero_point
    integers: Array = np.clip(rounded, grid.low, grid.high).astype(np.dtype(grid.dtype))
    return integers


def _quantize_parameters(
    graph: gs.Graph, names: Names, node: gs.Node, stored: dict[str, gs.Constant]
) -> None:
    grids = state_of(graph).grids
    reason = _why_not(node, grids)
    if reason:
        decline(graph, Quantize.name, node.name, reason)
        return
    weight, grid = node.inputs[1], grids[node.inputs[1].name]
    input_grid = grids[node.inputs[0].name]
    if weight.name not in stored:
        name = names.fresh(f"{weight.name}_quantized")
        stored[weight.name] = gs.Constant(name, to_integers(weight.values, grid))
    node.inputs[1] = _dequantize(graph, names, node, stored[weight.name], weight, grid)
    if _has_bias(node):
        bias = node.inputs[2]
        scale = tuple(float(np.float32(input_grid.scale[0]) * np.float32(s)) for s in grid.scale)
        axis = 0 if len(scale) > 1 else None
        precision = state_of(graph).precisions.get(node.name)
        top = 2 ** ((32 if precision is None else precision.bias_bits) - 1)
        bias_grid = QuantGrid(scale, 0, -top, top - 1, "int32", axis)
        wide = bias.values.astype(np.float64) / np.array(scale)
        values = np.clip(np.rint(wide), -top, top - 1).astype(np.int32)
        # named by its reader: layers that share a bias have it on different grids
        wide_integers = gs.Constant(names.fresh(f"{bias.name}/{node.name}_quantized"), values)
        node.inputs[2] = _dequantize(graph, names, node, wide_integers, bias, bias_grid)


def _runs_in_array(graph: gs.Graph, node: gs.Node) -> bool:
    """Whether ``node`` is calibrated for an analog array; says why it is not, where it could be meant to."""
    state = state_of(graph)
    precision = state.precisions.get(node.name)
    if precision is None or precision.array is None:
        return False
    reason = why_digital(node, precision) or _why_not(node, state.grids)
    if not reason and not {converter_key(node), affine_key(node)} <= state.grids.keys():
        reason = "its converter was not calibrated, so it is written as if it had none"
    if reason:
        decline(graph, Quantize.name, node.name, reason)
    return not reason


def _why_not(node: gs.Node, grids: dict[str, QuantGrid]) -> str:
    """Return why the parameters of ``node`` stay float, or nothing."""
    data, weight = node.inputs[0], node.inputs[1]
    if not isinstance(weight, gs.Constant) or weight.name not in grids:
        return "its weights are not constant or have no calibrated range"
    if data.name not in grids:
        return f"its input '{data.name}' has no calibrated range"
    if not _has_bias(node):
        return ""
    if not isinstance(node.inputs[2], gs.Constant) or len(node.inputs[2].shape) != 1:
        return "its bias is not a constant vector"
    if float(node.attrs.get("alpha", 1.0)) != 1.0 or float(node.attrs.get("beta", 1.0)) != 1.0:
        return "its bias is on another grid than its products (alpha, beta)"
    return ""


def _has_bias(node: gs.Node) -> bool:
    return len(node.inputs) > 2 and not node.inputs[2].is_empty()


def _dequantize(
    graph: gs.Graph,
    names: Names,
    reader: gs.Node,
    integers: gs.Tensor,
    real: gs.Tensor,
    grid: QuantGrid,
    slot: int = 0,
) -> gs.Variable:
    """Return a float tensor that ``reader`` alone reads, dequantized from ``integers``.

    ``slot`` tells several reads of one tensor by one node (Add(x, x)) apart.
    """
    state = state_of(graph)
    stem = f"{integers.name}/{reader.name}" + (f"/{slot}" if slot else "")
    scale, zero = _scalars(names, stem, grid)
    output = gs.Variable(names.fresh(f"{stem}/dequantized"), np.float32, list(real.shape))
    attributes = {} if grid.axis is None else {"axis": grid.axis}
    name = names.fresh(f"{stem}/dequantize")
    node = gs.Node("DequantizeLinear", name, attributes, [integers, scale, zero], [output])
    graph.nodes.append(node)
    state.origins[node.name] = ()
    if reader.name in state.layers:
        state.layers[node.name] = state.layers[reader.name]
    return output


def _quantize_tensor(graph: gs.Graph, names: Names, tensor: gs.Tensor, grid: QuantGrid) -> None:
    readers = [
        (node, i) for node in _unique(tensor.outputs) for i, t in enumerate(node.inputs) if t is tensor
    ]
    dtype = np.dtype(grid.dtype)
    scale, zero = _scalars(names, tensor.name, grid)
    integers = gs.Variable(names.fresh(f"{tensor.name}_quantized"), dtype, list(tensor.shape))
    _add(graph, "QuantizeLinear", names.fresh(f"{tensor.name}/quantize"), [tensor, scale, zero], integers)
    limits = np.iinfo(dtype)
    # moved values were clipped where they were computed
    computed = not tensor.inputs or tensor.inputs[0].op not in SAME_GRID
    if computed and (grid.low > limits.min or grid.high < limits.max):
        narrow = gs.Variable(names.fresh(f"{tensor.name}_clipped"), dtype, list(tensor.shape))
        bounds = [
            gs.Constant(names.fresh(f"{tensor.name}_{side}"), np.array(value, dtype))
            for side, value in (("lowest", grid.low), ("highest", grid.high))
        ]
        _add(graph, "Clip", names.fresh(f"{tensor.name}/clip"), [integers, *bounds], narrow)
        integers = narrow
    for node, index in readers:
        first = next(i for reader, i in readers if reader is node)
        slot = 0 if index == first else index
        node.inputs[index] = _dequantize(graph, names, node, integers, tensor, grid, slot)


def _quantize_output(graph: gs.Graph, names: Names, output: gs.Tensor, grid: QuantGrid) -> None:
    """Round what an output of the network holds; it keeps its name, and whoever reads it reads it rounded."""
    writer = output.inputs[0]
    slot = next(place for place, tensor in enumerate(writer.outputs) if tensor is output)
    real = gs.Variable(names.fresh(f"{output.name}/real"), np.float32, list(output.shape))
    writer.outputs[slot] = real
    integers = gs.Variable(names.fresh(f"{output.name}_quantized"), np.dtype(grid.dtype), list(output.shape))
    scale, zero = _scalars(names, output.name, grid)
    _add(graph, "QuantizeLinear", names.fresh(f"{output.name}/quantize"), [real, scale, zero], integers)
    widen = names.fresh(f"{output.name}/dequantize")
    graph.nodes.append(gs.Node("DequantizeLinear", widen, {}, [integers, scale, zero], [output]))
    state = state_of(graph)
    state.origins[widen] = ()
    if writer.name in state.layers:
        state.layers[widen] = state.layers[writer.name]


def _add(graph: gs.Graph, op: str, name: str, inputs: list[gs.Tensor], output: gs.Tensor) -> None:
    """Append a node that belongs to the layer of the operator whose result it rounds."""
    state = state_of(graph)
    producer = inputs[0].inputs[0].name if inputs[0].inputs else ""
    graph.nodes.append(gs.Node(op, name, {}, inputs, [output]))
    state.origins[name] = ()
    if producer in state.layers:
        state.layers[name] = state.layers[producer]


def _unique(nodes: Iterable[gs.Node]) -> list[gs.Node]:
    return list({id(node): node for node in nodes}.values())
