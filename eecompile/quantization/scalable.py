"""Channels that may be scaled where they are made, and back where they are read: nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.integers.analog import in_array
from passes.operator_sets import GLOBAL_POOLS, QUANTIZED_LINEAR, RESHAPES
from passes.rewrite.names import Names
from passes.state import state_of

Float64 = NDArray[np.float64]

# What gives s times as much where it is given s times as much, for s above 0, and keeps channels apart.
_STEADY = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "Identity", "Add"}) | GLOBAL_POOLS


@dataclass(frozen=True)
class ScalableChannels:
    """Channels of which each may have a scale of its own.

    Attributes:
        channels: How many.
        makers: Names of the nodes that make them, one row of weights and a bias each.
        readers: Names of the nodes that multiply them by weights.
        tensors: Names of all tensors that hold them, [1, channels, …] or [1, channels * positions].
        bound: What a Clip between lets through at most; infinite where there is none.
    """

    channels: int
    makers: tuple[str, ...]
    readers: tuple[str, ...]
    tensors: tuple[str, ...]
    bound: float


class _NotSteadyError(Exception):
    """Channels cannot be scaled; says why."""


def scalable_channels(graph: gs.Graph) -> tuple[list[ScalableChannels], dict[str, str]]:
    """Return all channels that may be scaled, in the order of the network; of the others' makers why not.

    Between makers and readers stands what is steady: a Relu, pooling, a sum of such channels, a view that
    keeps them apart, a Clip from 0 up to some bound. What runs in an analog array stays as it is: its affine
    scales channels already.
    """
    found: list[ScalableChannels] = []
    refused: dict[str, str] = {}
    done: set[str] = set()
    for node in graph.nodes:
        if node.op not in QUANTIZED_LINEAR or node.name in done:
            continue
        follow = _Follow(graph, node)
        try:
            group = follow.run()
        except _NotSteadyError as why:
            refused[node.name] = str(why)
            continue
        found.append(group)
        done |= set(group.makers)
    return found, refused


class _Follow:
    """Follows the channels of one node, back and forth."""

    def __init__(self, graph: gs.Graph, node: gs.Node) -> None:
        self._graph, self._node = graph, node
        self._precisions = state_of(graph).precisions
        self._ends = {t.name for t in graph.outputs}
        self._channels = int(node.outputs[0].shape[1])
        self._makers: dict[str, None] = {}
        self._readers: dict[str, None] = {}
        self._bound = np.inf

    def run(self) -> ScalableChannels:
        todo, seen = [self._node.outputs[0]], dict[str, None]()
        while todo:
            tensor = todo.pop()
            if tensor.name in seen:
                continue
            seen[tensor.name] = None
            if tensor.name in self._ends:
                raise _NotSteadyError(f"'{tensor.name}' leaves the network")
            if not tensor.inputs:
                raise _NotSteadyError(f"'{tensor.name}' is given to the network")
            todo += self._made(tensor.inputs[0])
            for node in tensor.outputs:
                todo += self._read(node, tensor)
        if not self._readers:
            raise _NotSteadyError(f"no weights multiply what '{self._node.name}' makes")
        return ScalableChannels(
            self._channels, tuple(self._makers), tuple(self._readers), tuple(seen), self._bound
        )

    def _made(self, node: gs.Node) -> list[gs.Tensor]:
        if node.op in QUANTIZED_LINEAR:
            self._check_weights(node)
            if len(node.inputs) > 2 and not isinstance(node.inputs[2], gs.Constant):
                raise _NotSteadyError(f"the bias of '{node.name}' is computed")
            self._makers[node.name] = None
            return []
        return self._through(node)

    def _read(self, node: gs.Node, tensor: gs.Tensor) -> list[gs.Tensor]:
        if node.op in QUANTIZED_LINEAR and node.inputs[0] is tensor:
            self._check_weights(node)
            self._readers[node.name] = None
            return []
        return self._through(node)

    def _check_weights(self, node: gs.Node) -> None:
        weight = node.inputs[1]
        if not isinstance(weight, gs.Constant):
            raise _NotSteadyError(f"the weights of '{node.name}' are computed")
        if len(weight.outputs) > 1:
            raise _NotSteadyError(f"other nodes read the weights of '{node.name}' too")
        if in_array(node, self._precisions.get(node.name)):
            raise _NotSteadyError(f"'{node.name}' runs in an analog array")

    def _through(self, node: gs.Node) -> list[gs.Tensor]:
        """Return what a node joins with what it reads."""
        if node.op == "Clip":
            self._limit(node)
        elif node.op in RESHAPES:
            before, after = (list(t.shape) for t in (node.inputs[0], node.outputs[0]))
            flat = len(after) == 2 and after[1] == int(np.prod(before[1:]))
            if before[1] != self._channels or not (flat or after[:2] == before[:2]):
                raise _NotSteadyError(f"{node.op} '{node.name}' does not keep channels apart")
        elif node.op not in _STEADY:
            raise _NotSteadyError(f"{node.op} '{node.name}' reads or writes them, which is not steady")
        elif node.op == "Add" and any(list(t.shape) != list(node.outputs[0].shape) for t in node.inputs):
            raise _NotSteadyError(f"Add '{node.name}' adds another shape")
        data = list(node.inputs[: 2 if node.op == "Add" else 1])
        if any(isinstance(t, gs.Constant) for t in data):
            raise _NotSteadyError(f"{node.op} '{node.name}' adds a constant")
        return [*data, node.outputs[0]]

    def _limit(self, node: gs.Node) -> None:
        ends = [None if t.is_empty() else t for t in [*node.inputs[1:], *[gs.Variable.empty()] * 2][:2]]
        if not all(t is None or isinstance(t, gs.Constant) for t in ends):
            raise _NotSteadyError(f"the bounds of Clip '{node.name}' are computed")
        low, high = (None if t is None else float(t.values) for t in ends)
        if low not in (None, 0.0):
            raise _NotSteadyError(f"Clip '{node.name}' ends at {low:g} below")
        if high is not None:
            self._bound = min(self._bound, high)


def row_sizes(node: gs.Node) -> Float64:
    """Return the largest size of the weights that make each channel, [channels]."""
    return np.asarray(np.abs(_rows(node)).max(axis=1), np.float64)


def column_sizes(node: gs.Node, channels: int) -> Float64:
    """Return the largest size of the weights that multiply each channel, [channels]."""
    found = np.abs(_columns(node, node.inputs[1].values, channels)).max(axis=(1, 3))
    return np.asarray(found.reshape(channels), np.float64)


def scale_channels(graph: gs.Graph, group: ScalableChannels, scales: Float64) -> None:
    """Divide what ``group`` holds by ``scales`` [channels], in place; what reads it multiplies it back."""
    nodes: Mapping[str, gs.Node] = {node.name: node for node in graph.nodes}
    names = Names(graph)
    for name in group.makers:
        node = nodes[name]
        rows = _rows(node).astype(np.float64) / scales[:, None]
        weight = node.inputs[1]
        if _transposed(node):
            weight.values = rows.T.reshape(weight.shape).astype(np.float32)
        else:
            weight.values = rows.reshape(weight.shape).astype(np.float32)
        if len(node.inputs) > 2:
            bias = node.inputs[2]
            if len(bias.outputs) > 1:
                node.inputs[2] = bias = gs.Constant(names.fresh(f"{bias.name}/{node.name}"), bias.values)
            bias.values = (bias.values.astype(np.float64) / scales).astype(np.float32)
    for name in group.readers:
        node, weight = nodes[name], nodes[name].inputs[1]
        columns = _columns(node, weight.values.astype(np.float64), group.channels)
        columns = columns * scales.reshape(columns.shape[0], 1, columns.shape[2], 1)
        if _transposed(node):
            weight.values = columns.reshape(columns.shape[1], -1).T.astype(np.float32)
        else:
            weight.values = columns.reshape(weight.shape).astype(np.float32)


def _transposed(node: gs.Node) -> bool:
    return node.op == "Gemm" and not node.attrs.get("transB", 0)


def _rows(node: gs.Node) -> Float64:
    values = node.inputs[1].values
    return np.asarray(values.T if _transposed(node) else values.reshape(len(values), -1))


def _columns(node: gs.Node, values: Float64, channels: int) -> Float64:
    """Return weights as [groups, outputs of a group, channels of a group, products of a channel]."""
    if _transposed(node):
        values = values.T
    groups = int(node.attrs.get("group", 1)) if node.op == "Conv" else 1
    return values.reshape(groups, len(values) // groups, channels // groups, -1)
