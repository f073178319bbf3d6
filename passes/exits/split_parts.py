"""A network in two parts: segments with exits on a device, and the rest of it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.exits.chain import ancestors
from passes.exits.cut_tensors import final_logits
from passes.exits.split_stages import CONFIDENCE, LOGITS
from passes.exits.stages import free_names
from passes.model.graph import tidy
from passes.state import Exit, copy_graph, state_of


def device_segments(graph: gs.Graph, kept: Sequence[str], tensor: str | None) -> list[gs.Graph]:
    """Return what runs on the device, one graph per kept exit and one more up to ``tensor``.

    A segment of an exit gives ``logits`` and ``confidence``, then what later segments read, logits for the
    confidences of later exits among it, and ``tensor`` where it is made there. The last segment gives
    ``tensor`` alone; it is not there if nothing is left to do for it. Without ``tensor`` the last segment is
    that of the final exit.

    Args:
        graph: A flat network with exits.
        kept: Names of early exits, shallow to deep; with one whose confidence reads those before, all of
            these.
        tensor: What is sent to the other part, one of `cut_tensors`; ``None``: nothing.

    Raises:
        InputError: No such exit.
    """
    exits = {item.name: item for item in state_of(graph).exits}
    for name in kept:
        if name not in exits:
            raise InputError(f"the network has no exit '{name}'", f"exits: {', '.join(exits)}")
    tensors = {t.name: t for t in graph.outputs} | graph.tensors()
    wanted: list[tuple[Exit | None, gs.Tensor]] = [(exits[k], tensors[exits[k].output]) for k in kept]
    final = state_of(graph).exits[-1]
    wanted.append((final, final_logits(graph)) if tensor is None else (None, tensors[tensor]))
    before: set[str] = set()
    owned = []
    for _, target in wanted:
        owned.append(ancestors([target]) - before)
        before |= owned[-1]
    read = [
        [] if item is None or not item.confidence.reads_before else [exits[k].output for k in kept[:number]]
        for number, (item, _) in enumerate(wanted)
    ]
    found = []
    for number, (item, target) in enumerate(wanted):
        if not owned[number]:  # it is the input, or a segment before has made it
            continue
        later = [_entries(graph, nodes) for nodes in owned[number + 1 :]]
        read_later = dict.fromkeys(name for names in (*later, *read[number + 1 :]) for name in names)
        if tensor is not None:
            read_later[tensor] = None
        given = [name for name in read_later if _is_made_by(tensors[name], owned[number])]
        found.append(_segment(graph, owned[number], target.name, item, given, read[number]))
    return found


def later_part(graph: gs.Graph, tensor: str) -> gs.Graph:
    """Return what makes the final logits of ``tensor``, one of `cut_tensors`; it gives ``logits`` alone."""
    logits = final_logits(graph)
    nodes = ancestors([logits]) - ancestors([graph.tensors()[tensor]])
    part = _cut_out(graph, nodes, [tensor])
    found = next(t for n in part.nodes for t in n.outputs if t.name == logits.name)
    free_names(part.nodes, (LOGITS,))
    found.name = LOGITS
    part.outputs = [found]
    final = state_of(graph).exits[-1:]
    state_of(part).exits = [replace(item, output=LOGITS, reads="") for item in final]
    _tidied(part)
    return part


def _segment(
    graph: gs.Graph,
    nodes: set[str],
    target: str,
    item: Exit | None,
    given: Sequence[str],
    read: Sequence[str],
) -> gs.Graph:
    part = _cut_out(graph, nodes, [*dict.fromkeys([*_entries(graph, nodes), *read])])
    tensors = part.tensors()
    state = state_of(part)
    if item is None:
        part.outputs, state.exits = [tensors[name] for name in given], []
        _tidied(part)
        return part
    logits, handed = tensors[target], [tensors[name] for name in given]
    before = [tensors[name] for name in read]
    free_names(part.nodes, (LOGITS, CONFIDENCE))
    logits.name = LOGITS
    confidence = gs.Variable(CONFIDENCE, np.float32, [1])
    decision = item.confidence.nodes(item.name, logits, confidence, before)
    if any(tensor is logits for tensor in handed):  # an output has one name
        copied = gs.Variable(target, logits.dtype, list(logits.shape))
        decision.append(gs.Node("Identity", f"{item.name}/hand_on", {}, [logits], [copied]))
        handed = [copied if tensor is logits else tensor for tensor in handed]
    part.nodes = [*part.nodes, *decision]
    part.outputs = [logits, confidence, *handed]
    state.origins.update((n.name, ()) for n in decision)
    state.exits = [replace(item, output=LOGITS, reads="")]
    _tidied(part)
    return part


def _cut_out(graph: gs.Graph, nodes: set[str], entries: Sequence[str]) -> gs.Graph:
    """Return a copy with ``nodes`` alone, which reads ``entries``; its outputs are still to be set."""
    part = copy_graph(graph)
    tensors = part.tensors()
    for name in entries:
        tensors[name].inputs.clear()
    part.inputs = [tensors[name] for name in entries]
    for node in part.nodes:
        if node.name not in nodes:  # tensors of the part must not know it as a reader
            node.inputs.clear()
    part.nodes = [node for node in part.nodes if node.name in nodes]
    return part


def _entries(graph: gs.Graph, nodes: set[str]) -> list[str]:
    """Return the tensors that ``nodes`` read and do not make, in the order they are read."""
    read = {
        tensor.name: None
        for node in graph.nodes
        if node.name in nodes
        for tensor in node.inputs
        if isinstance(tensor, gs.Variable) and not tensor.is_empty() and not _is_made_by(tensor, nodes)
    }
    return list(read)


def _is_made_by(tensor: gs.Tensor, nodes: set[str]) -> bool:
    return bool(tensor.inputs) and tensor.inputs[0].name in nodes


def _tidied(part: gs.Graph) -> None:
    tidy(part)
    state, left = state_of(part), {n.name for n in part.nodes}
    state.layers = {n: layer for n, layer in state.layers.items() if n in left}
    state.precisions = {n: precision for n, precision in state.precisions.items() if n in left}
