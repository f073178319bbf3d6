"""``If`` as an early exit: its two ways on are outputs of one flat network, beside each other.

Others write early exits as the runtime runs them: behind an exit stands an ``If`` one of whose bodies hands
on the exit's answer, while the other is the rest of the network, perhaps with the next ``If`` inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.model.bodies import ancestors, copy_behind, linear_layers, macs, move_out, twins
from passes.model.conditions import Condition, number, read_condition
from passes.state import Leaving, decline, state_of

NEW_CONDITION = "read as an early exit: it leaves where its confidence reaches a threshold"
OTHER_RULE = "read as an early exit, its threshold not taken over"
COST_ALONE = "read as an early exit for its cost alone: "
OTHER_CONDITION = f"{COST_ALONE}its condition is no comparison with a constant"


@dataclass(frozen=True)
class _Ways:
    """The two ways on from an ``If``.

    Attributes:
        node: The ``If``.
        leave: The body that leaves.
        go_on: The body that is the rest of the network.
        behind: Nodes that read its results, each behind those it reads.
        index: Which of the tensors at the end are the logits.
        apart: What is said of layers with weights that only the body that leaves has; empty if none.
    """

    node: gs.Node
    leave: gs.Graph
    go_on: gs.Graph
    behind: tuple[gs.Node, ...]
    index: int
    apart: str


def lay_out_exit(graph: gs.Graph, pass_name: str) -> bool:
    """Lay the bodies of the outermost ``If`` that is an early exit out in ``graph``; return whether one was.

    1. A body has layers with weights that the network does not run before it. It is the rest of the network;
       if both have some, the body with fewer MACs leaves, and the exit is *apart*: nothing of it is there
       before it is taken.
    2. What follows the ``If`` has no weights: it follows each of its ways.
    3. The outputs are then the logits of each exit laid out so far, shallow to deep, and those of the rest;
       other results, and what only the condition needs, are left out.
    4. How the exits decide is in the state (``leavings``), the condition being understood.

    What is no early exit stays as it is; why is recorded, and :func:`why_no_exit` says it.

    Args:
        graph: Static shapes, those of nodes that were laid out included.
        pass_name: Under which the reason is recorded.
    """
    state = state_of(graph)
    exits, end = graph.outputs[: len(state.leavings)], graph.outputs[len(state.leavings) :]
    node = _first_if(graph, end)
    if node is None:
        return False
    ways = _ways(node, graph, exits, end)
    if isinstance(ways, str):
        decline(graph, pass_name, node.name, ways)
        return False
    leaves_if = ways.leave is node.attrs["then_branch"]
    condition = node.inputs[0]
    left, deep = _lay_out(graph, ways, end, pass_name)
    asks = Condition(False) if ways.apart else read_condition(condition, leaves_if, left, graph.opset)
    decline(graph, pass_name, node.name, ways.apart or _said(asks))
    own = Leaving(apart=bool(ways.apart))
    state.leavings.append(own if asks.rule is None else Leaving(asks.rule, asks.threshold))
    graph.outputs = [*exits, left, deep]
    for made in graph.nodes:
        state.origins.setdefault(made.name, (made.name,))
    return True


def _said(asks: Condition) -> str:
    if not asks.compares:
        return OTHER_CONDITION
    if asks.rule is None:
        return f"{OTHER_RULE}: {asks.reason}"
    return f"{NEW_CONDITION} ({asks.rule.name} {asks.threshold:.6g})"


def why_no_exit(graph: gs.Graph, node: gs.Node) -> str:
    """Return one sentence why control flow is no early exit, with what its bodies hold."""
    if node.op == "If":
        told = [entry.reason for entry in state_of(graph).declined if entry.subject == node.name]
        return told[-1] if told else "it stands behind or inside of an If that is no exit"
    body = node.attrs["body"]
    held = f"its body ({_weighed(body.nodes)})"
    rounds = _rounds(node)
    if rounds is None:
        return f"how often {held} runs depends on the image"
    return f"{held} runs {rounds} times, and layers are costed that each run once"


def way_out(node: gs.Node) -> str:
    """Return what to do about control flow that is not taken."""
    if node.op == "If":
        return "export the network without it; of an early-exit network give the flat model.exits.onnx"
    return "export the network with the loop unrolled, or without it"


def _rounds(node: gs.Node) -> int | None:
    """Return how often the body of a loop runs, if that is known."""
    if node.op == "Scan":
        given = int(node.attrs["num_scan_inputs"])
        axes = node.attrs.get("scan_input_axes", [0] * given)
        return int(node.inputs[len(node.inputs) - given].shape[axes[0]])
    count = node.inputs[0]
    rounds = None if count.is_empty() else number(count)
    return int(rounds) if rounds is not None and _always_goes_on(node) else None


def _always_goes_on(loop: gs.Node) -> bool:
    """Whether no round of a loop ends it: its condition is true, or handed on as it was from the start."""
    keep = loop.attrs["body"].outputs[0]
    while keep.inputs and keep.inputs[0].op in ("Identity", "Cast"):
        keep = keep.inputs[0].inputs[0]
    first = loop.inputs[1] if len(loop.inputs) > 1 else None
    starts = first is None or first.is_empty() or bool(number(first))
    return starts and (bool(number(keep)) or any(keep is given for given in loop.attrs["body"].inputs[1:2]))


def check_thresholds_replaceable(graph: gs.Graph, where: str) -> None:
    """Refuse a network with an exit whose condition is not understood: thresholds would replace it.

    Raises:
        InputError: With the name of the ``If``.
    """
    for entry in state_of(graph).declined:
        if entry.reason.startswith(COST_ALONE):
            raise InputError(
                f"{where}: If '{entry.subject}' is {entry.reason}",
                "thresholds on the logits of an exit replace comparisons (Greater, GreaterOrEqual, Less, "
                "LessOrEqual) behind these logits; without `data` the costs of its ways can be reported",
            )


def _first_if(graph: gs.Graph, end: Sequence[gs.Tensor]) -> gs.Node | None:
    """Return the first ``If`` that ``end`` needs and that needs none itself."""
    needed = ancestors(end)
    ifs = [node for node in graph.nodes if node.op == "If" and id(node) in needed]
    return next((n for n in ifs if not any(n is not o and id(o) in ancestors(n.outputs) for o in ifs)), None)


def _ways(
    node: gs.Node, graph: gs.Graph, exits: Sequence[gs.Tensor], end: Sequence[gs.Tensor]
) -> _Ways | str:
    """Return the ways on from ``node``, or why it is no early exit.

    Args:
        node: An ``If``.
        graph: The network.
        exits: The logits of the exits before it.
        end: The tensors in which the network ends if no exit is taken.
    """
    bodies = node.attrs["then_branch"], node.attrs["else_branch"]
    held = " and ".join(_weighed(body.nodes) for body in bodies)
    # What is computed before it anyway takes no work.
    there = [twins(graph, body) for body in bodies]
    own = [[n for n in body.nodes if id(n) not in known] for body, known in zip(bodies, there, strict=True)]
    computing = [linear_layers(nodes) > 0 for nodes in own]
    if computing == [False, False]:
        return f"none of its ways has layers with weights of its own ({held}), so it is no exit"
    branches = [_has_bodies(body.nodes) for body in bodies]
    if all(branches):
        return f"both its ways go on to another ({held}), so none is an exit"
    work = [known for nodes in own if (known := macs(nodes)) is not None]
    if len(work) < len(own):
        work = [linear_layers(nodes) for nodes in own]
    weights = list(zip(branches, computing, work, strict=True))
    leave, go_on = bodies if weights[0] <= weights[1] else bodies[::-1]
    behind = [n for n in tuple(ancestors(end).values()) if n is not node and id(node) in _needs(n)]
    if linear_layers(behind) or _has_bodies(behind):
        return (
            f"{_weighed(behind)} follow it whichever way is taken ({held}): it skips a part of the network, "
            "and behind an exit nothing is left to do"
        )
    made = {id(t) for n in (node, *behind) for t in n.outputs}
    answers = [index for index, tensor in enumerate(end) if id(tensor) in made]
    if len(answers) > 1:
        answers = [i for i in answers if len(end[i].shape or ()) == 2 and end[i].shape[1] not in (0, 1)]
    if len(answers) != 1 or not all(_handed_on(t).inputs for t in _results(node, leave, end[answers[0]])):
        return f"its ways have {held}, but its results are not the outputs of the network, one of them logits"
    read = [*exits, *leave.outputs, *go_on.outputs, *(t for n in behind for t in n.inputs)]
    read += [t for known in there for twin in known.values() for t in twin.outputs]
    run = ancestors(read, but=node)
    beside = ancestors(t for t in end if id(t) not in made)
    for what, extra in (("outputs beside its logits", beside), ("its condition", ancestors(node.inputs))):
        alone = [n for n in extra.values() if id(n) not in run]
        if linear_layers(alone):
            return f"{what} needs {_weighed(alone)} that none of its ways needs ({held})"
    order = {id(n): position for position, n in enumerate(graph.nodes)}
    behind.sort(key=lambda n: order[id(n)])
    apart = (
        f"{COST_ALONE}its answer is computed only where an input leaves ({held} in its ways), so no "
        "threshold of it decides; the decision is costed as that of other exits"
    )
    return _Ways(node, leave, go_on, tuple(behind), answers[0], apart if all(computing) else "")


def _has_bodies(nodes: Iterable[gs.Node]) -> bool:
    return any(next(iter(node.subgraphs()), None) is not None for node in nodes)


def _weighed(nodes: Iterable[gs.Node]) -> str:
    nodes = list(nodes)
    layers, work = linear_layers(nodes), macs(nodes)
    named = f"{layers} layer{'' if layers == 1 else 's'} with weights"
    return named if work is None else f"{named}, {work:,} MACs"


def _needs(node: gs.Node) -> dict[int, gs.Node]:
    """Return what ``node`` needs."""
    return ancestors(node.outputs)


def _results(node: gs.Node, body: gs.Graph, tensor: gs.Tensor) -> list[gs.Tensor]:
    """Return what ``body`` gives for ``tensor``, if that is a result of ``node``."""
    return [inner for outer, inner in zip(node.outputs, body.outputs, strict=True) if outer is tensor]


def _lay_out(
    graph: gs.Graph, ways: _Ways, end: Sequence[gs.Tensor], pass_name: str
) -> tuple[gs.Tensor, gs.Tensor]:
    """Lay out both ways in ``graph``; return what the exit answers, and what the rest of the network does."""
    node, logits = ways.node, end[ways.index]
    for tensor in end:
        if tensor is not logits:
            decline(graph, pass_name, tensor.name, "stands beside the logits of an If: it is left out")
    for body, way in ((ways.leave, "leave"), (ways.go_on, "go_on")):
        move_out(graph, node, body, way)
    given = {id(t): left for t, left in zip(node.outputs, ways.leave.outputs, strict=True)}
    left = copy_behind(graph, ways.behind, given, f"{node.name}/leave")[id(logits)]
    for tensor, result in zip(node.outputs, ways.go_on.outputs, strict=True):
        for reader in list(tensor.outputs):
            reader.inputs = [result if read is tensor else read for read in reader.inputs]
    deep = _results(node, ways.go_on, logits) or [logits]
    node.inputs.clear()
    node.outputs.clear()
    graph.nodes.remove(node)
    return _handed_on(left), deep[0]


def _handed_on(tensor: gs.Tensor) -> gs.Tensor:
    while tensor.inputs and tensor.inputs[0].op == "Identity":
        tensor = tensor.inputs[0].inputs[0]
    return tensor
