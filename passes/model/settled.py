"""An ``If`` whose condition is known before any image is: the body that runs takes its place."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from passes.model import constants
from passes.model.bodies import move_out, replace_reads
from passes.model.constants import Array


def settle_ifs(graph: gs.Graph, opset: int) -> bool:
    """Put the body that runs in the place of each ``If``, in bodies too, whose condition is known.

    The condition may follow from constants and from static shapes, as exporters write the choice whether an
    axis of length 1 goes. Shapes behind them may be other, or known, only now.

    Returns:
        Whether there was one.
    """
    found = False
    for node in list(graph.nodes):
        condition = _known(node.inputs[0], {}, opset) if node.op == "If" else None
        if condition is None:
            for inner in node.subgraphs():
                found |= settle_ifs(inner, opset)
            continue
        found = True
        body = node.attrs["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
        settle_ifs(body, opset)
        move_out(graph, node, body, "body")
        graph.nodes.remove(node)
        for taken, result in zip(list(node.outputs), body.outputs, strict=True):
            replace_reads(graph, taken, result)
        node.inputs.clear()
        node.outputs.clear()
    return found


def _known(tensor: gs.Tensor, found: dict[int, Array | None], opset: int) -> Array | None:
    """Return the values of ``tensor`` where they follow from constants and static shapes."""
    if (values := constants.value_of(tensor)) is not None:
        return None if constants.is_symbolic(values) else values
    if id(tensor) not in found:
        found[id(tensor)] = _computed(tensor, found, opset)
    return found[id(tensor)]


def _computed(tensor: gs.Tensor, found: dict[int, Array | None], opset: int) -> Array | None:
    node = tensor.inputs[0] if tensor.inputs else None
    if node is None or node.op in constants.KEPT:
        return None
    inputs: list[gs.Tensor] = []
    for index, given in enumerate(node.inputs):
        values = None if given.is_empty() or node.op in ("Shape", "Size") else _known(given, found, opset)
        # Copies: tensors list their readers.
        plain = gs.Variable(f"in_{index}" if given.name else "", given.dtype, given.shape)
        inputs.append(plain if values is None else gs.Constant(f"in_{index}", values))
    outputs = [gs.Variable(t.name, t.dtype, t.shape) for t in node.outputs]
    alone = gs.Node(node.op, node.name, dict(node.attrs), inputs, outputs)
    results = constants.evaluated(alone, opset) if constants.is_known(alone) else None
    return None if results is None else results[[t is tensor for t in node.outputs].index(True)]
