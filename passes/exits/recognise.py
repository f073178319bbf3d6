"""Which outputs are exits: from metadata, or recognised in a network that has several classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs

from passes.canonical.canonicalize import Canonicalize
from passes.errors import InputError
from passes.exits.chain import ancestors, final_exit, order_outputs
from passes.state import Exit, decline, state_of

_PICKS = {"ArgMax", "TopK"}
_VIEWS_OF_PICKS = {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_PICKING = {*_PICKS, *_VIEWS_OF_PICKS, "Softmax", "LogSoftmax"}


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
