"""What makes a tensor a mount, and a sentence for each tensor that is none."""

from __future__ import annotations

import math

import networkx as nx
import onnx_graphsurgeon as gs

from passes.canonical_activations import bounds_of
from passes.errors import InputError
from passes.macs import node_macs
from passes.operator_sets import LINEAR
from passes.rewriting import dims, producer_of
from passes.state import state_of

# fmt: off
ACTIVATIONS = frozenset({
    "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "HardSigmoid", "HardSwish",
    "Mish", "Sigmoid", "Softplus", "Softsign", "Tanh", "ThresholdedRelu", "BatchNormalization",
})
# fmt: on
_GATES = frozenset({"Sigmoid", "HardSigmoid"})
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
# fmt: off
_COPIES = frozenset({
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout", "Cast",
})
# fmt: on


class Network:
    """The data flow of a graph between its input and its final output, tensor by tensor."""

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.input = graph.inputs[0]
        self.tensors: list[gs.Tensor] = [self.input]
        self._names: dict[str, str] = {self.input.name: "input"}
        self._below: dict[str, int] = {self.input.name: 0}  # bit set of the MAC nodes behind a tensor
        self._macs: list[int] = []
        self._flow: nx.DiGraph[str] = nx.DiGraph()
        counts: dict[str, int] = {}
        for node in graph.nodes:
            number = counts.get(node.op, 0)
            counts[node.op] = number + 1
            self._add(node, f"{node.op.lower()}_{number}")
        self.final = self._find_final()
        self._tree()

    def _add(self, node: gs.Node, short: str) -> None:
        inputs = [t for t in node.inputs if t.name in self._below]
        made = [t for t in node.outputs if not t.is_empty()]
        if not inputs or not made:
            return
        mask = 0
        for tensor in inputs:
            mask |= self._below[tensor.name]
        if node.op in LINEAR:
            mask |= 1 << len(self._macs)
            self._macs.append(node_macs(node))
        for position, tensor in enumerate(made):
            self._names[tensor.name] = short if position == 0 else f"{short}.{position}"
            self._below[tensor.name] = mask
            self.tensors.append(tensor)
            self._flow.add_edges_from((source.name, tensor.name) for source in inputs)

    def _find_final(self) -> gs.Tensor:
        reached = [t for t in self.graph.outputs if t.name in self._below]
        if not reached:
            raise InputError(
                "no output of the network depends on its input",
                "check the exported model; what control flow (If, Loop) reads is not followed",
            )
        exits = state_of(self.graph).exits
        for tensor in reached:
            if exits and tensor.name == exits[-1].output:
                return tensor
        return max(reversed(reached), key=self.macs_before)

    def _tree(self) -> None:
        """Number the dominator tree, so that one comparison tells whether a tensor dominates another."""
        parents = nx.immediate_dominators(self._flow, self.input.name)
        children: dict[str, list[str]] = {}
        for name, parent in parents.items():
            if parent is not None and parent != name:
                children.setdefault(parent, []).append(name)
        self._enter: dict[str, int] = {}
        self._leave: dict[str, int] = {}
        stack = [(self.input.name, False)]
        while stack:
            name, done = stack.pop()
            if done:
                self._leave[name] = len(self._enter)
                continue
            self._enter[name] = len(self._enter)
            stack.append((name, True))
            stack.extend((child, False) for child in children.get(name, []))
        self._toward = nx.ancestors(self._flow, self.final.name) | {self.final.name}

    def name(self, tensor: gs.Tensor) -> str:
        """Return the short name of ``tensor``."""
        return self._names[tensor.name]

    def macs_before(self, tensor: gs.Tensor) -> int:
        """Return the multiply-accumulates that must run before ``tensor`` exists."""
        mask, total = self._below[tensor.name], 0
        while mask:
            low = mask & -mask
            total += self._macs[low.bit_length() - 1]
            mask ^= low
        return total

    def dominates(self, tensor: gs.Tensor, other: str) -> bool:
        """Whether every way from the input to ``other`` leads through ``tensor``."""
        name = tensor.name
        return self._enter[name] <= self._enter[other] < self._leave[name]

    def leads_to_final(self, tensor: gs.Tensor) -> bool:
        """Whether the final output depends on ``tensor``."""
        return tensor.name in self._toward

    def joining(self, tensor: gs.Tensor) -> str:
        """Return the short name of the first node where a way around ``tensor`` comes back."""
        behind = nx.descendants(self._flow, tensor.name)
        for other in self.tensors:
            if other.name in behind and not self.dominates(tensor, other.name):
                return self.name(other)
        raise AssertionError(f"'{tensor.name}' dominates all that follows it")

    def ends_in(self, tensor: gs.Tensor) -> list[str]:
        """Return the graph outputs that depend on ``tensor``."""
        behind = nx.descendants(self._flow, tensor.name) | {tensor.name}
        return [t.name for t in self.graph.outputs if t.name in behind]

    def only_classifier_follows(self, tensor: gs.Tensor) -> bool:
        """Whether no convolution over space lies between ``tensor`` and the final output."""
        behind = nx.descendants(self._flow, tensor.name) & self._toward
        for other in self.tensors:
            node = producer_of(other)
            if (
                other.name in behind
                and node is not None
                and "Conv" in node.op
                and math.prod(dims(other)[2:]) > 1
            ):
                return False
        return True

    def joins(self, tensor: gs.Tensor) -> bool:
        """Whether ``tensor`` is where a skip connection ends: a sum of two tensors, or its activation."""
        node = producer_of(tensor)
        if node is not None and node.op in ACTIVATIONS:
            node = producer_of(node.inputs[0])
        return node is not None and node.op in ("Add", "Concat") and _reads_variables(node) > 1


def _reads_variables(node: gs.Node) -> int:
    return sum(not isinstance(t, gs.Constant) and not t.is_empty() for t in node.inputs)


def why_not_mount(network: Network, tensor: gs.Tensor) -> str | None:
    """Return one sentence why no exit can read ``tensor``, or None if one can."""
    node = producer_of(tensor)
    if node is None:
        return "the model input: nothing has been computed yet"
    if tensor is network.final:
        return "the logits themselves"
    if not network.leads_to_final(tensor):
        ends = ", ".join(f"'{name}'" for name in network.ends_in(tensor)) or "no output"
        return f"lies on the way to {ends}, not to the final output '{network.final.name}'"
    if not network.dominates(tensor, network.final.name):
        return f"bypassed by a skip connection: {network.joining(tensor)} joins around it"
    return _why_trivial(network, tensor, node)


def _why_trivial(network: Network, tensor: gs.Tensor, node: gs.Node) -> str | None:
    if network.macs_before(tensor) == 0:
        return "no multiply-accumulate runs before it"
    if node.op in _COPIES:
        return f"holds the values of {network.name(node.inputs[0])} in another form ({node.op})"
    if network.only_classifier_follows(tensor):
        return "only the final classifier is left behind it"
    if len(dims(tensor)) not in (3, 4):
        return f"has rank {len(dims(tensor))}: an exit reads feature maps, [batch, channels, …]"
    follower = _activation_behind(tensor)
    if follower is not None:
        return f"{network.name(follower)} follows at once: its output is the mount"
    taken = [e.name for e in state_of(network.graph).exits[:-1] if e.mount == tensor.name]
    return f"already carries exit '{taken[0]}'" if taken else None


def _activation_behind(tensor: gs.Tensor) -> gs.Tensor | None:
    """Return the output of the activation that is all that ``tensor`` is for, if there is one."""
    readers = {id(reader): reader for reader in tensor.outputs}.values()
    if len(readers) == 1:
        (reader,) = readers
        constant = reader.op in _ARITHMETIC and _reads_variables(reader) == 1
        activates = reader.op in ACTIVATIONS or bounds_of(reader) is not None
        return reader.outputs[0] if activates or constant else None
    gates = [reader for reader in readers if reader.op in _GATES]
    products = [reader for reader in readers if reader.op == "Mul"]
    if len(readers) == 2 and len(gates) == len(products) == 1:  # x * sigmoid(x)
        gated = any(t is gates[0].outputs[0] for t in products[0].inputs)
        return products[0].outputs[0] if gated else None
    return None
