"""Put exit heads on mounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.base import Pass
from passes.confidence import MAX_SOFTMAX, confidence_rule
from passes.errors import InputError
from passes.exits.chain import head_nodes, number_exits, order_outputs
from passes.exits.mount_rules import widened
from passes.exits.mounts import Mount, find_mounts, resolve_mounts
from passes.exits.reading import Reading, reading_of
from passes.exits.recognise import check_classifier, classifier_exits
from passes.heads import AUTO, HeadFamily, HeadLayer, check_kind, head_family, layer_names
from passes.model.graph import tidy
from passes.operator_sets import FLOAT_LINEAR
from passes.rewrite.names import make_way
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
    5. On a quantized tensor the mount is the integers, and a head has a DequantizeLinear of its own.
    6. The new exits record their head, ``linear`` or ``conv``, and ``confidence``, the rule their threshold
       is compared by (``max_softmax`` or ``margin``); so does ``final`` where these are the first exits.
    """

    name: ClassVar[str] = "insert-exits"
    at: tuple[str, ...] = ("2",)
    head: str = AUTO
    seed: int = 0
    confidence: str = MAX_SOFTMAX.name

    def requires(self, graph: gs.Graph) -> None:
        """One classifier output of shape [1, classes], or exits this pass made; a head and a rule we know."""
        check_kind(self.head)
        confidence_rule(self.confidence)
        if not state_of(graph).exits and len(graph.outputs) != 1:
            check_classifier(graph)
            raise self.broken(
                graph,
                f"the graph has {len(graph.outputs)} outputs, so its exits are there already",
                "give a network with one output to insert exits",
            )

    def run(self, graph: gs.Graph) -> bool:
        """Insert the heads, shallow to deep."""
        state = state_of(graph)
        rule = confidence_rule(self.confidence)
        *early, final = classifier_exits(graph)
        mounts = self._free_mounts(graph, {e.mount for e in early})
        if not mounts:
            return False
        tensors = graph.tensors()
        chosen = [tensors[mount.tensor] for mount in mounts]
        names = [f"exit_{number}" for number in range(len(early), len(early) + len(mounts))]
        for name in names:
            make_way(graph, name)
            if name in graph.tensors():
                raise InputError(
                    f"the network has an input or output called '{name}', which is the name of an exit",
                    "rename it",
                )
        *early, final = state.exits  # their tensors may have been in the way
        if not early:
            final = replace(final, confidence=rule)
        classes = int(graph.tensors()[final.output].shape[-1])
        order = {mount.tensor: index for index, mount in enumerate(find_mounts(graph))}
        rng = np.random.default_rng(self.seed)
        for name, tensor in zip(names, chosen, strict=True):
            family = head_family(self.head, _reading(tensor, graph, final).shape)
            _add_head(graph, tensor, family, name, classes, rng)
            early.append(Exit(name, tensor.name, name, confidence=rule, head=family))
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
        return resolve_mounts(graph, wanted[0] if len(wanted) == 1 else wanted) if wanted else []


def add_rival_heads(graph: gs.Graph, families: Sequence[HeadFamily], seed: int = 0) -> None:
    """Give every mount with one inserted exit another exit for each of ``families`` it lacks.

    Such a graph is material to choose from: of the exits of one mount, one at most is to be kept.
    """
    state = state_of(graph)
    count = len(state.exits) - 1
    for number in range(count, count * (len(families) + 1) + 1):
        make_way(graph, f"exit_{number}")
    tensors = graph.tensors()
    rng = np.random.default_rng(seed)
    *early, final = state.exits
    classes = int(tensors[final.output].shape[-1])
    exits = []
    for item in early:
        exits.append(item)
        for family in families:
            if family != item.head:
                name = f"exit_{len(early) + len(exits)}"  # numbered anew below
                _add_head(graph, tensors[item.mount], family, name, classes, rng)
                exits.append(replace(item, name=name, output=name, head=family))
    state.exits = [*exits, final]
    number_exits(graph)
    order_outputs(graph)
    tidy(graph)


def _add_head(
    graph: gs.Graph, mount: gs.Tensor, family: HeadFamily, name: str, classes: int, rng: np.random.Generator
) -> None:
    """Append one head reading ``mount``; its logits become the output ``name``."""
    state = state_of(graph)
    source, nodes = mount, []
    reading = _reading(mount, graph, state.exits[-1])
    dequantize = widened(mount)
    if dequantize is not None:  # the mount is the integers; the head has a DequantizeLinear of its own
        source = gs.Variable(f"{name}/dequantized", np.float32, list(mount.shape))
        inputs = [mount, *dequantize.inputs[1:]]
        nodes.append(
            gs.Node("DequantizeLinear", f"{name}/dequantize", dict(dequantize.attrs), inputs, [source])
        )
    nodes += family.build(source, name, classes, None if state.symbolic else rng, reading.layers)
    graph.nodes.extend(nodes)
    state.origins.update((node.name, ()) for node in nodes)
    graph.outputs.append(nodes[-1].outputs[0])


def _reading(mount: gs.Tensor, graph: gs.Graph, final: Exit) -> Reading:
    found = reading_of(mount, graph.tensors()[final.output])
    if isinstance(found, str):
        raise InputError(f"no exit can read '{mount.name}': {found}", "`eecompile inspect` lists the mounts")
    return found


def inserted_layers(graph: gs.Graph, item: Exit) -> tuple[HeadLayer, ...]:
    """Return the layers of the head of an exit that was inserted, from its mount on.

    Raises:
        ValueError: The head is the user's own.
    """
    if item.head is None:
        raise ValueError(f"exit '{item.name}' has a head of no family")
    tensors, final = graph.tensors(), state_of(graph).exits[-1]
    mount = tensors[item.mount]
    shape = tuple(int(d) for d in mount.shape[1:])
    return item.head.on(shape, int(tensors[final.output].shape[-1]), _reading(mount, graph, final).layers)


def head_parameters(graph: gs.Graph, item: Exit) -> dict[str, Array]:
    """Return the weights of the head of an exit in a float graph.

    Keys are those of its layers (:func:`passes.heads.layer_names`): ``conv.weight``, ``conv_1.bias`` …
    """
    return {key: constant.values for key, constant in _head_constants(graph, item).items()}


def set_head_parameters(graph: gs.Graph, item: Exit, values: Mapping[str, Array]) -> None:
    """Replace the weights of the head of an exit.

    Keys and shapes are those of :func:`head_parameters`.

    Raises:
        ValueError: A key or shape that the head does not have.
    """
    constants = _head_constants(graph, item)
    for key, value in values.items():
        if key not in constants or tuple(constants[key].shape) != value.shape:
            raise ValueError(f"head '{item.name}' has no parameter '{key}' of shape {value.shape}")
        constants[key].values = np.ascontiguousarray(value, np.float32)


def _head_constants(graph: gs.Graph, item: Exit) -> dict[str, gs.Constant]:
    nodes = head_nodes(graph, item)
    return {
        f"{name}.{kind}": tensor
        for node, name in zip(nodes, layer_names([node.op for node in nodes]), strict=True)
        if node.op in FLOAT_LINEAR
        for tensor, kind in zip(node.inputs[1:], ("weight", "bias"), strict=False)
        if isinstance(tensor, gs.Constant)
    }
