"""Grids of QuantizeLinear and DequantizeLinear; how nodes between them leave and join a graph."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.operator_sets import QUANTIZATION
from passes.rewrite.names import Names
from passes.state import state_of

Array = np.ndarray[Any, Any]
BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
READ_AS_FLOAT = "its result is read as float too"


@dataclass(frozen=True)
class Grid:
    """What a QuantizeLinear or DequantizeLinear says: integers = real / scale + zero.

    Attributes:
        node: The QuantizeLinear or DequantizeLinear.
        scale: Its steps, real numbers per integer; one, or one per channel of its axis.
        zero: Its zero points, alike.
        dtype: Of the integers.
    """

    node: gs.Node
    scale: Array
    zero: Array
    dtype: np.dtype[Any]

    @property
    def integers(self) -> gs.Tensor:
        """The tensor of integers."""
        return self.node.inputs[0] if self.node.op == "DequantizeLinear" else self.node.outputs[0]

    @property
    def one_scale(self) -> bool:
        """Whether one step serves all."""
        return bool(self.scale.size == 1)

    @property
    def per_output(self) -> bool:
        """Whether there is one scale, or one per output channel (axis 0, which is not the default)."""
        return self.one_scale or (self.scale.ndim == 1 and self.node.attrs.get("axis", 1) == 0)

    def constants(self, names: Names) -> list[gs.Constant]:
        """Return scale and zero point; where the zero point is left out it is 0."""
        if len(self.node.inputs) > 2:
            return list(self.node.inputs[1:3])
        return [self.node.inputs[1], gs.Constant(names.fresh(f"{self.node.name}/zero_point"), self.zero)]


def read_grid(node: gs.Node | None) -> Grid | None:
    """Read a QuantizeLinear or DequantizeLinear; None where it is neither or not constant."""
    if node is None or node.op not in QUANTIZATION:
        return None
    if not all(isinstance(t, gs.Constant) for t in node.inputs[1:]):
        return None
    tensor = node.inputs[0] if node.op == "DequantizeLinear" else node.outputs[0]
    scale = np.asarray(node.inputs[1].values)
    dtype = np.dtype(tensor.dtype)
    zero = np.asarray(node.inputs[2].values) if len(node.inputs) > 2 else np.zeros(scale.shape, dtype)
    return Grid(node, scale, zero, dtype)


def grid_behind(tensor: gs.Tensor) -> Grid | None:
    """Return the DequantizeLinear that writes ``tensor``."""
    producer = tensor.inputs[0] if tensor.inputs else None
    return read_grid(producer) if producer is not None and producer.op == "DequantizeLinear" else None


def only_reader(tensor: gs.Tensor, ops: Collection[str], outputs: list[gs.Tensor]) -> gs.Node | None:
    """Return the one node that reads ``tensor``; None if it is none of ``ops``, or others read it, too."""
    if len(tensor.outputs) == 1 and tensor.outputs[0].op in ops and not any(tensor is o for o in outputs):
        return tensor.outputs[0]
    return None


def detach(node: gs.Node) -> None:
    """Cut ``node`` out of the graph; tidy drops it."""
    node.inputs.clear()
    node.outputs.clear()


def adopt(graph: gs.Graph, leader: gs.Node, node: gs.Node) -> None:
    """Append ``node`` as a part of what ``leader`` came from."""
    state = state_of(graph)
    graph.nodes.append(node)
    state.origins[node.name] = state.origins.get(leader.name, ())
    if leader.name in state.layers:
        state.layers[node.name] = state.layers[leader.name]
