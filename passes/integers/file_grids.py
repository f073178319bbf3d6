"""The integer grids that a quantized file has: read before its Q/DQ goes, given back to the float network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.integers.quantize import to_integers
from passes.operator_sets import QUANTIZED_LINEAR, RESHAPES, SAME_GRID
from passes.state import QuantGrid, state_of

Array = np.ndarray[Any, Any]

INTEGER_MOVES = RESHAPES | {"MaxPool", "Transpose", "Identity"}
"""Operators of which onnxruntime and the standard have an integer form that moves values alone."""
# Results of these are below zero where nothing clips them; of others a grid from 0 on cuts nothing off.
_SIGNED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "BatchNormalization"})
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class WrittenGrid:
    """A tensor that the file rounds.

    Attributes:
        names: What the tensor may be called once Q/DQ is gone, the likeliest first.
        writer: Name of the node that computes it; empty for the input of the network.
        grid: The integers it takes.
        idle: It is only moved, and was on this very grid before: nothing is rounded.
    """

    names: tuple[str, ...]
    writer: str
    grid: QuantGrid
    idle: bool = False


@dataclass(frozen=True, eq=False)
class WrittenConstant:
    """Integers of weights or of a bias.

    Attributes:
        scale: Steps, one or one per channel.
        zero: Zero points.
        integers: The values.
    """

    scale: Array
    zero: Array
    integers: Array


@dataclass(frozen=True)
class Misfit:
    """Something of a quantized file that cannot be kept.

    Attributes:
        subject: Name of the node.
        rule: What does not fit, as the rest of a sentence about the node.
    """

    subject: str
    rule: str


@dataclass(frozen=True)
class FileGrids:
    """All grids of a file.

    Attributes:
        tensors: Activations.
        weights: Node name -> its weights.
        biases: Node name -> its bias.
        misfits: What has no place in the form that this compiler writes.
    """

    tensors: tuple[WrittenGrid, ...]
    weights: Mapping[str, WrittenConstant]
    biases: Mapping[str, WrittenConstant]
    misfits: tuple[Misfit, ...]


def grid_of(node: gs.Node, bounds: tuple[int, int] | None = None) -> QuantGrid:
    """Return the grid of a QuantizeLinear or DequantizeLinear with constant parameters.

    ``bounds`` are those of an integer Clip behind it; else all integers of its type are used.
    """
    integers = node.inputs[0] if node.op == "DequantizeLinear" else node.outputs[0]
    limits = np.iinfo(integers.dtype)
    scale = np.asarray(node.inputs[1].values, np.float32).reshape(-1)
    low, high = bounds or (int(limits.min), int(limits.max))
    axis = int(node.attrs.get("axis", 1)) if scale.size > 1 else None
    steps = tuple(float(step) for step in scale)
    return QuantGrid(steps, int(zeros_of(node)[0]), low, high, str(np.dtype(integers.dtype)), axis)


def zeros_of(node: gs.Node) -> Array:
    """Return the zero points of a QuantizeLinear or DequantizeLinear, [1] or one per channel."""
    if len(node.inputs) > 2 and not node.inputs[2].is_empty():
        return np.asarray(node.inputs[2].values, np.int64).reshape(-1)
    return np.zeros(1, np.int64)


def clips_at_zero(node: gs.Node, grid: QuantGrid) -> bool:
    """Whether a QuantizeLinear to ``grid`` does the work of a Relu or Clip that the quantizer dropped."""
    source = node.inputs[0]
    return grid.zero_point == grid.low and bool(source.inputs) and source.inputs[0].op in _SIGNED


def narrowing(tensor: gs.Tensor) -> tuple[gs.Node, tuple[int, int]] | None:
    """Return the integer Clip that alone reads ``tensor``, and its bounds; they are constants."""
    clip = tensor.outputs[0] if len(tensor.outputs) == 1 else None
    if clip is None or clip.op != "Clip":
        return None
    limits = np.iinfo(tensor.dtype)
    bounds = [int(limits.min), int(limits.max)]
    for place, given in enumerate(clip.inputs[1:]):
        if isinstance(given, gs.Constant):
            bounds[place] = int(np.asarray(given.values).reshape(()))
        elif not given.is_empty():
            return None
    return (clip, (bounds[0], bounds[1])) if bounds[0] <= bounds[1] else None


def read_grids(graph: gs.Graph) -> FileGrids:
    """Read all grids of ``graph``, whose integers are only moved and clipped between Q and DQ."""
    weights: dict[str, WrittenConstant] = {}
    biases: dict[str, WrittenConstant] = {}
    misfits: list[Misfit] = []
    tensors = [found for node in graph.nodes if (found := _written(graph, node, misfits)) is not None]
    tensors += [found for entry in graph.inputs if (found := _given(entry, misfits)) is not None]
    for node in graph.nodes:
        if node.op != "DequantizeLinear" or not isinstance(node.inputs[0], gs.Constant):
            continue
        scale = np.asarray(node.inputs[1].values, np.float32).reshape(-1)
        constant = WrittenConstant(scale, zeros_of(node), np.asarray(node.inputs[0].values))
        for reader, place in _constant_readers(node.outputs[0]):
            if reader.op in _WEIGHTED and place == 1:
                weights[reader.name] = constant
            elif reader.op in QUANTIZED_LINEAR and place == 2:
                biases[reader.name] = constant
            else:
                misfits.append(Misfit(reader.name, "it reads a constant in integers, which is kept in float"))
    return FileGrids(tuple(tensors), weights, biases, tuple(misfits))


def _written(graph: gs.Graph, node: gs.Node, misfits: list[Misfit]) -> WrittenGrid | None:
    """Return what a QuantizeLinear of a computed tensor writes."""
    source = node.inputs[0]
    if node.op != "QuantizeLinear" or isinstance(source, gs.Constant):
        return None
    writer = source.inputs[0] if source.inputs else None
    if writer is not None and writer.op in ("Softmax", "LogSoftmax"):
        return None  # probabilities: it is logits that exits decide by
    name = writer.name if writer is not None else ""
    integers, clip = node.outputs[0], narrowing(node.outputs[0])
    last = integers if clip is None else clip[0].outputs[0]
    grid = grid_of(node, None if clip is None else clip[1])
    behind = [reader.outputs[0].name for reader in last.outputs if reader.op == "DequantizeLinear"]
    if any(reader.op != "QuantizeLinear" for reader in source.outputs) or any(
        source is output for output in graph.outputs
    ):
        misfits.append(Misfit(name or node.name, f"its result '{source.name}' is read in float too"))
    if any(not _same(reader, grid) for reader in last.outputs if reader.op == "DequantizeLinear"):
        misfits.append(
            Misfit(name or node.name, f"'{source.name}' is read on another grid than it is written")
        )
    before = () if clips_at_zero(node, grid) else (source.name,)
    names = (*before, integers.name, last.name, *behind)
    return WrittenGrid(tuple(dict.fromkeys(names)), name, grid, _is_idle(writer, grid))


def _given(entry: gs.Variable, misfits: list[Misfit]) -> WrittenGrid | None:
    """Return the grid of an input that is given as integers."""
    if np.dtype(entry.dtype).kind not in "iu":
        return None
    wideners = [reader for reader in entry.outputs if reader.op == "DequantizeLinear"]
    if not wideners:
        return None
    grid = grid_of(wideners[0])
    if any(grid_of(other) != grid for other in wideners):
        misfits.append(Misfit(wideners[0].name, f"the input '{entry.name}' is read on several grids"))
    return WrittenGrid((entry.name,), "", grid)


def _same(node: gs.Node, grid: QuantGrid) -> bool:
    """Whether a DequantizeLinear reads what was written on ``grid``."""
    found = grid_of(node)
    return (found.scale, found.zero_point, found.axis) == (grid.scale, grid.zero_point, grid.axis)


def _is_idle(writer: gs.Node | None, grid: QuantGrid) -> bool:
    if writer is None or writer.op not in INTEGER_MOVES | SAME_GRID or not writer.inputs[0].inputs:
        return False
    above = writer.inputs[0].inputs[0]
    return above.op == "DequantizeLinear" and _same(above, grid)


def _constant_readers(tensor: gs.Tensor) -> Iterator[tuple[gs.Node, int]]:
    """Yield who reads a widened constant, and where, through what only moves it."""
    for reader in {id(node): node for node in tensor.outputs}.values():
        if reader.op in INTEGER_MOVES:
            yield from _constant_readers(reader.outputs[0])
            continue
        for place, given in enumerate(reader.inputs):
            if given is tensor:
                yield reader, place


def keep_grids(graph: gs.Graph, found: FileGrids) -> tuple[Misfit, ...]:
    """Give ``graph``, the float form of a file in canonical form, the grids of that file.

    Args:
        graph: Its state gets the grids of activations and weights. Biases have theirs from both.
        found: As read of the same file.

    Returns:
        What cannot be kept, in the order of the network: written by `quantize`, the network would differ.
    """
    misfits = list(found.misfits)
    grids = state_of(graph).grids = {}
    tensors = {name: t for name, t in graph.tensors().items() if isinstance(t, gs.Variable)}
    for written in found.tensors:
        name = next((n for n in written.names if n in tensors), None)
        if name is None:
            if not written.idle:
                rule = f"'{written.names[0]}' is rounded, and becomes a part of the layer around it"
                misfits.append(Misfit(written.writer, rule))
        elif grids.setdefault(name, written.grid) != written.grid:
            misfits.append(Misfit(written.writer, f"'{name}' is rounded to two grids"))
    unread = set(found.weights)
    for node in graph.nodes:
        if node.op in SAME_GRID and (before := grids.get(node.inputs[0].name)) is not None:
            if grids.setdefault(node.outputs[0].name, before) != before:
                misfits.append(Misfit(node.name, "it only moves values, and is to move them to another grid"))
        elif node.op in QUANTIZED_LINEAR and isinstance(node.inputs[1], gs.Constant):
            unread.discard(node.name)
            rule = _keep_weights(node, found.weights.get(node.name), grids) or _bias_rule(node, found, grids)
            if rule:
                misfits.append(Misfit(node.name, rule))
    misfits += [
        Misfit(name, "its weights are integers, and are kept in float here") for name in sorted(unread)
    ]
    place = {node.name: number for number, node in enumerate(graph.nodes)}
    return tuple(sorted(dict.fromkeys(misfits), key=lambda misfit: place.get(misfit.subject, -1)))


def _keep_weights(node: gs.Node, found: WrittenConstant | None, grids: dict[str, QuantGrid]) -> str:
    """Give the weights of ``node`` their grid; returns why that cannot be done, or nothing."""
    if found is None:
        return "its weights are in float"
    weight = node.inputs[1]
    low, high = int(found.integers.min()), int(found.integers.max())
    if np.ptp(found.zero):
        return "its weights have a zero point per channel"
    if found.scale.size not in (1, weight.values.shape[0]):
        return f"its weights have {found.scale.size} steps for {weight.values.shape[0]} channels"
    axis = 0 if found.scale.size > 1 else None
    steps = tuple(float(step) for step in found.scale)
    grid = QuantGrid(steps, int(found.zero[0]), low, high, str(found.integers.dtype), axis)
    scale = found.scale.astype(np.float64).reshape([-1, *[1] * (weight.values.ndim - 1)])
    again = (to_integers(weight.values, grid).astype(np.float64) - grid.zero_point) * scale
    if not np.array_equal(again.astype(np.float32), weight.values):
        return "its weights are not on their grid once what stands beside it went into them"
    if grids.setdefault(weight.name, grid) != grid:
        return "it shares weights with a layer that has them on another grid"
    return ""


def _bias_rule(node: gs.Node, found: FileGrids, grids: Mapping[str, QuantGrid]) -> str:
    """Return why the bias of ``node`` cannot be kept, or nothing."""
    if len(node.inputs) < 3 or node.inputs[2].is_empty():
        return ""
    written, data = found.biases.get(node.name), grids.get(node.inputs[0].name)
    if written is None:
        return "its bias has no grid"
    if data is None:
        return ""  # its input has none, which is told of that
    expected = np.float32(data.scale[0]) * np.asarray(grids[node.inputs[1].name].scale, np.float32)
    fits = written.scale.size in (1, expected.size) and np.allclose(written.scale, expected, rtol=1e-5)
    if not fits or written.zero.any():
        return "its bias is not on the grid input step x weight step"
    integers = np.rint(node.inputs[2].values.astype(np.float64) / expected.astype(np.float64))
    if not np.array_equal(integers, written.integers.reshape(-1)):
        return "its bias is beyond the 24 bits that are kept exactly"
    return ""
