"""Exits that add to their logits those of the exit before (Wołczyk et al., Zero Time Waste, NeurIPS 2021)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.exits.chain import ancestors, order_outputs
from passes.model.graph import tidy
from passes.rewrite.names import Names
from passes.state import copy_graph, state_of


def recycle_answers(graph: gs.Graph, weights: Sequence[float]) -> None:
    """Let each exit behind the first answer by its own logits plus those of the exit before, weighted.

    What the exit before had of its own counts, not what it took over. Outputs keep their names.

    Args:
        graph: A flat network with exits, changed in place.
        weights: One for each exit but the first, the final one included; 0 leaves an exit as it is.

    Raises:
        ValueError: There are not so many exits, or one with a weight reads another exit already.
    """
    state, names = state_of(graph), Names(graph)
    if len(weights) != len(state.exits) - 1:
        raise ValueError(f"{len(weights)} weights for {len(state.exits)} exits")
    tensors = graph.tensors()
    own = [tensors[item.output] for item in state.exits]
    found = state.exits[:1]
    for number, ((before, item), weight) in enumerate(
        zip(itertools.pairwise(state.exits), weights, strict=True), 1
    ):
        if not weight:
            found.append(item)
            continue
        if item.reads:
            raise ValueError(f"exit '{item.name}' reads '{item.reads}' already")
        earlier, logits = own[number - 1], own[number]
        answer = gs.Variable(logits.name, logits.dtype, logits.shape)
        logits.name = names.fresh(f"{item.name}/own")
        weighed = gs.Variable(names.fresh(f"{item.name}/weighed"), logits.dtype, earlier.shape)
        factor = gs.Constant(names.fresh(f"{item.name}/weight"), np.asarray(weight, logits.dtype))
        nodes = [
            gs.Node("Mul", names.fresh(f"{item.name}/weigh"), {}, [earlier, factor], [weighed]),
            gs.Node("Add", names.fresh(f"{item.name}/recycle"), {}, [logits, weighed], [answer]),
        ]
        graph.nodes.extend(nodes)
        state.origins.update((node.name, ()) for node in nodes)
        graph.outputs = [answer if tensor is logits else tensor for tensor in graph.outputs]
        found.append(replace(item, reads=before.name))
    state.exits = found
    order_outputs(graph)
    graph.toposort()


def final_alone(graph: gs.Graph) -> gs.Graph:
    """Return a copy whose final exit answers by its own logits, whatever it takes over of other exits.

    ``graph`` itself if it takes over nothing. Early exits stay as they are.

    Raises:
        InputError: What it takes over is not simply added to its own logits.
    """
    if not state_of(graph).exits[-1].reads:
        return graph
    clone = copy_graph(graph)
    state = state_of(clone)
    outputs = {tensor.name: tensor for tensor in clone.outputs}
    early = ancestors([outputs[item.output] for item in state.exits[:-1]])
    final = state.exits[-1]
    logits = outputs[final.output]
    added = logits.inputs[0]
    own = [tensor for tensor in added.inputs if _before(tensor) - early]
    if added.op != "Add" or len(added.inputs) != 2 or len(own) != 1:
        raise InputError(
            f"exit '{final.name}' reads '{final.reads}', and cannot do without",
            "make the run without `recycle`",
        )
    clone.outputs = [own[0] if tensor is logits else tensor for tensor in clone.outputs]
    clone.nodes.remove(added)
    added.inputs.clear()
    added.outputs.clear()
    state.rename({}, {own[0].name: logits.name})
    own[0].name = logits.name
    state.exits[-1] = replace(final, reads="")
    tidy(clone)
    left = {node.name for node in clone.nodes}
    state.layers = {name: layer for name, layer in state.layers.items() if name in left}
    state.precisions = {name: precision for name, precision in state.precisions.items() if name in left}
    state.origins = {name: origin for name, origin in state.origins.items() if name in left}
    return clone


def _before(tensor: gs.Tensor) -> set[str]:
    """Return the names of the nodes before the one that makes ``tensor``, as that may only weigh."""
    return ancestors([tensor]) - {node.name for node in tensor.inputs}
