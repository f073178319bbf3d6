"""The rewrite driver: small rules keyed by operator type, applied until none fires.

A rule takes the :class:`Rewriter` and one node and says whether it changed the graph. Rules look
only at a node and its neighbours, so a sweep over the graph is linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from passes.model.graph import tidy
from passes.rewrite.names import Names
from passes.state import decline, set_origin, state_of

Rule = Callable[["Rewriter", gs.Node], bool]
Array = np.ndarray[Any, Any]

_APPLICATIONS_PER_NODE = 200


class Rewriter:
    """One rewriting session on a graph: names, interface tensors and the steps rules are made of."""

    def __init__(self, graph: gs.Graph, pass_name: str) -> None:
        self.graph = graph
        self.pass_name = pass_name
        self.state = state_of(graph)
        self._queue: list[gs.Node] = []
        self._names = Names(graph)

    def apply(self, rules_for: Callable[[str], Sequence[Rule]]) -> bool:
        """Apply the rules ``rules_for`` gives for an operator to a fixpoint; return whether one fired."""
        budget = _APPLICATIONS_PER_NODE * (len(self.graph.nodes) + 10)
        fired = 0
        while True:
            before = fired
            self._queue = list(self.graph.nodes)
            for node in self._queue:  # grows while new nodes are inserted
                if self._alive(node):
                    fired += any(rule(self, node) for rule in rules_for(node.op))
            if fired == before:
                return fired > 0
            if fired > budget:
                raise RuntimeError(f"rules of '{self.pass_name}' do not converge on this graph")
            tidy(self.graph)

    def _alive(self, node: gs.Node) -> bool:
        return any(t.outputs or self.is_output(t) for t in node.outputs)

    def decline(self, subject: gs.Node | gs.Tensor, reason: str) -> bool:
        """Record why ``subject`` is left alone; returns False, so that rules can return it."""
        decline(self.graph, self.pass_name, subject.name, reason)
        return False

    def is_output(self, tensor: gs.Tensor) -> bool:
        """Whether ``tensor`` is a graph output."""
        return any(tensor is output for output in self.graph.outputs)

    def is_input(self, tensor: gs.Tensor) -> bool:
        """Whether ``tensor`` is a graph input."""
        return any(tensor is given for given in self.graph.inputs)

    def is_mount(self, tensor: gs.Tensor) -> bool:
        """Whether an exit of the graph reads ``tensor``: it must survive under some name."""
        return any(tensor.name == e.mount for e in self.state.exits)

    def sole_reader(self, tensor: gs.Tensor) -> bool:
        """Whether nothing but one node input reads ``tensor``, so that its value may vanish."""
        return len(tensor.outputs) == 1 and not self.is_output(tensor) and not self.is_mount(tensor)

    def sole_writer(self, tensor: gs.Tensor, op: str) -> gs.Node | None:
        """Return the ``op`` that writes ``tensor`` for one reader alone."""
        above = producer_of(tensor)
        return above if above is not None and above.op == op and self.sole_reader(tensor) else None

    def fresh(self, stem: str) -> str:
        """Return ``stem``, or ``stem_2`` …: a name no node or tensor has, and reserve it."""
        return self._names.fresh(stem)

    def constant(self, stem: str, values: Array) -> gs.Constant:
        """Return a new constant."""
        return gs.Constant(self.fresh(stem), values)

    def variable(self, stem: str, shape: Iterable[int], dtype: Any) -> gs.Variable:
        """Return a new tensor."""
        return gs.Variable(self.fresh(stem), dtype=dtype, shape=list(shape))

    def insert(
        self,
        op: str,
        inputs: Sequence[gs.Tensor],
        output: gs.Tensor,
        sources: Iterable[gs.Node],
        **attrs: Any,
    ) -> gs.Node:
        """Add a node that comes from ``sources`` of the user's model."""
        sources = list(sources)
        name = self.fresh(f"{sources[0].name}_{op.lower()}")
        node = gs.Node(op, name, attrs=attrs, inputs=list(inputs), outputs=[output])
        self.graph.nodes.append(node)
        self._queue.append(node)
        set_origin(self.graph, node, sources)
        return node

    def inherit(self, survivor: gs.Node, absorbed: Iterable[gs.Node]) -> None:
        """Add the origins of ``absorbed`` to those of ``survivor``."""
        set_origin(self.graph, survivor, [survivor, *absorbed])

    def replace(self, old: gs.Tensor, new: gs.Tensor) -> bool:
        """Let all readers of ``old`` read ``new``, which has the same values; drop the node in between.

        A graph output keeps its name: then the producer of ``new`` writes ``old`` instead. Where
        both names belong to the interface nothing changes and False is returned.
        """
        removed = old.inputs[0]
        if self.is_output(old):
            producer = new.inputs[0] if new.inputs else None
            if producer is None or self.is_output(new):
                return False
            slot = next(i for i, t in enumerate(producer.outputs) if t is new)
            detach(removed)
            redirect(new, old)
            producer.outputs[slot] = old
            self.rename_mount(new.name, old.name)
        else:
            detach(removed)
            redirect(old, new)
            self.rename_mount(old.name, new.name)
        return True

    def absorb(self, node: gs.Node, into: gs.Node) -> None:
        """Let ``into`` write the output of ``node``, which it now computes; ``node`` goes."""
        output = node.outputs[0]
        self.inherit(into, [node])
        detach(node)
        into.outputs[0] = output

    def rename_mount(self, old: str, new: str) -> None:
        """Let the exits that read tensor ``old`` read ``new``."""
        exits = self.state.exits
        self.state.exits = [replace(e, mount=new) if e.mount == old else e for e in exits]


def detach(node: gs.Node) -> None:
    """Cut ``node`` out of the graph; the next tidy drops it."""
    node.inputs.clear()
    node.outputs.clear()


def redirect(old: gs.Tensor, new: gs.Tensor) -> None:
    """Let all nodes that read ``old`` read ``new``."""
    for reader in list(old.outputs):
        for index, tensor in enumerate(reader.inputs):
            if tensor is old:
                reader.inputs[index] = new


def producer_of(tensor: gs.Tensor) -> gs.Node | None:
    """Return the node that writes ``tensor``, or None for constants and graph inputs."""
    return tensor.inputs[0] if tensor.inputs else None


def optional_input(node: gs.Node, index: int) -> gs.Tensor | None:
    """Return input ``index`` of ``node``, or None where it is left out."""
    if index >= len(node.inputs) or node.inputs[index].is_empty():
        return None
    return node.inputs[index]


def constant_input(node: gs.Node, index: int) -> Array | None:
    """Return the values of input ``index`` if it is a constant, else None."""
    tensor = optional_input(node, index)
    return np.asarray(tensor.values) if isinstance(tensor, gs.Constant) else None


def dims(tensor: gs.Tensor) -> tuple[int, ...]:
    """Return the static shape of ``tensor``."""
    return tuple(int(d) for d in tensor.shape)
