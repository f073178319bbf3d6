"""Put exit heads on mounts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.errors import InputError
from passes.exits import number_exits, order_outputs, recognise_exits
from passes.graph import tidy
from passes.heads import HeadLayer, head_layers
from passes.mounts import Mount, find_mounts, resolve_mounts
from passes.state import Exit, state_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class InsertExits(Pass):
    """Add an early exit at each of the given mounts; the network's own classifier becomes ``final``.

    1. ``at`` holds mounts (short names, tensor or node names), or one number: so many early exits in
       all, on the best-ranked mounts.
    2. Each exit reads its mount through a head (``linear``, ``conv``, or by size: ``auto``) whose
       logits become a graph output ``exit_<k>``, numbered from shallow to deep.
    3. Head weights are drawn from a seeded He normal distribution until training replaces them; in a
       shape-only graph they are symbolic.
    4. A mount that has an exit already is left as it is; all exits are then numbered anew.
    """

    name: ClassVar[str] = "insert-exits"
    at: tuple[str, ...] = ("2",)
    head: str = "auto"
    seed: int = 0

    def requires(self, graph: gs.Graph) -> None:
        """One classifier output of shape [1, classes], or exits this pass made."""
        if not state_of(graph).exits and len(graph.outputs) != 1:
            raise self.broken(
                graph,
                f"the graph has {len(graph.outputs)} outputs, so its exits are there already",
                "give a network with one output to insert exits",
            )

    def run(self, graph: gs.Graph) -> bool:
        """Insert the heads, shallow to deep."""
        state = state_of(graph)
        *early, final = recognise_exits(graph)
        mounts = self._free_mounts(graph, {e.mount for e in early})
        if not mounts:
            return False
        tensors = graph.tensors()
        classes = int(tensors[final.output].shape[-1])
        order = {mount.tensor: index for index, mount in enumerate(find_mounts(graph))}
        rng = np.random.default_rng(self.seed)
        for number, mount in enumerate(mounts, start=len(early)):
            name = f"exit_{number}"
            if name in tensors:
                raise InputError(
                    f"the network has a tensor called '{name}', which is the name of an exit", "rename it"
                )
            layers = head_layers(self.head, tuple(tensors[mount.tensor].shape[1:]), classes)
            _build_head(graph, tensors[mount.tensor], name, layers, rng)
            early.append(Exit(name, mount.tensor, name))
        state.exits = [*sorted(early, key=lambda e: order[e.mount]), final]
        number_exits(graph)
        order_outputs(graph)
        tidy(graph)
        return True

    def _free_mounts(self, graph: gs.Graph, taken: set[str]) -> list[Mount]:
        """Return the mounts asked for that have no exit yet."""
        if len(self.at) == 1 and self.at[0].isdecimal() and taken:
            left = int(self.at[0]) - len(taken)
            return resolve_mounts(graph, str(left)) if left > 0 else []
        writers = {n.outputs[0].name: n.name for n in graph.nodes}
        names = {
            name
            for mount in find_mounts(graph)
            if mount.tensor in taken
            for name in (mount.name, mount.tensor, writers.get(mount.tensor))
        }
        wanted = [name for name in self.at if name not in names]
        return resolve_mounts(graph, ",".join(wanted)) if wanted else []


def head_kind(graph: gs.Graph, name: str) -> str:
    """Return the kind of the inserted head of exit ``name``: ``conv`` or ``linear``."""
    return "conv" if any(node.name == f"{name}/conv" for node in graph.nodes) else "linear"


def add_rival_heads(graph: gs.Graph, kinds: Sequence[str], seed: int = 0) -> None:
    """Give every mount with one inserted exit another exit for each of ``kinds`` it lacks.

    Such a graph is material to choose from: of the exits of one mount, one at most is to be kept.
    """
    state = state_of(graph)
    tensors = graph.tensors()
    rng = np.random.default_rng(seed)
    *early, final = state.exits
    classes = int(tensors[final.output].shape[-1])
    exits = []
    for item in early:
        exits.append(item)
        shape = tuple(tensors[item.mount].shape[1:])
        for kind in kinds:
            if kind != head_kind(graph, item.name):
                name = f"exit_{len(early) + len(exits)}"  # numbered anew below
                _build_head(graph, tensors[item.mount], name, head_layers(kind, shape, classes), rng)
                exits.append(Exit(name, item.mount, name))
    state.exits = [*exits, final]
    number_exits(graph)
    order_outputs(graph)
    tidy(graph)


def _build_head(
    graph: gs.Graph, mount: gs.Tensor, name: str, layers: tuple[HeadLayer, ...], rng: np.random.Generator
) -> None:
    """Append the nodes of one head reading ``mount``; its logits become the output ``name``."""
    state = state_of(graph)
    current = mount
    shape = tuple(int(d) for d in mount.shape[1:])
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        stem = f"{name}/{layer.op.lower()}"
        after = layer.output_shape(shape)
        output = gs.Variable(name if last else f"{stem}_out", np.float32, [1, *after])
        inputs = [current, *_parameters(state.symbolic, stem, layer, shape, rng)]
        node = gs.Node(layer.op, stem, _attributes(layer, shape), inputs, [output])
        graph.nodes.append(node)
        state.origins[node.name] = ()
        current, shape = output, after
        if layer.op == "Conv":
            activated = gs.Variable(f"{name}/relu_out", np.float32, [1, *after])
            relu = gs.Node("Relu", f"{name}/relu", {}, [current], [activated])
            graph.nodes.append(relu)
            state.origins[relu.name] = ()
            current = activated
    graph.outputs.append(current)


def _attributes(layer: HeadLayer, shape: tuple[int, ...]) -> dict[str, Any]:
    if layer.op == "MaxPool":
        return {"kernel_shape": list(layer.kernel), "strides": list(layer.kernel)}
    if layer.op == "Conv":
        return {
            "kernel_shape": list(layer.kernel),
            "strides": list(layer.stride),
            "pads": list(layer.pads(shape[1:])),
            "dilations": [1] * len(layer.kernel),
            "group": 1,
        }
    if layer.op == "Flatten":
        return {"axis": 1}
    return {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def _parameters(
    symbolic: bool, stem: str, layer: HeadLayer, shape: tuple[int, ...], rng: np.random.Generator
) -> list[gs.Constant]:
    if layer.op not in ("Conv", "Gemm"):
        return []
    weight_shape = (layer.channels, shape[0], *layer.kernel)
    if symbolic:
        weight: Array = np.broadcast_to(np.float32(1), weight_shape)
        bias: Array = np.broadcast_to(np.float32(1), (layer.channels,))
    else:
        deviation = math.sqrt(2.0 / math.prod(weight_shape[1:]))
        weight = rng.normal(0.0, deviation, weight_shape).astype(np.float32)
        bias = np.zeros(layer.channels, np.float32)
    return [gs.Constant(f"{stem}.weight", weight), gs.Constant(f"{stem}.bias", bias)]


def head_parameters(graph: gs.Graph, name: str) -> dict[str, Array]:
    """Return the weights of the head of exit ``name``, keyed ``conv.weight``, ``gemm.bias`` and so on."""
    prefix = f"{name}/"
    return {t: c.values for t, c in _head_constants(graph, prefix).items()}


def set_head_parameters(graph: gs.Graph, name: str, values: Mapping[str, Array]) -> None:
    """Replace the weights of the head of exit ``name``.

    Keys and shapes are those of :func:`head_parameters`.

    Raises:
        ValueError: A key or shape that the head does not have.
    """
    constants = _head_constants(graph, f"{name}/")
    for key, value in values.items():
        if key not in constants or tuple(constants[key].shape) != value.shape:
            raise ValueError(f"head '{name}' has no parameter '{key}' of shape {value.shape}")
        constants[key].values = np.ascontiguousarray(value, np.float32)


def _head_constants(graph: gs.Graph, prefix: str) -> dict[str, gs.Constant]:
    return {
        tensor.name.removeprefix(prefix): tensor
        for node in graph.nodes
        if node.name.startswith(prefix)
        for tensor in node.inputs
        if isinstance(tensor, gs.Constant)
    }
