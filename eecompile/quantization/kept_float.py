"""Layers that are kept in float while all others are quantized: which nodes they are, and their names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_graphsurgeon as gs

from passes.errors import InputError, did_you_mean
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.target import Target


def layers_of(graph: gs.Graph, target: Target) -> dict[str, str]:
    """Return node name -> name of its layer on ``target``; ``graph`` is not changed."""
    named = copy_graph(graph)
    parse_pipeline(target.pipeline(quantized=False))(named)
    return dict(state_of(named).layers)


def nodes_of(graph: gs.Graph, layers: dict[str, str], kept: Sequence[str]) -> frozenset[str]:
    """Return the names of the nodes of layers that are kept in float.

    Layers that share weights are kept together: the file has them once.

    Args:
        graph: A float graph.
        layers: Node name -> name of its layer.
        kept: Names of layers.

    Raises:
        InputError: No such layer.
    """
    known = sorted(set(layers.values()))
    for name in kept:
        if name not in known:
            raise InputError(
                f"`keep_float` names '{name}', and no layer is called so",
                f"{did_you_mean(name, known)}; `eecompile inspect` lists them",
            )
    found = {node for node, layer in layers.items() if layer in kept}
    linear = [node for node in graph.nodes if node.op in QUANTIZED_LINEAR]
    shared = {id(node.inputs[1]) for node in linear if node.name in found}
    return frozenset(found | {node.name for node in linear if id(node.inputs[1]) in shared})


def keep_float(graph: gs.Graph, nodes: Collection[str]) -> None:
    """Take from ``nodes`` the numbers their core computes with: calibration then leaves them in float."""
    precisions = state_of(graph).precisions
    state_of(graph).precisions = {name: found for name, found in precisions.items() if name not in nodes}
