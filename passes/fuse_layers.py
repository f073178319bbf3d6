"""Group nodes into the layers a core executes in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.exits.chain import head_nodes
from passes.integers.analog import analog_forms
from passes.integers.channel_parts import channel_parts
from passes.integers.quantize import narrows
from passes.operator_sets import (
    CLIPS,
    FLOAT_NAMES,
    GATES,
    GLOBAL_POOLS,
    LINEAR,
    MOVES,
    POOLS,
    QUANTIZATION,
    VIEWS,
)
from passes.state import decline, state_of

_ROUNDINGS = frozenset({"Floor", "Round"})


@dataclass(frozen=True)
class FuseLayers(Pass):
    """Name the layer of every node; a layer is one main operator and what its core does with it.

    The nodes stay standard ONNX; the layer is an annotation that is written into the file.

    1. DequantizeLinear belongs to the layer that reads it, QuantizeLinear to the one that writes it, with the
       Clip that cuts its integers to their grid. One that several layers read belongs to none of them: each
       reads the integers.
    2. The integer tail of a matrix product (bias, Cast, scale) belongs to the product.
    3. ``activation``: Relu or Clip joins the layer whose output it alone reads.
    4. ``add``: a residual Add joins the linear layer before it: the later one of its two producers,
       if the Add alone reads it.
    5. ``pool``: a pooling joins the linear layer (with its activation or add) whose output it alone
       reads; a second pooling does not.
    6. ``activation``: x times a gate of x (SiLU, which has no operator of its own) is one layer; Floor or
       Round between a linear layer and a Clip is the requantization of that layer.
    7. ``before``: a pooling joins the linear layer that alone reads it, for cores that pool while they read:
       without padding, all windows full, none and no stride above ``before``, strides alike. One that leaves
       a single position joins through views too. 0 joins none.
    8. All that a convolution of an analog array is written as (chunks, conversions, affine) is one layer.
    9. The parts of a convolution that is split by channels are layers of their own, named after it:
       ``conv_3.0``, ``conv_3.1``, and ``conv_3.join`` for what puts them side by side.
    10. Everything else is a layer of its own. Layers are named ``conv_0``, ``add_1`` … by main
       operator and topological order, those of an inserted head by their node: ``exit_0/conv``.
    """

    name: ClassVar[str] = "fuse-layers"
    activation: bool = True
    add: bool = False
    pool: bool = False
    before: int = 0

    def run(self, graph: gs.Graph) -> bool:
        """Annotate all nodes; returns whether any annotation changed."""
        leaders = _Grouping(self, graph).leaders()
        names = _layer_names(graph, leaders)
        layers = {node.name: names[leaders[node.name].name] for node in graph.nodes}
        state = state_of(graph)
        changed = layers != state.layers
        state.layers = layers
        return changed


class _Grouping:
    """Finds the main node of every node's layer."""

    def __init__(self, options: FuseLayers, graph: gs.Graph) -> None:
        self._options = options
        self._graph = graph
        self._order = {node.name: index for index, node in enumerate(graph.nodes)}
        self._outputs = {t.name for t in graph.outputs}
        forms = analog_forms(graph)
        self._leaders = {name: form.convs[0] for form in forms for name in form.names}
        self._shifts = {form.shift.name for form in forms}

    def leaders(self) -> dict[str, gs.Node]:
        """Return node name -> main node of its layer."""
        leaders = self._leaders
        for node in self._graph.nodes:
            if node.op == "DequantizeLinear" or node.name in leaders:
                continue
            joined = self._joins(node)
            leaders[node.name] = node if joined is None else leaders[joined.name]
        for node in self._graph.nodes:
            if self._options.before and node.op in POOLS and leaders[node.name] is node:
                self._join_reader(node)
        for node in reversed(self._graph.nodes):
            if node.op == "DequantizeLinear":
                read_in = {
                    leaders[reader.name].name: leaders[reader.name] for reader in node.outputs[0].outputs
                }
                leaders[node.name] = next(iter(read_in.values())) if len(read_in) == 1 else node
        return leaders

    def _joins(self, node: gs.Node) -> gs.Node | None:
        """Return a node whose layer ``node`` joins, or None if it starts one."""
        if node.op == "QuantizeLinear" or _is_integer_tail(node) or narrows(self._graph, node):
            return _writer(node.inputs[0])
        options = self._options
        if node.op in CLIPS:
            return self._activation(node)
        if node.op == "Mul" and options.activation:
            return self._gated(node)
        if node.op in _ROUNDINGS and options.activation:
            return self._requantization(node)
        if node.op == "Add" and options.add:
            return self._add(node)
        if node.op in POOLS and options.pool:
            return self._pool(node)
        return None

    def _activation(self, node: gs.Node) -> gs.Node | None:
        producer = self._computes(node.inputs[0])
        if producer is None:
            return None
        if not self._options.activation:
            return self._decline(node, "activations are not fused on this target")
        if producer.op in MOVES:
            return self._decline(node, f"{producer.op} does no arithmetic an activation could join")
        return self._alone(node, producer)

    def _gated(self, node: gs.Node) -> gs.Node | None:
        """Return the gate, if ``node`` multiplies a tensor by its own gate."""
        for tensor, data in (node.inputs, reversed(node.inputs)):
            gate = self._computes(tensor)
            if gate is not None and gate.op in GATES and _integers(gate.inputs[0]) is _integers(data):
                return self._alone(node, gate)
        return None

    def _requantization(self, node: gs.Node) -> gs.Node | None:
        producer = self._computes(node.inputs[0])
        rounded = node.outputs[0]
        clips = self._read_once(rounded) and rounded.outputs[0].op in CLIPS
        if not clips or producer is None or self._leaders[producer.name].op not in LINEAR:
            return None
        return self._alone(node, producer)

    def _add(self, node: gs.Node) -> gs.Node | None:
        found = [self._computes(t) for t in node.inputs]
        producers = [p for p in found if p is not None]
        if len(producers) < 2:
            return self._decline(node, "it does not join two computed tensors")
        later = max(producers, key=lambda p: self._order[p.name])
        linear = later.op in LINEAR or later.name in self._shifts
        if not linear and not _is_integer_tail(later):
            return self._decline(node, f"its later input comes from {later.op}, not a linear layer")
        if any(list(t.shape) != list(node.outputs[0].shape) for t in node.inputs):
            return self._decline(node, "its inputs have different shapes (broadcasting)")
        return self._alone(node, later)

    def _pool(self, node: gs.Node) -> gs.Node | None:
        producer = self._computes(node.inputs[0])
        if producer is None or producer.op in POOLS or self._leaders[producer.name].op not in LINEAR:
            return self._decline(node, "its input does not come from a linear layer")
        return self._alone(node, producer)

    def _join_reader(self, node: gs.Node) -> None:
        """Let a pooling, with all that is between, join the linear layer that alone reads it."""
        leaders = self._leaders
        own = [n for n in self._graph.nodes if leaders.get(n.name) is node]
        if any(n is not node and n.op != "QuantizeLinear" for n in own):
            self._decline(node, "it ends in an activation")
            return
        if not _pools_plainly(node, self._options.before):
            self._decline(
                node,
                f"its windows are padded, cut off or above {self._options.before}, or its strides differ",
            )
            return
        single = all(int(size) == 1 for size in node.outputs[0].shape[2:])
        between, tensor = own, node.outputs[0]
        while self._read_once(tensor):
            reader = tensor.outputs[0]
            if reader.op in LINEAR and reader.inputs[0] is tensor and leaders[reader.name] is reader:
                leaders.update(dict.fromkeys((n.name for n in between), reader))
                return
            if reader.op not in QUANTIZATION and not (single and reader.op in VIEWS):
                break
            between = between if reader.op == "DequantizeLinear" else [*between, reader]
            tensor = reader.outputs[0]
        self._decline(node, "no linear layer alone reads it")

    def _alone(self, node: gs.Node, producer: gs.Node) -> gs.Node | None:
        """Return ``producer`` if ``node`` alone reads what it writes."""
        tensor = producer.outputs[0]
        while self._read_once(tensor) and self._only_rounds(tensor.outputs[0]):
            tensor = tensor.outputs[0].outputs[0]
        if not self._read_once(tensor):
            return self._decline(node, f"'{producer.outputs[0].name}' is read by other nodes too")
        return producer

    def _computes(self, tensor: gs.Tensor) -> gs.Node | None:
        """Return the node that computes ``tensor``, behind Q, its Clip, and DQ; None: input or constant."""
        while tensor.inputs and self._only_rounds(tensor.inputs[0]):
            tensor = tensor.inputs[0].inputs[0]
        return tensor.inputs[0] if tensor.inputs else None

    def _only_rounds(self, node: gs.Node) -> bool:
        return node.op in QUANTIZATION or narrows(self._graph, node)

    def _read_once(self, tensor: gs.Tensor) -> bool:
        return len(tensor.outputs) == 1 and tensor.name not in self._outputs

    def _decline(self, node: gs.Node, reason: str) -> gs.Node | None:
        """Record the reason; returns None, so that rules can return it."""
        decline(self._graph, FuseLayers.name, node.name, reason)
        return None


def _pools_plainly(node: gs.Node, limit: int) -> bool:
    """Whether all windows of a pooling are full, alike, and at most ``limit`` wide and apart."""
    sizes = [int(size) for size in node.inputs[0].shape[2:]]
    if node.op in GLOBAL_POOLS:
        return max(sizes) <= limit
    window = [int(size) for size in node.attrs["kernel_shape"]]
    strides = [int(size) for size in node.attrs.get("strides") or [1] * len(sizes)]
    full = [(size - width) // step + 1 for size, width, step in zip(sizes, window, strides, strict=True)]
    return (
        max(*window, *strides) <= limit
        and len(set(strides)) == 1
        and len(node.outputs) == 1
        and not any(node.attrs.get("pads") or [])
        and set(node.attrs.get("dilations") or [1]) == {1}
        and node.attrs.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        and [int(size) for size in node.outputs[0].shape[2:]] == full
    )


def _writer(tensor: gs.Tensor) -> gs.Node | None:
    """Return the node that writes ``tensor``, looked at behind its DequantizeLinear."""
    tensor = _integers(tensor)
    return tensor.inputs[0] if tensor.inputs else None


def _integers(tensor: gs.Tensor) -> gs.Tensor:
    """Return what ``tensor`` is read from, in front of its DequantizeLinear if it has one."""
    while tensor.inputs and tensor.inputs[0].op == "DequantizeLinear":
        tensor = tensor.inputs[0].inputs[0]
    return tensor


def _is_integer_tail(node: gs.Node) -> bool:
    """Bias add in int32, the cast behind it, and the scale behind the cast."""
    producer = _writer(node.inputs[0]) if node.inputs else None
    if producer is None:
        return False
    if node.op in ("Add", "Cast"):
        integer = bool(node.inputs[0].dtype == np.dtype(np.int32))
        return integer and (producer.op in LINEAR or _is_integer_tail(producer))
    return node.op == "Mul" and producer.op == "Cast" and _is_integer_tail(producer)


def _layer_names(graph: gs.Graph, leaders: dict[str, gs.Node]) -> dict[str, str]:
    """Return name of the main node -> name of its layer."""
    exits = [item for item in state_of(graph).exits if item.head is not None]
    heads = {node.name for item in exits for node in head_nodes(graph, item)}
    split = {node.name: found for found in channel_parts(graph) for node in found.parts}
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for node in graph.nodes:
        main = leaders[node.name]
        if main.name in names:
            continue
        if main.op == "QuantizeLinear":
            names[main.name] = "quantize_input"
            continue
        if main.name in heads:
            names[main.name] = main.name
            continue
        kind = FLOAT_NAMES.get(main.op, main.op).lower()
        name = f"{kind}_{counts.get(kind, 0)}"
        counts[kind] = counts.get(kind, 0) + 1
        if main.name in split:
            parts = split[main.name]
            names |= {part.name: f"{name}.{number}" for number, part in enumerate(parts.parts)}
            names[parts.join.name] = f"{name}.join"
        else:
            names[main.name] = name
    return names
