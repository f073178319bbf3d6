"""Convolutions in parts, each of some output channels, and the Concat that puts them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import onnx_graphsurgeon as gs

from passes.integers.analog import AnalogForm, analog_forms
from passes.number_formats import Levels
from passes.operator_sets import CLIPS, FLOAT_NAMES, QUANTIZATION, WEIGHT_INPUT
from passes.state import QuantGrid

_HOW = ("auto_pad", "dilations", "group", "pads", "strides")
_USUAL = {"auto_pad": "NOTSET", "group": 1}


@dataclass(frozen=True)
class ChannelParts:
    """A convolution that stands in a graph as several of fewer output channels.

    Attributes:
        join: The Concat of what they write. It computes nothing: each part can be written where it lies in
            the whole.
        parts: The convolutions, in the order of channels; of one in an analog array, its first chunk.
        results: Names of the tensors that the parts write, in that order, behind their activations.
    """

    join: gs.Node
    parts: tuple[gs.Node, ...]
    results: tuple[str, ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all that lies in one place: what the parts write, and the whole."""
        return (*self.results, self.join.outputs[0].name)


def channel_parts(graph: gs.Graph) -> list[ChannelParts]:
    """Return the convolutions of ``graph`` that are in parts, in float, in Q/DQ form or folded.

    They read one tensor, have kernels of one size that move alike, and nothing else reads what they write.
    """
    joins = [node for node in graph.nodes if node.op == "Concat" and len(node.inputs) > 1]
    if not joins:
        return []
    forms = {form.shift.name: form for form in analog_forms(graph)}
    outputs = {tensor.name for tensor in graph.outputs}
    found = []
    for join in joins:
        made = [_part(tensor, forms, outputs) for tensor in join.inputs]
        parts = tuple(part for part, _ in filter(None, made))
        alike = len({_how(part) for part in parts}) == 1 and all(_data(p) is _data(parts[0]) for p in parts)
        if len(parts) < len(made) or not alike or int(join.attrs.get("axis", 0)) != 1:
            continue
        # of several grids the Concat rescales; in float they have one, as calibration gives it to them
        if len({_grid(tensor) for tensor in join.inputs}) == 1:
            found.append(ChannelParts(join, parts, tuple(name for _, name in filter(None, made))))
    return found


def in_one_place(graph: gs.Graph, levels: dict[str, Levels]) -> None:
    """Let parts and their whole take the integers that all of them can, in place.

    Args:
        graph: A float graph.
        levels: As :func:`passes.precision.tensor_levels` returns them.
    """
    for found in channel_parts(graph):
        names = [name for name in found.tensors if name in levels]
        met = reduce(Levels.meet, (levels[name] for name in names))
        levels.update(dict.fromkeys(names, met))


def share_grid(found: ChannelParts, grids: dict[str, QuantGrid]) -> None:
    """Put parts and their whole onto the coarsest of their grids."""
    if found.tensors[-1] in grids:
        coarsest = max((grids[name] for name in found.tensors if name in grids), key=lambda g: g.scale)
        grids.update(dict.fromkeys(found.tensors, coarsest))


def _part(
    tensor: gs.Tensor, forms: Mapping[str, AnalogForm], outputs: set[str]
) -> tuple[gs.Node, str] | None:
    """Return the convolution that writes ``tensor`` for one reader, and its real result."""
    result = ""
    while tensor.inputs and len(tensor.outputs) == 1 and tensor.name not in outputs:
        node = tensor.inputs[0]
        if node.op not in QUANTIZATION and not _narrows(node):
            result = result or tensor.name
        if node.name in forms:
            return forms[node.name].convs[0], result
        if FLOAT_NAMES.get(node.op, node.op) == "Conv":
            return node, result
        if node.op not in CLIPS and node.op not in QUANTIZATION:
            return None
        tensor = node.inputs[0]
    return None


def _narrows(node: gs.Node) -> bool:
    return node.op == "Clip" and bool(node.inputs[0].inputs) and node.inputs[0].inputs[0].op in QUANTIZATION


def _how(node: gs.Node) -> str:
    """Return how the kernel of a convolution moves, as text."""
    kernel = [int(d) for d in node.inputs[WEIGHT_INPUT[node.op]].shape[2:]]
    rank = len(kernel)
    usual = _USUAL | {"dilations": [1] * rank, "pads": [0] * 2 * rank, "strides": [1] * rank}
    return repr((kernel, [node.attrs.get(key, usual[key]) for key in _HOW]))


def _data(node: gs.Node) -> gs.Tensor:
    """Return what a convolution reads, in front of its DequantizeLinear and of what cuts it into chunks."""
    tensor = node.inputs[0]
    while tensor.inputs and tensor.inputs[0].op in ("DequantizeLinear", "Split"):
        tensor = tensor.inputs[0].inputs[0]
    return tensor


def _grid(tensor: gs.Tensor) -> str:
    """Return the grid of what a Concat reads in Q/DQ form, as text."""
    if not tensor.inputs or tensor.inputs[0].op != "DequantizeLinear":
        return ""
    return repr(
        [np.asarray(t.values).tolist() for t in tensor.inputs[0].inputs[1:] if isinstance(t, gs.Constant)]
    )
