"""A network that was quantized elsewhere, in float again: the numbers of its file, without its grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.integers.file_grids import (
    INTEGER_MOVES,
    FileGrids,
    clips_at_zero,
    grid_of,
    narrowing,
    read_grids,
    zeros_of,
)
from passes.integers.quantize import ends_of
from passes.model.constants import is_symbolic
from passes.model.graph import tidy
from passes.operator_sets import QUANTIZATION
from passes.rewrite.names import Names
from passes.state import set_origin, state_of

Array = np.ndarray[Any, Any]

_LINEAR = {"QLinearConv": "Conv", "QLinearMatMul": "MatMul"}
_HINT = "export it from float again, or quantize it with constant scales (quantize_static)"
_WHOLE = tuple(np.dtype(kind) for kind in (np.int8, np.uint8, np.int16, np.uint16))
_INTEGER = frozenset({"ConvInteger", "MatMulInteger"})


def is_quantized(graph: gs.Graph) -> bool:
    """Whether ``graph`` rounds, widens or multiplies integers anywhere."""
    found = {node.op for node in graph.nodes}
    return not found.isdisjoint(_INTEGER | _LINEAR.keys() | QUANTIZATION | {"DynamicQuantizeLinear"})


def describe(graph: gs.Graph) -> str:
    """Return in words how ``graph`` is quantized: bits and scales of its weights, zero points of the rest."""
    if any(node.op == "DynamicQuantizeLinear" for node in graph.nodes):
        return "dynamically, with scales found image by image"
    kinds: dict[str, None] = {}
    centred: bool | None = None
    for node in graph.nodes:
        place = {"QLinearConv": 3, "QLinearMatMul": 3, "DequantizeLinear": 0}.get(node.op)
        if place is not None and isinstance(node.inputs[place], gs.Constant):
            weight, scale = node.inputs[place], node.inputs[place + 1]
            if len(weight.shape) > 1:
                several = isinstance(scale, gs.Constant) and scale.values.size > 1
                each = "channel" if several else "tensor"
                kinds[f"{weight.values.dtype} weights with one scale per {each}"] = None
        zero = {"QuantizeLinear": 2, "QLinearConv": 7, "QLinearMatMul": 7}.get(node.op)
        if zero is not None:
            centred = centred is not False
        if zero is not None and len(node.inputs) > zero and isinstance(node.inputs[zero], gs.Constant):
            values = node.inputs[zero].values
            middle = 128 if values.dtype == np.uint8 else 0
            centred = bool(centred) and bool((values == middle).all())
    if centred is None:
        return ", ".join([*kinds, "activations in float"])
    return ", ".join([*kinds, "symmetric activations" if centred else "activations with zero points"])


def to_float(graph: gs.Graph) -> FileGrids:
    """Bring a quantized network into float, in place: integers of weights become the values they stand for.

    Activations are not rounded any more. Where the lowest integer of a grid stands for zero and what is
    written to it may be negative, the quantizer has dropped a Relu or Clip, as saturation does the same: a
    Clip to the values of that grid takes its place. An input of integers that are widened at once takes the
    values they stand for.

    Args:
        graph: As loaded, before passes that expect float.

    Returns:
        The grids it had, for :func:`passes.integers.file_grids.keep_grids`.

    Raises:
        InputError: Scales or zero points that are no constants or impossible, an axis that does not match,
            a network that is quantized dynamically, or integers that are computed with; the node is named.
    """
    names = Names(graph)
    for node in sorted(graph.nodes, key=lambda node: node.op != "DynamicQuantizeLinear"):
        if node.op == "DynamicQuantizeLinear":
            raise InputError(f"{node.op} '{node.name}' finds its scale image by image: it has no grid", _HINT)
        if node.op in _INTEGER:
            raise InputError(
                f"{node.op} '{node.name}' multiplies integers without naming their scales", _HINT
            )
        if node.op in _LINEAR:
            _split(graph, names, node)
    for node in list(graph.nodes):
        if node.op in QUANTIZATION:
            _check(node)
    given = [entry for entry in graph.inputs if any(r.op == "DequantizeLinear" for r in entry.outputs)]
    for integers in [*given, *(node.outputs[0] for node in graph.nodes if node.op == "QuantizeLinear")]:
        _check_moves(graph, integers)
    found = read_grids(graph)
    for entry in given:
        _retype(entry)
    for node in list(graph.nodes):
        if node.op == "QuantizeLinear":
            _release(names, node)
        elif node.op == "DequantizeLinear":
            _widen(names, node)
    state_of(graph).grids, state_of(graph).precisions = {}, {}
    tidy(graph)
    return found


def _split(graph: gs.Graph, names: Names, node: gs.Node) -> None:
    """Write an integer product as the float one between DequantizeLinear and QuantizeLinear."""
    i = list(node.inputs)

    def inserted(op: str, inputs: list[gs.Tensor], output: gs.Tensor, **attrs: Any) -> gs.Tensor:
        made = gs.Node(op, names.fresh(f"{node.name}/{op.lower()}"), attrs, inputs, [output])
        graph.nodes.append(made)
        set_origin(graph, made, [node])
        return output

    def real(tensor: gs.Tensor, inputs: list[gs.Tensor], axis: int) -> gs.Tensor:
        out = gs.Variable(names.fresh(f"{tensor.name}/real"), np.float32, tensor.shape)
        return inserted("DequantizeLinear", [tensor, *inputs], out, axis=axis)

    weight_axis = 0 if node.op == "QLinearConv" else len(i[3].shape) - 1
    operands = [real(i[0], i[1:3], 1), real(i[3], i[4:6], weight_axis)]
    if len(i) > 8 and not i[8].is_empty():
        steps = [_values(node, i[place], "scale") for place in (1, 4)]
        scale = np.asarray(steps[0] * steps[1], np.float32)
        operands.append(real(i[8], [gs.Constant(names.fresh(f"{i[8].name}_scale"), scale)], 0))
    result, output = gs.Variable(names.fresh(f"{node.name}/real"), np.float32), node.outputs[0]
    result.shape = output.shape
    node.outputs.clear()
    node.op, node.inputs, node.outputs = _LINEAR[node.op], operands, [result]
    inserted("QuantizeLinear", [result, i[6], i[7]], output)


def _values(node: gs.Node, tensor: gs.Tensor, what: str) -> Array:
    if not isinstance(tensor, gs.Constant) or is_symbolic(tensor.values):
        raise InputError(f"the {what} of {node.op} '{node.name}' is no constant", _HINT)
    return np.asarray(tensor.values)


def _check(node: gs.Node) -> None:
    """Refuse a grid that is none."""
    where = f"{node.op} '{node.name}'"
    scale = _values(node, node.inputs[1], "scale").astype(np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError(f"{where} has a scale that is not above zero and finite", _HINT)
    if node.op == "QuantizeLinear" and np.dtype(node.outputs[0].dtype) not in _WHOLE:
        raise InputError(f"{where} writes numbers that are neither 8 nor 16 bit integers", _HINT)
    if node.attrs.get("block_size", 0):
        raise InputError(f"{where} has a scale per block, which is not read", _HINT)
    if len(node.inputs) > 2 and not node.inputs[2].is_empty():
        zero = _values(node, node.inputs[2], "zero point")
        if zero.size not in (1, scale.size):
            raise InputError(f"{where} has {scale.size} scales and {zero.size} zero points", _HINT)
    if scale.size == 1:
        return
    shape, axis = list(node.inputs[0].shape or ()), int(node.attrs.get("axis", 1))
    if not -len(shape) <= axis < len(shape) or shape[axis] != scale.size:
        raise InputError(f"{where} has {scale.size} scales along axis {axis} of a tensor {shape}", _HINT)


def _check_moves(graph: gs.Graph, integers: gs.Variable) -> None:
    """Refuse integers that are computed with: only moved or clipped, they are the same values in float."""
    waiting = [integers]
    while waiting:
        tensor = waiting.pop()
        for reader in tensor.outputs:
            clips = tensor is integers and integers.inputs and narrowing(tensor) is not None
            if clips or reader.op in INTEGER_MOVES:
                waiting += reader.outputs
            elif reader.op != "DequantizeLinear":
                raise InputError(f"{reader.op} '{reader.name}' computes with integers of a grid", _HINT)
        if any(tensor is output for output in graph.outputs):
            raise InputError(f"the output '{tensor.name}' is integers of a grid", _HINT)


def _release(names: Names, node: gs.Node) -> None:
    """Turn a QuantizeLinear into what it does beside rounding: nothing, or a Clip from zero on."""
    source, integers = node.inputs[0], node.outputs[0]
    clip = narrowing(integers)
    grid = grid_of(node, None if clip is None else clip[1])
    _retype(integers)
    node.op = "Identity"
    node.attrs.clear()
    node.inputs = [source]
    if clip is not None:
        clip[0].op = "Identity"
        clip[0].inputs = [integers]
    if clips_at_zero(node, grid):
        node.op = "Clip"
        sides = zip(("lowest", "highest"), ends_of(grid), strict=True)
        clips = [gs.Constant(names.fresh(f"{integers.name}_{s}"), np.array(v)) for s, v in sides]
        node.inputs = [source, *clips]


def _retype(tensor: gs.Variable) -> None:
    """Give what only moves integers the type of the values they stand for."""
    tensor.dtype = np.dtype(np.float32)
    for reader in tensor.outputs:
        if reader.op in INTEGER_MOVES | {"Clip"}:
            for output in reader.outputs:
                _retype(output)


def _widen(names: Names, node: gs.Node) -> None:
    """Turn a DequantizeLinear of constants into the values, any other into a view."""
    integers, output = node.inputs[0], node.outputs[0]
    if not isinstance(integers, gs.Constant):
        node.op = "Identity"
        node.attrs.clear()
        node.inputs = [integers]
        return
    scale, zero = node.inputs[1].values, zeros_of(node)
    along = [1] * integers.values.ndim
    if scale.size > 1:
        along[int(node.attrs.get("axis", 1))] = -1
    factors = scale.reshape(along) if scale.size > 1 else scale.reshape(())
    shift = zero.astype(np.float64).reshape(along) if zero.size > 1 else float(zero[0])
    wide = (integers.values.astype(np.float64) - shift) * factors.astype(np.float64)
    constant = gs.Constant(names.fresh(f"{output.name}_values"), wide.astype(np.float32))
    node.op = "Identity"
    node.attrs.clear()
    node.inputs = [constant]
