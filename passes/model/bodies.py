"""The bodies of control flow: what they hold, and how their nodes come out of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx_graphsurgeon as gs

from passes.macs import has_shapes, node_macs
from passes.model import constants
from passes.operator_sets import LINEAR, RECURRENT


def linear_layers(nodes: Iterable[gs.Node]) -> int:
    """Return how many nodes have weights to multiply by, those in bodies counted."""
    found = 0
    for node in nodes:
        found += node.op in LINEAR or node.op in RECURRENT or node.op == "Einsum"
        found += sum(linear_layers(body.nodes) for body in node.subgraphs())
    return found


def macs(nodes: Iterable[gs.Node]) -> int | None:
    """Return the multiply-accumulates of ``nodes``; of an ``If`` those of the way that has most.

    ``None`` where shapes in bodies are not known, as they follow from what lies outside.
    """
    found = 0
    for node in nodes:
        inner = [n for body in node.subgraphs(recursive=True) for n in body.nodes]
        if not all(has_shapes(n) for n in (node, *inner) if linear_layers([n])):
            return None
        found += node_macs(node)
    return found


def ancestors(tensors: Iterable[gs.Tensor], but: gs.Node | None = None) -> dict[int, gs.Node]:
    """Return the nodes that ``tensors`` need, by their identity; what bodies read from outside counts.

    ``but`` and what it alone needs are left out.
    """
    found: dict[int, gs.Node] = {}
    pending = [node for tensor in tensors for node in tensor.inputs]
    while pending:
        node = pending.pop()
        if id(node) in found or node is but:
            continue
        found[id(node)] = node
        bodies = list(node.subgraphs(recursive=True))
        read = [t for inner in (node, *(n for body in bodies for n in body.nodes)) for t in inner.inputs]
        pending.extend(p for t in (*read, *(t for body in bodies for t in body.outputs)) for p in t.inputs)
    return found


def twins(graph: gs.Graph, body: gs.Graph) -> dict[int, gs.Node]:
    """Return the nodes of ``graph`` that compute what nodes of ``body`` do, by the identity of the latter."""
    made = _Made(graph.nodes)
    found = {id(node): made.twin(node) for node in body.nodes}
    return {key: twin for key, twin in found.items() if twin is not None}


def move_out(graph: gs.Graph, node: gs.Node, body: gs.Graph, way: str) -> None:
    """Append the nodes of ``body`` to ``graph``, under names of their own where theirs are taken.

    A node that computes what one of ``graph`` does already is left out, and its readers read that.
    """
    nodes = {other.name for other in graph.nodes}
    taken = {tensor.name: id(tensor) for tensor in _tensors(graph.nodes)}
    taken |= {tensor.name: id(tensor) for tensor in graph.inputs}
    for number, inner in enumerate(body.nodes):
        if not inner.name or inner.name in nodes:
            inner.name = _fresh(nodes, f"{node.name}/{way}/{inner.op.lower()}_{number}")
        nodes.add(inner.name)
    for tensor in [*_tensors(body.nodes), *body.outputs]:
        if taken.setdefault(tensor.name, id(tensor)) != id(tensor):
            tensor.name = _fresh(taken, f"{node.name}/{way}/{tensor.name}")
            taken[tensor.name] = id(tensor)
    made = _Made(graph.nodes)
    for inner in body.nodes:
        twin = made.twin(inner)
        if twin is None:
            graph.nodes.append(inner)
            made.add(inner)
            continue
        for old, new in zip(inner.outputs, twin.outputs, strict=True):
            _read_instead((graph, body), old, new)
        inner.inputs.clear()
        inner.outputs.clear()


def merge_clips(graph: gs.Graph) -> None:
    """Let all that reads one of equal Clips read the first: heads of nested networks have their own."""
    made = _Made([])
    for node in graph.nodes:
        twin = made.twin(node) if node.op == "Clip" else None
        if twin is None:
            made.add(node)
        elif not any(t is output for t in node.outputs for output in graph.outputs):
            _read_instead((graph,), node.outputs[0], twin.outputs[0])


def copy_behind(
    graph: gs.Graph, nodes: Iterable[gs.Node], instead: Mapping[int, gs.Tensor], stem: str
) -> dict[int, gs.Tensor]:
    """Append copies of ``nodes`` (each behind what it reads) that read other tensors than they do.

    Returns:
        What stands for which tensor, by its identity: ``instead`` and what the copies write.
    """
    names = {node.name for node in graph.nodes}
    tensors = {tensor.name for tensor in _tensors(graph.nodes)}
    known = dict(instead)
    for node in nodes:
        outputs = []
        for tensor in node.outputs:
            twin = gs.Variable(_fresh(tensors, f"{stem}/{tensor.name}"), tensor.dtype, tensor.shape)
            tensors.add(twin.name)
            known[id(tensor)] = twin
            outputs.append(twin)
        inputs = [known.get(id(tensor), tensor) for tensor in node.inputs]
        name = _fresh(names, f"{stem}/{node.name}")
        names.add(name)
        graph.nodes.append(gs.Node(node.op, name, dict(node.attrs), inputs, outputs))
    return known


def replace_reads(graph: gs.Graph, old: gs.Tensor, new: gs.Tensor) -> None:
    """Let all that reads ``old``, bodies and outputs included, read ``new``; an output keeps its name."""
    if any(tensor is old for tensor in graph.outputs):
        if new.inputs and not any(new is tensor for tensor in graph.outputs):
            old.name, new.name = f"{old.name}/chosen", old.name
        else:
            named = gs.Variable(old.name, old.dtype, old.shape)
            old.name = f"{old.name}/chosen"
            graph.nodes.append(gs.Node("Identity", f"{named.name}/chosen", {}, [new], [named]))
            graph.outputs = [named if tensor is old else tensor for tensor in graph.outputs]
    _read_instead((graph,), old, new)


def _read_instead(graphs: Iterable[gs.Graph], old: gs.Tensor, new: gs.Tensor) -> None:
    for reader in list(old.outputs):
        reader.inputs = [new if tensor is old else tensor for tensor in reader.inputs]
    for graph in graphs:
        for body in (graph, *(b for node in graph.nodes for b in node.subgraphs(recursive=True))):
            if any(tensor is old for tensor in body.outputs):
                body.outputs = [new if tensor is old else tensor for tensor in body.outputs]


class _Made:
    """Nodes by what they compute."""

    def __init__(self, nodes: Iterable[gs.Node]) -> None:
        self._constants: dict[tuple[object, ...], int] = {}
        self._known: dict[tuple[object, ...], list[gs.Node]] = {}
        self._same: dict[int, int] = {}
        for node in nodes:
            self.add(node)

    def add(self, node: gs.Node) -> None:
        self._known.setdefault(self._key(node), []).append(node)

    def twin(self, node: gs.Node) -> gs.Node | None:
        """Return a node with the same results as ``node``, which are then taken for those."""
        if node.op in constants.RANDOM or next(iter(node.subgraphs()), None) is not None:
            return None
        for other in self._known.get(self._key(node), ()):
            if _alike(other.attrs, node.attrs):
                pairs = zip(node.outputs, other.outputs, strict=True)
                self._same |= {id(mine): id(theirs) for mine, theirs in pairs}
                return other
        return None

    def _key(self, node: gs.Node) -> tuple[object, ...]:
        return (node.op, len(node.outputs), tuple(sorted(node.attrs)), *(self._of(t) for t in node.inputs))

    def _of(self, tensor: gs.Tensor) -> int:
        if tensor.is_empty():
            return 0
        if not isinstance(tensor, gs.Constant) or constants.is_symbolic(tensor.values):
            return self._same.get(id(tensor), id(tensor))
        values = np.asarray(tensor.values)
        key = (values.dtype.str, values.shape, hashlib.blake2b(values.tobytes()).digest())
        return self._constants.setdefault(key, id(tensor))


def _alike(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    """Whether attributes of the same names have the same values."""

    def plain(value: object) -> object:
        values = value.values if isinstance(value, gs.Tensor) else value
        return np.asarray(values).tolist()

    return all(plain(value) == plain(second[name]) for name, value in first.items())


def _fresh(taken: Iterable[str], stem: str) -> str:
    known = set(taken)
    name, number = stem, 2
    while name in known:
        name, number = f"{stem}_{number}", number + 1
    return name


def _tensors(nodes: Iterable[gs.Node]) -> Iterator[gs.Tensor]:
    seen: set[int] = set()
    for node in nodes:
        for tensor in (*node.inputs, *node.outputs):
            if id(tensor) not in seen and not tensor.is_empty():
                seen.add(id(tensor))
                yield tensor
