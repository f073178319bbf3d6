"""Group nodes into the layers a core executes in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.state import decline, state_of

LINEAR = {
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "QLinearConv",
    "ConvInteger",
    "MatMulInteger",
    "QLinearMatMul",
}
ACTIVATIONS = {"Relu", "Clip"}
POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
FLOAT_NAMES = {
    "QLinearConv": "Conv",
    "ConvInteger": "Conv",
    "MatMulInteger": "Gemm",
    "QLinearMatMul": "MatMul",
}


@dataclass(frozen=True)
class FuseLayers(Pass):
    """Name the layer of every node; a layer is one main operator and what its core does with it.

    The nodes stay standard ONNX; the layer is an annotation that is written into the file.

    1. DequantizeLinear belongs to the layer that reads it, QuantizeLinear to the one that writes it.
    2. The integer tail of a matrix product (bias, Cast, scale) belongs to the product.
    3. ``activation``: Relu or Clip joins the layer whose output it alone reads.
    4. ``add``: a residual Add joins the linear layer before it: the later one of its two producers,
       if the Add alone reads it.
    5. ``pool``: a pooling joins the linear layer whose output it alone reads.
    6. Everything else is a layer of its own. Layers are named ``conv_0``, ``add_1`` … by main
       operator and topological order.
    """

    name: ClassVar[str] = "fuse-layers"
    activation: bool = True
    add: bool = False
    pool: bool = False

    def run(self, graph: gs.Graph) -> bool:
        """Annotate all nodes; returns whether any annotation changed."""
        leader: dict[str, str] = {}  # node name -> name of the main node of its layer
        by_name = {node.name: node for node in graph.nodes}
        order = {node.name: index for index, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            if node.op == "DequantizeLinear":
                continue
            producer = self._joins(graph, node, order)
            leader[node.name] = leader[producer.name] if producer is not None else node.name
        for node in reversed(graph.nodes):
            if node.op == "DequantizeLinear":
                readers = node.outputs[0].outputs
                leader[node.name] = leader[readers[0].name] if readers else node.name
        names = _layer_names(graph, leader, by_name)
        layers = {node.name: names[leader[node.name]] for node in graph.nodes}
        state = state_of(graph)
        changed = layers != state.layers
        state.layers = layers
        return changed

    def _joins(self, graph: gs.Graph, node: gs.Node, order: dict[str, int]) -> gs.Node | None:
        """Return the node whose layer ``node`` joins, or None if it starts a layer."""
        producers = [t.inputs[0] for t in node.inputs if t.inputs]
        producers = [_past_dequantize(p) for p in producers]
        known = [p for p in producers if p is not None]
        if not known:
            return None
        if node.op == "QuantizeLinear" or _is_integer_tail(node):
            return known[0]
        if node.op in ACTIVATIONS:
            return self._joins_activation(graph, node, known[0])
        if node.op == "Add" and self.add and len(known) == 2:
            return _joins_add(graph, node, max(known, key=lambda p: order[p.name]))
        if node.op in POOLS and self.pool:
            if _main(known[0]).op in LINEAR and _read_once(known[0]):
                return known[0]
            decline(graph, self.name, node.name, "its input is not the sole result of a linear layer")
        return None

    def _joins_activation(self, graph: gs.Graph, node: gs.Node, producer: gs.Node) -> gs.Node | None:
        if not self.activation:
            decline(graph, self.name, node.name, "activations are not fused on this target")
            return None
        if producer.op in ("MaxPool", "Flatten", "Reshape", "Transpose"):
            decline(graph, self.name, node.name, f"{producer.op} does no arithmetic an activation could join")
            return None
        if not _read_once(producer):
            decline(graph, self.name, node.name, f"'{producer.outputs[0].name}' is read by other nodes too")
            return None
        return producer


def _joins_add(graph: gs.Graph, node: gs.Node, producer: gs.Node) -> gs.Node | None:
    same = all(list(t.shape) == list(node.outputs[0].shape) for t in node.inputs)
    if producer.op not in LINEAR and producer.op != "QuantizeLinear":
        decline(
            graph, FuseLayers.name, node.name, f"its later input comes from {producer.op}, not a linear layer"
        )
    elif not same:
        decline(graph, FuseLayers.name, node.name, "its inputs have different shapes (broadcasting)")
    elif not _read_once(producer):
        decline(graph, FuseLayers.name, node.name, f"'{producer.outputs[0].name}' is read by other nodes too")
    else:
        return producer
    return None


def _past_dequantize(node: gs.Node) -> gs.Node | None:
    """Return ``node``, or for a DequantizeLinear the producer of what it dequantizes (None: a constant)."""
    if node.op != "DequantizeLinear":
        return node
    sources = node.inputs[0].inputs
    return sources[0] if sources else None


def _is_integer_tail(node: gs.Node) -> bool:
    """Bias add in int32, the cast behind it, and the scale behind the cast."""
    first = node.inputs[0]
    if node.op in ("Add", "Cast"):
        return bool(first.dtype == np.dtype(np.int32))
    return bool(node.op == "Mul" and first.inputs and first.inputs[0].op == "Cast")


def _read_once(node: gs.Node) -> bool:
    readers = node.outputs[0].outputs
    while len(readers) == 1 and readers[0].op in ("QuantizeLinear", "DequantizeLinear"):
        readers = readers[0].outputs[0].outputs
    return len(readers) == 1


def _main(node: gs.Node) -> gs.Node:
    while node.op in (*ACTIVATIONS, "QuantizeLinear", "Cast") or _is_integer_tail(node):
        if not node.inputs[0].inputs:
            break
        node = node.inputs[0].inputs[0]
    return node


def _layer_names(graph: gs.Graph, leader: dict[str, str], by_name: dict[str, gs.Node]) -> dict[str, str]:
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for node in graph.nodes:
        main = leader[node.name]
        if main in names:
            continue
        op = by_name[main].op
        if op == "QuantizeLinear":
            names[main] = "quantize_input"
            continue
        kind = FLOAT_NAMES.get(op, op).lower()
        names[main] = f"{kind}_{counts.get(kind, 0)}"
        counts[kind] = counts.get(kind, 0) + 1
    return names
