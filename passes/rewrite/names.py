"""Names of nodes and tensors: what passes add never has a name that something in the file has."""

from __future__ import annotations

from collections.abc import Collection

import onnx_graphsurgeon as gs

from passes.state import state_of


class Names:
    """The names of one graph, of nodes and tensors alike, bodies included."""

    def __init__(self, graph: gs.Graph) -> None:
        self._taken: set[str] = set()
        self._add(graph)

    def _add(self, graph: gs.Graph) -> None:
        self._taken.update(t.name for t in (*graph.inputs, *graph.outputs))
        for node in graph.nodes:
            self._taken.add(node.name)
            self._taken.update(t.name for t in (*node.inputs, *node.outputs))
            for body in node.subgraphs():
                self._add(body)

    def fresh(self, stem: str) -> str:
        """Return ``stem``, or ``stem_2`` …: a name that nothing has, and reserve it."""
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name


def make_way(graph: gs.Graph, stem: str, own: Collection[str] = ()) -> None:
    """Give other names to what is called ``stem`` or ``stem/…``, which an exit is about to be called.

    What nodes of the user's file were called stays known as their origin. Inputs and outputs of the network
    keep their names.

    Args:
        graph: A flat graph.
        stem: Name of the exit.
        own: Nodes that may keep such names.
    """
    names = Names(graph)
    kept = {t.name for t in (*graph.inputs, *graph.outputs)}

    def in_the_way(name: str) -> bool:
        return name not in kept and (name == stem or name.startswith(f"{stem}/"))

    nodes: dict[str, str] = {}
    moved: dict[str, str] = {}
    for node in graph.nodes:
        if node.name in own:
            continue
        if node.name == stem or node.name.startswith(f"{stem}/"):
            nodes[node.name] = node.name = names.fresh(f"user/{node.name}")
        tensors = [*node.outputs, *(t for t in node.inputs if isinstance(t, gs.Constant))]
        for tensor in tensors:
            if in_the_way(tensor.name):
                moved[tensor.name] = tensor.name = names.fresh(f"user/{tensor.name}")
    if nodes or moved:
        state_of(graph).rename(nodes, moved)
