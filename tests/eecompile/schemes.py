"""Precisions for graphs that no target has seen."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_graphsurgeon as gs

from passes.integers.schemes import scheme
from passes.operator_sets import QUANTIZED_LINEAR
from passes.state import state_of


def assign(graph: gs.Graph, name: str = "int8-pow2", others: Mapping[str, str] | None = None) -> None:
    """Give every node the precision of scheme ``name``, or of that which ``others`` has for it."""
    state_of(graph).precisions = {
        node.name: scheme((others or {}).get(node.name, name)).precision(node.op in QUANTIZED_LINEAR)
        for node in graph.nodes
    }
