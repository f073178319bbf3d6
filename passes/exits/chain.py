"""The chain of exits of a network: order, names, which are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_graphsurgeon as gs

from passes.confidence import ConfidenceRule
from passes.errors import InputError, did_you_mean
from passes.rewrite.names import make_way
from passes.state import GRIDS_OF_NODES, Exit, copy_graph, state_of

_HEAD_OPS = {
    "Gemm", "MatMul", "Flatten", "Reshape", "Squeeze", "GlobalAveragePool", "GlobalMaxPool", "AveragePool",
    "MaxPool", "ReduceMean", "Softmax", "Identity", "DequantizeLinear", "QuantizeLinear", "MatMulInteger",
    "Cast", "Dropout", "Transpose",
}  # fmt: skip
FINAL = "final"


def order_outputs(graph: gs.Graph) -> None:
    """Let the outputs of ``graph`` be those of its exits, in their order; without exits they stay."""
    if not state_of(graph).exits:
        return
    by_name = {t.name: t for t in graph.outputs}
    graph.outputs = [by_name[e.output] for e in state_of(graph).exits]


def final_exit(output: gs.Tensor) -> Exit:
    """Return the final exit; its mount is what its classifier (pool, flatten, fully connected) reads."""
    if not output.inputs:
        return Exit(FINAL, output.name, output.name)
    node = output.inputs[0]
    while node.op in _HEAD_OPS and node.inputs[0].inputs:
        node = node.inputs[0].inputs[0]
    mounts = node.inputs[0] if node.op in _HEAD_OPS else node.outputs[0]
    return Exit(FINAL, mounts.name, output.name)


def ancestors(tensors: list[gs.Tensor]) -> set[str]:
    """Return the names of all nodes that ``tensors`` depend on."""
    found: set[str] = set()
    pending = [node for tensor in tensors for node in tensor.inputs]
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            pending.extend(p for tensor in node.inputs for p in tensor.inputs)
    return found


def head_nodes(graph: gs.Graph, item: Exit) -> list[gs.Node]:
    """Return the nodes that run for exit ``item``, and for no other that does not read it: its head.

    They are in the order of the graph. What an exit reads of one before it belongs to that one. There are
    none where its logits are no output, as in a nested network.
    """
    logits = next((t for t in graph.outputs if t.name == item.output), None)
    if logits is None:
        return []
    own = ancestors([logits])
    readers = {reader.output for reader in readers_of(graph, item)}
    direct = {other.output for other in state_of(graph).exits if other.reads == item.name}
    own -= {
        name for t in graph.outputs if t.name in direct for name in _way_to_both(graph, own, ancestors([t]))
    }
    for other in graph.outputs:
        if other.name in readers:
            continue
        needs = ancestors([other])
        if logits.inputs[0].name not in needs:  # else it is computed from the logits, as a confidence is
            own -= needs
    return [node for node in graph.nodes if node.name in own]


def _way_to_both(graph: gs.Graph, own: set[str], reader: set[str]) -> set[str]:
    """Return the nodes of ``own`` that lead to an exit that reads this one by other ways than what it reads.

    Where tensors leave ``own`` for its reader, the last of them is what is read, the others are the
    backbone: its mount, whatever passes have made of it, lies before its logits and its features.
    """
    leaving = [
        tensor
        for node in graph.nodes
        if node.name in own
        for tensor in node.outputs
        if any(taking.name in reader and taking.name not in own for taking in tensor.outputs)
    ]
    before = [ancestors([tensor]) for tensor in leaving]
    return {
        name
        for tensor, way in zip(leaving, before, strict=True)
        if any(tensor.inputs[0].name in other for other in before if other is not way)
        for name in way
    }


def readers_of(graph: gs.Graph, item: Exit) -> list[Exit]:
    """Return the exits that read exit ``item``, directly or through others, shallow to deep."""
    names, found = {item.name}, []
    for other in state_of(graph).exits:
        if other.reads in names:
            names.add(other.name)
            found.append(other)
    return found


def own_names(graph: gs.Graph, item: Exit) -> set[str]:
    """Return the names of the nodes that may be called by the name of exit ``item``.

    They are those of its head where that is ours, and of the heads that read it: passes name what stands
    between the two after both.
    """
    if item.head is None:
        return set()
    return {node.name for one in (item, *readers_of(graph, item)) for node in head_nodes(graph, one)}


def keep_exits(graph: gs.Graph, names: Sequence[str], final: str = "") -> gs.Graph:
    """Return a copy of ``graph`` with only the early exits ``names`` and the final one, numbered anew.

    With no names it is the static network: the backbone with its final head.

    Args:
        graph: A network with exits.
        names: Early exits.
        final: An early exit whose head closes the network, and which is ``final`` then; empty: its own.

    Raises:
        InputError: There is no exit of such a name, or one reads another that is not kept.
    """
    known = [item.name for item in state_of(graph).exits]
    for name in (*names, *([final] if final else [])):
        if name not in known:
            raise InputError(f"the network has no exit '{name}'", did_you_mean(name, known))
    for item in state_of(graph).exits:
        if item.reads and item.reads not in names and item.name in names:
            raise InputError(
                f"exit '{item.name}' reads '{item.reads}', which is not kept ({item.head_name} head)",
                f"keep '{item.reads}' too, or neither",
            )
    clone = copy_graph(graph)
    state = state_of(clone)
    last = state.exits[-1:]
    if final not in ("", *known[-1:]):
        last = [_as_final(clone, known.index(final))]
    # What the final exit took over from one that is none any more is a part of its own head now.
    last = [replace(e, reads="") if e.reads not in names else e for e in last]
    state.exits = [*(e for e in state.exits[:-1] if e.name in names), *last]
    order_outputs(clone)
    clone.cleanup(remove_unused_graph_inputs=False)
    left, tensors = {n.name for n in clone.nodes}, clone.tensors()
    state.layers = {n: layer for n, layer in state.layers.items() if n in left}
    state.precisions = {n: precision for n, precision in state.precisions.items() if n in left}
    state.origins = {n: origin for n, origin in state.origins.items() if n in left}
    held = {*tensors, *(f"{n}/{part}" for n in left for part in GRIDS_OF_NODES)}
    state.grids = {n: grid for n, grid in state.grids.items() if n in held}
    number_exits(clone)
    return clone


def _as_final(graph: gs.Graph, number: int) -> Exit:
    """Return the final exit that an early one becomes; what runs for it is called by that name."""
    _rename_exit(graph, number, FINAL)
    item = state_of(graph).exits[number]
    logits = next(t for t in graph.outputs if t.name == item.output)
    return replace(final_exit(logits), confidence=item.confidence)


def number_exits(graph: gs.Graph) -> None:
    """Name the early exits ``exit_0``, ``exit_1`` … in their order, and the heads that are ours with them."""
    exits = state_of(graph).exits
    wrong = [number for number, item in enumerate(exits[:-1]) if item.name != f"exit_{number}"]
    for stem in ("exit_moved", "exit"):  # in two steps, for exits that change places
        for number in wrong:
            _rename_exit(graph, number, f"{stem}_{number}")


def _rename_exit(graph: gs.Graph, number: int, new: str) -> None:
    """Rename an exit; with a head that is ours its nodes, their layers and tensors too."""
    state = state_of(graph)
    item = state.exits[number]
    if item.head is None:
        _set_name(graph, number, new)
        return

    def renamed(name: str) -> str:
        return "/".join(new if part == item.name else part for part in name.split("/"))

    nodes: dict[str, str] = {}
    tensors: dict[str, str] = {}
    head = head_nodes(graph, item)
    make_way(graph, new, own_names(graph, item))
    for node in head:
        for tensor in [*node.outputs, *(t for t in node.inputs if isinstance(t, gs.Constant))]:
            tensors[tensor.name] = tensor.name = renamed(tensor.name)
        nodes[node.name] = node.name = renamed(node.name)
    state.rename(nodes, tensors)
    _set_name(graph, number, new)


def _set_name(graph: gs.Graph, number: int, new: str) -> None:
    state = state_of(graph)
    old = state.exits[number].name
    state.exits[number] = replace(state.exits[number], name=new)
    state.exits = [replace(e, reads=new) if e.reads == old else e for e in state.exits]


def set_rules(graph: gs.Graph, rules: Sequence[ConfidenceRule]) -> None:
    """Write the confidence rules of all exits, the final one included, into the state of ``graph``."""
    exits = state_of(graph).exits
    state_of(graph).exits = [replace(e, confidence=rule) for e, rule in zip(exits, rules, strict=True)]


def set_thresholds(graph: gs.Graph, thresholds: Sequence[float]) -> None:
    """Write the thresholds of the early exits, shallow to deep, into the state of ``graph``."""
    exits = state_of(graph).exits
    early = [replace(e, threshold=float(t)) for e, t in zip(exits[:-1], thresholds, strict=True)]
    state_of(graph).exits = [*early, exits[-1]]
