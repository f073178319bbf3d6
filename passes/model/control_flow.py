"""``If`` as an early exit: its two ways on are outputs of one flat network, beside each other.

Others write early exits as the runtime runs them: behind an exit stands an ``If`` one of whose bodies hands
on the exit's answer, while the other is the rest of the network, perhaps with the next ``If`` inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.operator_sets import LINEAR, RECURRENT
from passes.state import decline, state_of

NEW_CONDITION = "read as an early exit: it leaves where its confidence reaches a threshold"
OTHER_CONDITION = "read as an early exit for its cost alone: its condition is no comparison with a constant"
_COMPARISONS = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_BESIDE = {"Cast", "Identity", "Not", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class _Ways:
    """The bodies of an ``If``: the one that leaves and the one that goes on."""

    leave: gs.Graph
    go_on: gs.Graph


def flatten_exits(graph: gs.Graph, pass_name: str) -> bool:
    """Lay the bodies of every ``If`` that is an early exit out in ``graph``; return whether there was one.

    1. One body has no layer with weights, the other has.
    2. The results of the ``If`` are the outputs of the network.
    3. The outputs are then the logits of each way, shallow to deep; other results, and what only the
       condition needs, are left out.

    What is no early exit stays as it is; :func:`why_no_exit` says why.
    """
    found = False
    deepest = list(graph.outputs)
    exits: list[gs.Tensor] = []
    while (node := _next_if(deepest)) is not None:
        ways = _ways(node)
        index = _logits_index(node, deepest)
        if ways is None or index is None:
            break
        found = True
        comparable = _compares(node.inputs[0])
        decline(graph, pass_name, node.name, NEW_CONDITION if comparable else OTHER_CONDITION)
        for body, way in ((ways.leave, "leave"), (ways.go_on, "go_on")):
            _move_out(graph, node, body, way)
        for tensor in deepest:
            if tensor is not node.outputs[index]:
                decline(graph, pass_name, tensor.name, "stands beside the logits of an If: it is left out")
        exits.append(_handed_on(ways.leave.outputs[index]))
        deepest = [ways.go_on.outputs[index]]
        node.inputs.clear()
        node.outputs.clear()
        graph.nodes.remove(node)
    if found:
        graph.outputs = [*exits, *deepest]
        state = state_of(graph)
        for node in graph.nodes:
            state.origins.setdefault(node.name, (node.name,))
    return found


def why_no_exit(node: gs.Node) -> str:
    """Return one sentence why control flow is no early exit, with what its bodies hold."""
    if node.op != "If":
        return "what it costs depends on the image"
    counts = [_linear_layers(node.attrs[name]) for name in ("then_branch", "else_branch")]
    listed = " and ".join(str(count) for count in counts)
    if min(counts) > 0:
        return f"both its ways compute ({listed} layers with weights), and an exit hands on what is there"
    if max(counts) == 0:
        return "none of its ways has layers with weights, so it is no exit"
    return (
        f"its ways have {listed} layers with weights, but its results are not the outputs of the network, "
        "one of them logits"
    )


def check_thresholds_replaceable(graph: gs.Graph, where: str) -> None:
    """Refuse a network with an exit whose condition is not understood: thresholds would replace it.

    Raises:
        InputError: With the name of the ``If``.
    """
    for entry in state_of(graph).declined:
        if entry.reason == OTHER_CONDITION:
            raise InputError(
                f"{where}: the condition of If '{entry.subject}' is no comparison with a constant",
                "thresholds replace comparisons only (Greater, GreaterOrEqual, Less, LessOrEqual); without "
                "`data` the costs of its ways can be reported",
            )


def _next_if(outputs: list[gs.Tensor]) -> gs.Node | None:
    """Return the one ``If`` that writes ``outputs``, if any does."""
    writers = {id(t.inputs[0]): t.inputs[0] for t in outputs if t.inputs}
    ifs = [node for node in writers.values() if node.op == "If"]
    return ifs[0] if len(ifs) == 1 and len(writers) == 1 else None


def _ways(node: gs.Node) -> _Ways | None:
    then, otherwise = node.attrs["then_branch"], node.attrs["else_branch"]
    heavy = [_linear_layers(body) > 0 for body in (then, otherwise)]
    if heavy == [False, True]:
        return _Ways(then, otherwise)
    return _Ways(otherwise, then) if heavy == [True, False] else None


def _linear_layers(body: gs.Graph) -> int:
    own = sum(node.op in LINEAR or node.op in RECURRENT for node in body.nodes)
    return own + sum(_linear_layers(inner) for node in body.nodes for inner in node.subgraphs())


def _logits_index(node: gs.Node, wanted: list[gs.Tensor]) -> int | None:
    """Return which result is [1, classes]; None if none or several of those wanted are."""
    found = [
        index
        for index, tensor in enumerate(node.outputs)
        if any(tensor is t for t in wanted) and len(tensor.shape or ()) == 2 and tensor.shape[1] not in (0, 1)
    ]
    return found[0] if len(found) == 1 else None


def _compares(condition: gs.Tensor) -> bool:
    """Whether ``condition`` is one number compared with a constant, whatever its form."""
    while condition.inputs and condition.inputs[0].op in _BESIDE:
        condition = condition.inputs[0].inputs[0]
    if not condition.inputs or condition.inputs[0].op not in _COMPARISONS:
        return False
    return sum(_is_constant(t) for t in condition.inputs[0].inputs) == 1


def _is_constant(tensor: gs.Tensor) -> bool:
    while tensor.inputs and tensor.inputs[0].op in _BESIDE:
        tensor = tensor.inputs[0].inputs[0]
    return isinstance(tensor, gs.Constant) or bool(tensor.inputs and tensor.inputs[0].op == "Constant")


def _handed_on(tensor: gs.Tensor) -> gs.Tensor:
    while tensor.inputs and tensor.inputs[0].op == "Identity":
        tensor = tensor.inputs[0].inputs[0]
    return tensor


def _move_out(graph: gs.Graph, node: gs.Node, body: gs.Graph, way: str) -> None:
    """Append the nodes of ``body`` to ``graph``, under names of their own where theirs are taken."""
    nodes = {other.name for other in graph.nodes}
    taken = {tensor.name: id(tensor) for tensor in _tensors(graph.nodes)}
    taken |= {tensor.name: id(tensor) for tensor in graph.inputs}
    for number, inner in enumerate(body.nodes):
        if not inner.name or inner.name in nodes:
            inner.name = f"{node.name}/{way}/{inner.op.lower()}_{number}"
        nodes.add(inner.name)
    for tensor in _tensors(body.nodes):
        if taken.setdefault(tensor.name, id(tensor)) != id(tensor):
            tensor.name = f"{node.name}/{way}/{tensor.name}"
    graph.nodes.extend(body.nodes)


def _tensors(nodes: list[gs.Node]) -> Iterator[gs.Tensor]:
    seen: set[int] = set()
    for node in nodes:
        for tensor in (*node.inputs, *node.outputs):
            if id(tensor) not in seen and not tensor.is_empty():
                seen.add(id(tensor))
                yield tensor
