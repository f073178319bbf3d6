"""Which outputs are exits: from metadata, or recognised in a network that has several classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_graphsurgeon as gs

from passes.canonical.canonicalize import Canonicalize
from passes.errors import InputError
from passes.state import Exit, copy_graph, decline, state_of

_HEAD_OPS = {
    "Gemm", "MatMul", "Flatten", "Reshape", "Squeeze", "GlobalAveragePool", "GlobalMaxPool", "AveragePool",
    "MaxPool", "ReduceMean", "Softmax", "Identity", "DequantizeLinear", "QuantizeLinear", "MatMulInteger",
    "Cast", "Dropout", "Transpose",
}  # fmt: skip
_PICKS = {"ArgMax", "TopK"}
_VIEWS_OF_PICKS = {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_PICKING = {*_PICKS, *_VIEWS_OF_PICKS, "Softmax", "LogSoftmax"}
FINAL = "final"


def recognise_exits(graph: gs.Graph) -> list[Exit]:
    """Return the exits of ``graph``, shallow to deep, and record them in its state.

    They come from the graph's metadata where it has any; else a network with one output has one
    exit, ``final``, and one with several outputs of the same class count has one exit per output,
    ordered by how many nodes it needs; the mount of such an exit is the last tensor its path shares
    with the deeper exits. Outputs beside the classifiers that lie on the way to them, or are an ArgMax
    or TopK of them, are dropped and recorded as declined.

    Raises:
        InputError: Outputs that are not [1, classes] with one class count, or not nested; metadata
            that speaks of other outputs than the file has.
    """
    state = state_of(graph)
    if state.exits:
        check_recorded(graph)
        return state.exits
    if not _are_classifiers(graph.outputs):
        _drop_side_outputs(graph)
    if not _are_classifiers(graph.outputs):
        listed = ", ".join(f"{t.name} {list(t.shape)}" for t in graph.outputs)
        raise InputError(
            "not a classifier: every output must be [1, classes] with one class count of at least 2, "
            f"found {listed}",
            "eecompile compiles image classifiers; cut other outputs off before",
        )
    paths = sorted(((ancestors([t]), t.name) for t in graph.outputs), key=lambda p: (len(p[0]), p[1]))
    exits = []
    for index, (path, name) in enumerate(paths[:-1]):
        deeper = paths[index + 1][0]
        shared = path & deeper
        mounts = {
            tensor.name
            for node in graph.nodes
            if node.name in path and node.name not in shared
            for tensor in node.inputs
            if tensor.inputs and tensor.inputs[0].name in shared
        }
        if len(mounts) != 1:
            raise InputError(
                f"output '{name}' leaves the network at {len(mounts)} tensors; an exit leaves at one",
                "only networks whose outputs are exits of one backbone are understood",
            )
        exits.append(Exit(f"exit_{index}", mounts.pop(), name))
    deepest = next(t for t in graph.outputs if t.name == paths[-1][1])
    state.exits = [*exits, final_exit(deepest)]
    order_outputs(graph)
    return state.exits


def order_outputs(graph: gs.Graph) -> None:
    """Let the outputs of ``graph`` be those of its exits, in their order."""
    by_name = {t.name: t for t in graph.outputs}
    graph.outputs = [by_name[e.output] for e in state_of(graph).exits]


def _are_classifiers(outputs: Sequence[gs.Tensor]) -> bool:
    """Whether there are outputs and all are [1, classes] with one class count."""
    shapes = [list(t.shape) for t in outputs]
    return all(len(s) == 2 and s[1] >= 2 for s in shapes) and len({s[1] for s in shapes}) == 1


def _drop_side_outputs(graph: gs.Graph) -> None:
    """Drop the outputs beside the classifiers if each has its reason; else leave all as they are."""
    needs = {t.name: ancestors([t]) for t in graph.outputs}

    def feeds(tensor: gs.Tensor, other: gs.Tensor) -> bool:
        return any(reader.name in needs[other.name] for reader in tensor.outputs)

    computed = [t for t in graph.outputs if not _is_pick(t)]
    ends = [t for t in computed if not any(feeds(t, other) for other in computed)]
    if not _are_classifiers(ends):
        return
    ops = {node.name: node.op for node in graph.nodes}
    reasons: dict[str, str] = {}
    for side in graph.outputs:
        if any(side is end for end in ends):
            continue
        if _is_pick(side):
            close = [e for e in ends if {ops[n] for n in needs[e.name] ^ needs[side.name]} <= _PICKING]
            reason = "picks from the logits '{}': no exit, the output is dropped"
        else:
            # One with the class count of the ends may be an exit that a deeper one reads.
            close = [e for e in ends if feeds(side, e) and list(side.shape) != list(e.shape)]
            reason = "lies on the way to '{}': no exit, the output is dropped"
        if not close:
            return
        reasons[side.name] = reason.format(close[0].name)
    for name, reason in reasons.items():
        decline(graph, "exits", name, reason)
    graph.outputs = ends
    graph.cleanup(remove_unused_graph_inputs=False)
    if Canonicalize.name in state_of(graph).history:
        Canonicalize()(graph)  # a Softmax that ArgMax read, for one, can be set apart only now


def _is_pick(tensor: gs.Tensor) -> bool:
    """Whether ``tensor`` is the result of ArgMax or TopK, or a view of one."""
    while tensor.inputs and tensor.inputs[0].op in _VIEWS_OF_PICKS:
        tensor = tensor.inputs[0].inputs[0]
    return bool(tensor.inputs) and tensor.inputs[0].op in _PICKS


def check_recorded(graph: gs.Graph) -> None:
    """Refuse a file whose outputs are not the exits that its metadata speaks of."""
    outputs, exits = [t.name for t in graph.outputs], state_of(graph).exits
    if exits and sorted(e.output for e in exits) != sorted(outputs):
        recorded = ", ".join(f"'{e.name}' at output '{e.output}'" for e in exits)
        raise InputError(
            f"the file records the exits {recorded}, but its outputs are {', '.join(outputs)}",
            "give the flat network (model.exits.onnx), not one that was nested or split already",
        )


def final_exit(output: gs.Tensor) -> Exit:
    """Return the final exit; its mount is what its classifier (pool, flatten, fully connected) reads."""
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
    """Return the nodes that run for exit ``item`` alone, in the order of the graph: its head.

    There are none where its logits are no output, as in a nested network.
    """
    logits = next((t for t in graph.outputs if t.name == item.output), None)
    if logits is None:
        return []
    own = ancestors([logits])
    for other in graph.outputs:
        needs = ancestors([other])
        if logits.inputs[0].name not in needs:  # else it is computed from the logits, as a confidence is
            own -= needs
    return [node for node in graph.nodes if node.name in own]


def keep_exits(graph: gs.Graph, names: Sequence[str]) -> gs.Graph:
    """Return a copy of ``graph`` with only the early exits ``names`` and the final one, numbered anew.

    With no names it is the static network: the backbone with its own final head.
    """
    clone = copy_graph(graph)
    state = state_of(clone)
    state.exits = [e for e in state.exits if e.name in names or e is state.exits[-1]]
    order_outputs(clone)
    clone.cleanup(remove_unused_graph_inputs=False)
    left, tensors = {n.name for n in clone.nodes}, clone.tensors()
    state.layers = {n: layer for n, layer in state.layers.items() if n in left}
    state.precisions = {n: precision for n, precision in state.precisions.items() if n in left}
    state.origins = {n: origin for n, origin in state.origins.items() if n in left}
    state.grids = {n: grid for n, grid in state.grids.items() if n in tensors}
    number_exits(clone)
    return clone


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
        state.exits[number] = replace(item, name=new)
        return

    def renamed(name: str) -> str:
        return "/".join(new if part == item.name else part for part in name.split("/"))

    names: dict[str, str] = {}
    for node in head_nodes(graph, item):
        for tensor in [*node.outputs, *(t for t in node.inputs if isinstance(t, gs.Constant))]:
            names[tensor.name] = tensor.name = renamed(tensor.name)
        names[node.name] = node.name = renamed(node.name)
    state.origins = {names.get(n, n): origin for n, origin in state.origins.items()}
    state.layers = {names.get(n, n): names.get(layer, layer) for n, layer in state.layers.items()}
    state.precisions = {names.get(n, n): precision for n, precision in state.precisions.items()}
    state.grids = {names.get(n, n): grid for n, grid in state.grids.items()}
    state.declined = [replace(d, subject=names.get(d.subject, d.subject)) for d in state.declined]
    state.exits[number] = replace(item, name=new, output=names.get(item.output, item.output))


def set_thresholds(graph: gs.Graph, thresholds: Sequence[float]) -> None:
    """Write the thresholds of the early exits, shallow to deep, into the state of ``graph``."""
    exits = state_of(graph).exits
    early = [replace(e, threshold=float(t)) for e, t in zip(exits[:-1], thresholds, strict=True)]
    state_of(graph).exits = [*early, exits[-1]]
