"""Canonical rules for the end of the network: logits without Softmax."""

from __future__ import annotations

from dataclasses import replace

import onnx_graphsurgeon as gs

from passes.operator_sets import RESHAPES
from passes.rewrite.rewriter import Rewriter, detach, dims


def softmax_last(rw: Rewriter, node: gs.Node) -> bool:
    """A Softmax over the one axis longer than 1 moves behind the view of it as [1, classes]."""
    data, result = node.inputs[0], node.outputs[0]
    wide = [axis for axis, d in enumerate(dims(data)) if d != 1]
    if (
        not rw.sole_reader(result)
        or len(wide) != 1
        or node.attrs.get("axis", -1) % len(dims(data)) != wide[0]
    ):
        return False
    view = result.outputs[0]
    if view.op not in RESHAPES or dims(view.outputs[0]) != (1, dims(data)[wide[0]]):
        return False
    final = view.outputs[0]
    flat = rw.variable(f"{final.name}_logits", dims(final), final.dtype)
    view.inputs[0] = data
    view.outputs = [flat]
    node.inputs, node.outputs = [flat], [final]
    node.attrs["axis"] = 1
    return True


def set_softmax_apart(rw: Rewriter, node: gs.Node) -> bool:
    """A Softmax or LogSoftmax at an output goes, if all outputs are alike; its input, the logits, is one."""
    logits, result = node.inputs[0], node.outputs[0]
    if not rw.is_output(result):
        return False
    shape = dims(logits)
    if len(shape) != 2 or node.attrs.get("axis", -1) % 2 != 1:
        return rw.decline(
            node, f"its input {list(shape)} is not [batch, classes]: not the logits of a classifier"
        )
    if result.outputs or rw.is_input(logits):
        return rw.decline(node, "the network goes on behind it")
    if len({dims(output) for output in rw.graph.outputs}) != 1:
        return rw.decline(node, "outputs of other shapes stand beside it: they may be no logits")
    outputs: list[gs.Tensor] = []
    for output in rw.graph.outputs:
        kept = logits if output is result else output
        if not any(kept is other for other in outputs):
            outputs.append(kept)
    rw.graph.outputs = outputs
    exits = rw.state.exits
    rw.state.exits = [replace(e, output=logits.name) if e.output == result.name else e for e in exits]
    rw.state.softmax = True
    detach(node)
    return True
