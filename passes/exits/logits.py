"""The outputs of a classifier in their usual form, one tensor of logits [1, classes] each.

Exporters also write logits as [1, classes, 1, 1], [1, 1, classes] or [classes], list them twice, and put
labels (ArgMax, TopK), probabilities or embeddings beside them or in their place.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.canonicalize import Canonicalize
from passes.exits.chain import ancestors
from passes.operator_sets import RESHAPES
from passes.rewrite.rewriter import dims, producer_of
from passes.state import decline, state_of

_PICKS = {"ArgMax", "TopK"}
_SOFTMAX = {"Softmax", "LogSoftmax"}
_SAME_SCORES = RESHAPES | {"Identity", "Cast"}


def use_logits(graph: gs.Graph) -> None:
    """Let the outputs be logits where all of them can be; else all stay as they are, but none twice.

    1. An output listed twice is one.
    2. Outputs that say the same of the same scores (logits, their Softmax, ArgMax, TopK) are one; where
       only ArgMax or TopK are there, what they pick from is the output.
    3. Outputs on the way to others go, but for those that may be exits: they have the others' class count.
    4. [1, classes, 1, 1], [1, 1, classes] and [classes] are viewed as [1, classes], under their name.

    What is dropped is recorded as declined.
    """
    listed = graph.outputs
    graph.outputs = list({id(tensor): tensor for tensor in listed}.values())
    for tensor in graph.outputs:
        if sum(tensor is other for other in listed) > 1:
            decline(graph, "exits", tensor.name, "listed more than once: it is one output")
    reasons: dict[str, str] = {}
    ends = _on_the_way(_of_scores(graph.outputs, reasons), reasons)
    if ends is None or not _are_logits(ends):
        return
    same = len(ends) == len(graph.outputs) and all(a is b for a, b in zip(ends, graph.outputs, strict=True))
    if same and all(len(dims(tensor)) == 2 for tensor in ends):
        return
    for name, reason in reasons.items():
        decline(graph, "exits", name, reason)
    graph.outputs = [_viewed(graph, tensor) for tensor in ends]
    graph.cleanup(remove_unused_graph_inputs=False)
    if Canonicalize.name in state_of(graph).history:
        Canonicalize()(graph)  # a Softmax that ArgMax read, for one, can be set apart only now


def class_axis(tensor: gs.Tensor) -> int | None:
    """Return the one axis of ``tensor`` that is longer than 1, but not its batch; None without one."""
    shape = dims(tensor)
    wide = [axis for axis, size in enumerate(shape) if size != 1]
    return wide[0] if len(wide) == 1 and (wide[0] > 0 or len(shape) == 1) else None


def _are_logits(outputs: Sequence[gs.Tensor]) -> bool:
    """Whether all have one axis of classes, of one length."""
    axes = [class_axis(tensor) for tensor in outputs]
    counts = {dims(t)[axis] for t, axis in zip(outputs, axes, strict=True) if axis is not None}
    return bool(axes) and None not in axes and len(counts) == 1 and 0 not in counts


def _of_scores(outputs: Sequence[gs.Tensor], reasons: dict[str, str]) -> list[gs.Tensor] | None:
    """Return one output for all that say the same of the same scores; None if there is no such reading."""
    alike: dict[int, list[gs.Tensor]] = {}
    for tensor in outputs:
        alike.setdefault(id(_scores(tensor)), []).append(tensor)
    found, picked = [], 0
    for group in alike.values():
        pick = _made_by(group[0], _PICKS)
        computed = [tensor for tensor in group if _made_by(tensor, _PICKS) is None]
        if computed:
            # A Softmax is part of the network, whether its input is an output too or not.
            kept = max(computed, key=lambda tensor: _made_by(tensor, _SOFTMAX) is not None)
        elif pick is not None:
            kept = pick.inputs[0]
            picked += 1
        found.append(kept)
        for tensor in group:
            if tensor is not kept:
                what = (
                    "says the same of the same scores as" if tensor in computed else "picks from the logits"
                )
                reasons[tensor.name] = f"{what} '{kept.name}': no exit, the output is dropped"
    return None if 0 < picked < len(found) else found


def _scores(tensor: gs.Tensor) -> gs.Tensor:
    """Return what ``tensor`` is a view, a Softmax over the classes or a pick of; itself if of nothing."""
    while (node := producer_of(tensor)) is not None and node.inputs:
        source = node.inputs[0]
        if isinstance(source, gs.Constant) or source.is_empty() or source.shape is None:
            return tensor
        if node.op in _PICKS | _SOFTMAX:
            # TopK and Softmax count from the last axis, ArgMax from the first.
            axis = node.attrs.get("axis", 0 if node.op == "ArgMax" else -1)
            if class_axis(source) is None or axis % len(dims(source)) != class_axis(source):
                return tensor
        elif node.op not in _SAME_SCORES:
            return tensor
        tensor = source
    return tensor


def _made_by(tensor: gs.Tensor, ops: Set[str]) -> gs.Node | None:
    """Return the node of one of ``ops`` that ``tensor`` is the result of, or a view of it."""
    node = producer_of(tensor)
    while node is not None and node.op in _SAME_SCORES:
        node = producer_of(node.inputs[0])
    return node if node is not None and node.op in ops else None


def _on_the_way(outputs: list[gs.Tensor] | None, reasons: dict[str, str]) -> list[gs.Tensor] | None:
    """Return the outputs without those that others are computed from; None where these may be exits."""
    if outputs is None:
        return None
    needs = {id(tensor): ancestors([tensor]) for tensor in outputs}

    def feeds(tensor: gs.Tensor, other: gs.Tensor) -> bool:
        return any(reader.name in needs[id(other)] for reader in tensor.outputs)

    ends = [t for t in outputs if not any(feeds(t, other) for other in outputs)]
    for side in (t for t in outputs if not any(t is end for end in ends)):
        # One with the class count of the ends may be an exit that a deeper one reads.
        close = [end for end in ends if feeds(side, end) and dims(side) != dims(end)]
        if not close:
            return None
        reasons[side.name] = f"lies on the way to '{close[0].name}': no exit, the output is dropped"
    return ends


def _viewed(graph: gs.Graph, tensor: gs.Tensor) -> gs.Tensor:
    """Return ``tensor``, or a view of it as [1, classes] that has its name."""
    shape = dims(tensor)
    if len(shape) == 2:
        return tensor
    taken = {name for node in graph.nodes for name in (node.name, *(t.name for t in node.outputs))}
    flat = gs.Variable(tensor.name, tensor.dtype, [1, max(shape)])
    inner = f"{tensor.name}_unviewed"
    while inner in taken:
        inner += "_"
    tensor.name = inner
    if len(shape) > 1:
        node = gs.Node("Flatten", f"{inner}_flatten", {"axis": 1}, [tensor], [flat])
    else:
        target = gs.Constant(f"{inner}_shape", np.array((1, *shape), np.int64))
        node = gs.Node("Reshape", f"{inner}_reshape", {}, [tensor, target], [flat])
    graph.nodes.append(node)
    state_of(graph).origins[node.name] = ()
    return flat
