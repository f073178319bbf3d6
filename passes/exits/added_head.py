"""The head of an exit on its mount: its layers, its nodes, and what it takes over from the exit before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.exits.chain import head_nodes
from passes.exits.mount_rules import widened
from passes.exits.reading import Reading, reading_of
from passes.heads.families import FEATURES, LOGITS
from passes.heads.layers import HeadLayer
from passes.heads.nodes import head_nodes_of
from passes.operator_sets import LINEAR
from passes.rewrite.rewriter import producer_of
from passes.state import Exit, state_of

_HINT = "give it a head without `reuse`"


def add_head(graph: gs.Graph, item: Exit, before: Exit | None, rng: np.random.Generator) -> Exit:
    """Append the head of a new exit, whose logits become an output; returns the exit as it is recorded.

    Args:
        graph: The network.
        item: The exit, its head chosen.
        before: The exit that it reads if its head reuses something.
        rng: Weights are drawn from it.
    """
    state = state_of(graph)
    assert item.head is not None
    tensors = graph.tensors()
    reused = None if before is None else reused_tensor(graph, before, item.head.reuse)
    layers = _layers(graph, item, reused)
    source, nodes = _real(tensors[item.mount], f"{item.name}/dequantize", f"{item.name}/dequantized")
    joined = None
    if reused is not None:
        joined, more = _real(reused, f"{item.name}/dequantize_reused", f"{item.name}/reused")
        nodes += more
    nodes += head_nodes_of(layers, source, item.name, None if state.symbolic else rng, joined)
    graph.nodes.extend(nodes)
    state.origins.update((node.name, ()) for node in nodes)
    graph.outputs.append(nodes[-1].outputs[0])
    return item if reused is None or before is None else replace(item, reads=before.name)


def _real(tensor: gs.Tensor, node: str, name: str) -> tuple[gs.Tensor, list[gs.Node]]:
    """Return ``tensor`` as real numbers: of integers a head has a DequantizeLinear of its own."""
    dequantize = widened(tensor)
    if dequantize is None:
        return tensor, []
    real = gs.Variable(name, np.float32, list(tensor.shape))
    inputs = [tensor, *dequantize.inputs[1:]]
    return real, [gs.Node("DequantizeLinear", node, dict(dequantize.attrs), inputs, [real])]


def _layers(graph: gs.Graph, item: Exit, reused: gs.Tensor | None) -> tuple[HeadLayer, ...]:
    """Return the layers of a head that is ours; ``reused`` is what it takes over from another."""
    assert item.head is not None
    tensors = graph.tensors()
    mount, logits = tensors[item.mount], tensors[state_of(graph).exits[-1].output]
    shape = tuple(int(d) for d in mount.shape[1:])
    joined = 0 if reused is None else int(reused.shape[-1])
    try:
        return item.head.on(shape, int(logits.shape[-1]), reading_on(mount, graph).layers, joined)
    except InputError as error:
        raise InputError(f"an exit at '{item.mount}': {error.message}", error.hint) from error


def reading_on(mount: gs.Tensor, graph: gs.Graph) -> Reading:
    """Return how an exit reads ``mount``; raises InputError where none can."""
    final = state_of(graph).exits[-1]
    found = reading_of(mount, graph.tensors()[final.output])
    if isinstance(found, str):
        raise InputError(f"no exit can read '{mount.name}': {found}", "`eecompile inspect` lists the mounts")
    return found


def reused_tensor(graph: gs.Graph, before: Exit, reuse: str) -> gs.Tensor | None:
    """Return the tensor of exit ``before`` that a head reads; None for one that reuses nothing.

    Its logits [1, classes]; or its features [1, features], which are what its classifier, its last layer with
    weights, reads. Of a quantized network they are the integers.

    Raises:
        InputError: Its logits are there only where an input leaves; its head is the user's own, of which
            nobody knows what is its classifier; or its features are integers without a grid.
    """
    if reuse not in (LOGITS, FEATURES):
        return None
    if before.apart:
        raise InputError(
            f"exit '{before.name}' answers only where an input leaves: the next one cannot read its {reuse}",
            _HINT,
        )
    if reuse == LOGITS:
        return graph.tensors()[before.output]
    if before.head is None:
        raise InputError(
            f"the head of exit '{before.name}' is the network's own: which of its tensors are features of a "
            "classifier is not known",
            "take over its logits (reuse=logits), or give the network without exits",
        )
    classifier = [node for node in head_nodes(graph, before) if node.op in LINEAR][-1]
    features = classifier.inputs[0]
    writer = producer_of(features)
    if writer is not None and writer.op == "DequantizeLinear":
        features = writer.inputs[0]
    if features.dtype != np.float32 and widened(features) is None:
        raise InputError(
            f"the features of exit '{before.name}' are integers that no DequantizeLinear reads",
            "insert exits before the network is lowered to integers",
        )
    return features
