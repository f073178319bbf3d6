"""The split-channels pass: a convolution in parts that can run on several cores, each in its own numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError, did_you_mean
from passes.model.constants import is_symbolic
from passes.model.graph import tidy
from passes.operator_sets import CLIPS
from passes.rewrite.names import Names
from passes.state import set_origin, state_of

_AT = re.compile(r"(.+)/(\d+):(\d+(?::\d+)*)")


@dataclass(frozen=True)
class SplitChannels(Pass):
    """Write convolutions as several of fewer output channels, whose results are put side by side.

    1. ``at``: ``conv_3/64:16`` makes two of the node ``conv_3`` with its 64 channels, the first with 16, the
       second with the rest; ``conv_3/64:16:16`` makes three. They are called ``conv_3.0``, ``conv_3.1`` …,
       and the Concat ``conv_3.join``. Where it is in these parts already nothing happens.
    2. A Relu or Clip that alone reads the convolution goes into the parts.
    3. What is written keeps its name, so that exits stay where they are.
    """

    name: ClassVar[str] = "split-channels"
    at: tuple[str, ...] = ()

    def requires(self, graph: gs.Graph) -> None:
        """A network that is not quantized: grids were found for the layers there were."""
        if state_of(graph).grids or any(node.op == "QuantizeLinear" for node in graph.nodes):
            raise self.broken(graph, "the network has integer grids", "split before `quantize`")

    def run(self, graph: gs.Graph) -> bool:
        """Split what was asked for."""
        changed = False
        for text in self.at:
            match = _AT.fullmatch(text)
            if match is None:
                raise InputError(
                    f"`at` cannot be '{text}'", "say of how many which go first: conv_3/64:16 makes 16 and 48"
                )
            sizes = [int(size) for size in match[3].split(":")]
            changed |= _split(graph, match[1], int(match[2]), sizes, text)
        if changed:
            tidy(graph)
        return changed


def _split(graph: gs.Graph, name: str, channels: int, sizes: list[int], text: str) -> bool:
    nodes = {node.name: node for node in graph.nodes}
    if name not in nodes and {f"{name}.0", f"{name}.{len(sizes)}", f"{name}.join"} <= nodes.keys():
        return False
    node = nodes.get(name)
    if node is None or why_whole(graph, node):
        known = [n.name for n in graph.nodes if n.op == "Conv" and not why_whole(graph, n)]
        why = "is no node of this network" if node is None else why_whole(graph, node)
        hint = did_you_mean(name, known) if known else "no layer of this network can be split"
        raise InputError(f"`at` {text}: '{name}' {why}", hint)
    there = int(node.outputs[0].shape[1])
    if there != channels or sum(sizes) >= channels or min(sizes) < 1:
        raise InputError(
            f"`at` {text}: '{name}' has {there} channels, and each part needs one at least",
            "give their number, and parts that leave some for the last",
        )
    _write(graph, node, [0, *np.cumsum(sizes).tolist(), channels])
    return True


def why_whole(graph: gs.Graph, node: gs.Node) -> str:
    """Return why a node cannot be split, to go on with its name; empty if it can."""
    if node.op != "Conv" or int(node.attrs.get("group", 1)) != 1:
        return "is no convolution of one group"
    if not all(isinstance(tensor, gs.Constant) for tensor in node.inputs[1:] if not tensor.is_empty()):
        return "has weights that are computed"
    last = _activation(graph, node) or node
    if any(last.outputs[0] is tensor for tensor in graph.outputs):
        return "writes an output of the network"
    return ""


def _activation(graph: gs.Graph, node: gs.Node) -> gs.Node | None:
    """Return the Relu or Clip that alone reads what ``node`` writes."""
    tensor = node.outputs[0]
    alone = len(tensor.outputs) == 1 and not any(tensor is output for output in graph.outputs)
    return tensor.outputs[0] if alone and tensor.outputs[0].op in CLIPS else None


def _write(graph: gs.Graph, node: gs.Node, ends: list[int]) -> None:
    """Put parts in the place of ``node``; part i has the channels from ``ends[i]`` to ``ends[i + 1]``."""
    names, place = Names(graph), graph.nodes.index(node)
    activation = _activation(graph, node)
    whole = (activation or node).outputs[0]
    shape = [int(size) for size in whole.shape]
    made: list[gs.Node] = []
    results: list[gs.Tensor] = []
    for number, (low, high) in enumerate(pairwise(ends)):
        for source in filter(None, (node, activation)):
            name = names.fresh(f"{source.name}.{number}")  # before tensors: they may be called alike
            stem, size = f"{source.outputs[0].name}.{number}", [shape[0], high - low, *shape[2:]]
            written = gs.Variable(names.fresh(stem), whole.dtype, size)
            if source is node:
                inputs = [node.inputs[0], *(_cut(names, t, low, high, number) for t in node.inputs[1:])]
            else:
                inputs = [results.pop(), *source.inputs[1:]]
            part = gs.Node(source.op, name, dict(source.attrs), inputs, [written])
            set_origin(graph, part, [source])
            made.append(part)
            results.append(written)
    for source in filter(None, (node, activation)):
        source.inputs.clear()
        source.outputs.clear()
        graph.nodes.remove(source)
    join = gs.Node("Concat", names.fresh(f"{node.name}.join"), {"axis": 1}, results, [whole])
    set_origin(graph, join, [node])
    graph.nodes[place:place] = [*made, join]


def _cut(names: Names, tensor: gs.Tensor, low: int, high: int, number: int) -> gs.Tensor:
    """Return the weights or the bias of a part."""
    if tensor.is_empty():
        return tensor
    values = tensor.values
    if is_symbolic(values):
        part = np.broadcast_to(np.ones((), values.dtype), (high - low, *values.shape[1:]))
    else:
        part = np.ascontiguousarray(values[low:high])
    return gs.Constant(names.fresh(f"{tensor.name}.{number}"), part)
