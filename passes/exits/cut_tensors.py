"""Where a network can be cut in two: tensors that alone separate its input from its final logits."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from passes.exits.chain import ancestors
from passes.state import state_of


def cut_tensors(graph: gs.Graph) -> list[gs.Variable]:
    """Return the tensors without which the final logits could not be had from the input, first to last.

    The input is the first of them; the logits themselves are not there. Whatever lies behind one of them
    needs nothing else of what lies before it. Only tensors of one image, [1, ...] of known sizes, are told.

    Args:
        graph: A flat network; its exits are in its state, the final one last.
    """
    logits = final_logits(graph)
    on_the_way = ancestors([logits])
    found = list(graph.inputs)
    found += [tensor for node in graph.nodes if node.name in on_the_way for tensor in node.outputs]
    sources = {tensor.name for tensor in graph.inputs}
    return [
        tensor
        for tensor in found
        if tensor is not logits and _is_of_one_image(tensor) and not _reaches(logits, sources, tensor)
    ]


def final_logits(graph: gs.Graph) -> gs.Tensor:
    """Return the logits of the final exit, or the last output of a network without exits."""
    exits = state_of(graph).exits
    return next((t for t in graph.outputs if exits and t.name == exits[-1].output), graph.outputs[-1])


def nodes_before(graph: gs.Graph, tensor: str) -> frozenset[str]:
    """Return the names of the nodes that ``tensor`` depends on."""
    return frozenset(ancestors([graph.tensors()[tensor]]))


def _is_of_one_image(tensor: gs.Tensor) -> bool:
    shape = tensor.shape
    sizes = shape is not None and all(isinstance(size, int) for size in shape)
    return bool(sizes and len(shape) > 1 and shape[0] == 1)


def _reaches(logits: gs.Tensor, sources: set[str], without: gs.Tensor) -> bool:
    """Return whether the logits still depend on a source if ``without`` is taken away."""
    pending, seen = [logits], {id(logits)}
    while pending:
        tensor = pending.pop()
        if tensor.name in sources and tensor is not without:
            return True
        for node in tensor.inputs if tensor is not without else ():
            for read in node.inputs:
                if isinstance(read, gs.Variable) and id(read) not in seen:
                    seen.add(id(read))
                    pending.append(read)
    return False
