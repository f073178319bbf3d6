"""What makes a tensor a mount, and a sentence for each tensor that is none."""

from __future__ import annotations

import math

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.activations import bounds_of
from passes.errors import InputError
from passes.exits.reading import reading_of
from passes.macs import node_macs
from passes.model.graph import reads
from passes.operator_sets import ACTIVATIONS, ARITHMETIC, COPIES, GATES
from passes.rewrite.rewriter import dims, producer_of
from passes.state import state_of

# What belongs to the tensor before it: a mount is behind it.
_COMPLETES = ACTIVATIONS | {"BatchNormalization", "QuantizeLinear"}
# What an exit saves in front of the final classifier, as a share of all MACs, is worth an exit from here on.
SUBSTANTIAL = 0.05


class DataFlow:
    """The data flow of a graph between its inputs and its final output, tensor by tensor.

    The first input stands for all that is given: what several inputs lead to is computed from it.

    All that is asked of single tensors is found out for all of them at once, in one walk along the
    topological order or against it.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self.tensors: list[gs.Tensor] = list(graph.inputs)
        given = range(len(self.tensors))
        self._number: dict[str, int] = {self.tensors[number].name: number for number in given}
        self._names = {
            name: f"input_{number}" if number else "input" for name, number in self._number.items()
        }
        # By the number of a tensor: those it is computed from.
        self._sources: list[list[int]] = [[] for _ in given]
        self._macs: list[int] = [0 for _ in given]
        below = [0 for _ in given]  # bit set of the nodes with MACs behind a tensor
        weights: list[int] = []
        counts: dict[str, int] = {}
        for node in graph.nodes:
            count = counts.get(node.op, 0)
            counts[node.op] = count + 1
            self._add(node, f"{node.op.lower()}_{count}", below, weights)
        self.final = self._find_final()
        self._classifier_macs = self._macs_of_classifier()
        self._find_dominators()
        self._look_back()

    def _add(self, node: gs.Node, short: str, below: list[int], weights: list[int]) -> None:
        sources = [self._number[t.name] for t in reads(node) if t.name in self._number]
        made = [t for t in node.outputs if not t.is_empty()]
        if not sources or not made:
            return
        heaviest = max(sources, key=self._macs.__getitem__)
        macs = self._macs[heaviest]
        mask = below[heaviest]
        for source in sources:
            macs += _sum_of(below[source] & ~mask, weights)  # few bits: branches join soon after they part
            mask |= below[source]
        own = node_macs(node)
        if own:
            mask |= 1 << len(weights)
            weights.append(own)
            macs += weights[-1]
        for position, tensor in enumerate(made):
            self._names[tensor.name] = short if position == 0 else f"{short}.{position}"
            self._number[tensor.name] = len(self.tensors)
            self._sources.append(sources)
            self._macs.append(macs)
            below.append(mask)
            self.tensors.append(tensor)

    def _find_final(self) -> gs.Tensor:
        reached = [t for t in self.graph.outputs if t.name in self._number]
        if not reached:
            raise InputError(
                "no output of the network depends on its input",
                "check the exported model",
            )
        exits = state_of(self.graph).exits
        for tensor in reached:
            if exits and tensor.name == exits[-1].output:
                return tensor
        return max(reversed(reached), key=self.macs_before)

    def _macs_of_classifier(self) -> int:
        """Return the multiply-accumulates of the last linear layers before the final output."""
        found: dict[str, int] = {}
        seen: set[str] = set()
        pending = [self.final]
        while pending:
            node = producer_of(pending.pop())
            if node is None or node.name in seen:
                continue
            seen.add(node.name)
            if node_macs(node):
                found[node.name] = node_macs(node)
            else:
                pending.extend(t for t in node.inputs if t.name in self._number)
        return sum(found.values())

    def _find_dominators(self) -> None:
        """Find for each tensor the last one before it through which all its data flow.

        Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm", 2001; one round, as there are no
        cycles. Their dominance frontier tells where a way around a tensor comes back.
        """
        self._dominator = [0] * len(self.tensors)
        self._rejoined: dict[int, int] = {}
        for number, sources in enumerate(self._sources):
            if not sources:
                continue
            meet = sources[0]
            for source in sources[1:]:
                meet = self._meet(meet, source)
            self._dominator[number] = meet
            for source in sources:
                runner = source
                while runner != meet:
                    self._rejoined.setdefault(runner, number)
                    runner = self._dominator[runner]
        final = self._number[self.final.name]
        self._dominating = {final}
        while final:
            final = self._dominator[final]
            self._dominating.add(final)

    def _meet(self, one: int, other: int) -> int:
        """Return the last tensor through which the data of both flow."""
        while one != other:
            if one > other:
                one = self._dominator[one]
            else:
                other = self._dominator[other]
        return one

    def _look_back(self) -> None:
        """Find what follows each tensor: graph outputs, and convolutions over space before the final one."""
        outputs = {t.name: 1 << index for index, t in enumerate(self.graph.outputs)}
        self._ends = [outputs.get(t.name, 0) for t in self.tensors]
        self._toward = [False] * len(self.tensors)
        self._toward[self._number[self.final.name]] = True
        self._convolved = [False] * len(self.tensors)
        for number in reversed(range(len(self.tensors))):
            toward = self._toward[number]
            convolves = toward and (self._convolved[number] or _is_spatial_conv(self.tensors[number]))
            for source in self._sources[number]:
                self._ends[source] |= self._ends[number]
                self._toward[source] |= toward
                self._convolved[source] |= convolves

    def name(self, tensor: gs.Tensor) -> str:
        """Return the short name of ``tensor``."""
        return self._names[tensor.name]

    def macs_before(self, tensor: gs.Tensor) -> int:
        """Return the multiply-accumulates that must run before ``tensor`` exists."""
        return self._macs[self._number[tensor.name]]

    def is_passed(self, tensor: gs.Tensor) -> bool:
        """Whether every way from the input to the final output leads through ``tensor``."""
        return self._number[tensor.name] in self._dominating

    def leads_to_final(self, tensor: gs.Tensor) -> bool:
        """Whether the final output depends on ``tensor``."""
        return self._toward[self._number[tensor.name]]

    def joining(self, tensor: gs.Tensor) -> str:
        """Return the short name of the first node where a way around ``tensor`` comes back."""
        return self.name(self.tensors[self._rejoined[self._number[tensor.name]]])

    def ends_in(self, tensor: gs.Tensor) -> list[str]:
        """Return the graph outputs that depend on ``tensor``."""
        ends = self._ends[self._number[tensor.name]]
        return [t.name for index, t in enumerate(self.graph.outputs) if ends >> index & 1]

    def why_nothing_to_save(self, tensor: gs.Tensor) -> str | None:
        """Return why no work is left that an exit at ``tensor`` would save, or None if there is some.

        ``tensor`` must be passed. Work is a convolution over space, or a substantial share of the MACs beside
        those of the final classifier.
        """
        if self._convolved[self._number[tensor.name]]:
            return None
        total = self.macs_before(self.final)
        behind = total - self.macs_before(tensor)
        left = behind - self._classifier_macs
        if behind <= 0:
            return "no multiply-accumulate is left behind it"
        if left <= 0:
            return "only the final classifier is left behind it"
        if left >= SUBSTANTIAL * total:
            return None
        return f"only {left / total:.1%} of the MACs are left behind it, beside the final classifier"

    def joins(self, tensor: gs.Tensor) -> bool:
        """Whether ``tensor`` is where a skip connection ends: a sum of two tensors, or its activation."""
        node = producer_of(tensor)
        if node is not None and node.op in _COMPLETES:
            node = producer_of(node.inputs[0])
        return node is not None and node.op in ("Add", "Concat") and _reads_variables(node) > 1


def _sum_of(mask: int, weights: list[int]) -> int:
    """Return the sum of the weights whose bits are set."""
    total = 0
    while mask:
        low = mask & -mask
        total += weights[low.bit_length() - 1]
        mask ^= low
    return total


def _is_spatial_conv(tensor: gs.Tensor) -> bool:
    node = producer_of(tensor)
    return node is not None and "Conv" in node.op and math.prod(dims(tensor)[2:]) > 1


def _reads_variables(node: gs.Node) -> int:
    return sum(not isinstance(t, gs.Constant) and not t.is_empty() for t in node.inputs)


def why_not_mount(network: DataFlow, tensor: gs.Tensor) -> str | None:
    """Return one sentence why no exit can read ``tensor``, or None if one can."""
    node = producer_of(tensor)
    if node is None:
        return "the model input: nothing has been computed yet"
    if tensor is network.final:
        return "the logits themselves"
    if not network.leads_to_final(tensor):
        ends = ", ".join(f"'{name}'" for name in network.ends_in(tensor))
        if not ends:
            return "no output depends on it"
        return f"lies on the way to {ends}, not to the final output '{network.final.name}'"
    if not network.is_passed(tensor):
        return f"bypassed by a skip connection: {network.joining(tensor)} joins around it"
    return _why_trivial(network, tensor, node)


def _why_trivial(network: DataFlow, tensor: gs.Tensor, node: gs.Node) -> str | None:
    if network.macs_before(tensor) == 0:
        return "no multiply-accumulate runs before it"
    if node.op == "DequantizeLinear" or (node.op in COPIES and _has_form(network, node.inputs[0])):
        return f"holds the values of {network.name(node.inputs[0])} in another form ({node.op})"
    nothing = network.why_nothing_to_save(tensor)
    if nothing is not None:
        return nothing
    reading = reading_of(tensor, network.final)
    if isinstance(reading, str):
        return reading
    if tensor.dtype is not None and np.dtype(tensor.dtype).kind in "iu" and widened(tensor) is None:
        return "holds integers that no DequantizeLinear reads: an exit reads real values"
    follower = _activation_behind(tensor)
    if follower is not None:
        return f"{network.name(follower)} follows at once: its output is the mount"
    taken = [e.name for e in state_of(network.graph).exits[:-1] if e.mount == tensor.name]
    return f"already carries exit '{taken[0]}'" if taken else None


def _has_form(network: DataFlow, tensor: gs.Tensor) -> bool:
    """Whether an exit can read ``tensor``, or another form of its values before it."""
    while isinstance(reading_of(tensor, network.final), str):
        node = producer_of(tensor)
        if node is None or node.op not in COPIES:
            return False
        tensor = node.inputs[0]
    return True


def widened(tensor: gs.Tensor) -> gs.Node | None:
    """Return a DequantizeLinear that says what the integers of ``tensor`` stand for."""
    return next((reader for reader in tensor.outputs if reader.op == "DequantizeLinear"), None)


def _activation_behind(tensor: gs.Tensor) -> gs.Tensor | None:
    """Return the output of the activation that is all that ``tensor`` is for, if there is one."""
    readers = {id(reader): reader for reader in tensor.outputs}.values()
    if len(readers) == 1:
        (reader,) = readers
        constant = reader.op in ARITHMETIC and _reads_variables(reader) == 1
        activates = reader.op in _COMPLETES or bounds_of(reader) is not None
        return reader.outputs[0] if activates or constant else None
    gates = [reader for reader in readers if reader.op in GATES]
    products = [reader for reader in readers if reader.op == "Mul"]
    if len(readers) == 2 and len(gates) == len(products) == 1:  # x * sigmoid(x)
        gated = any(t is gates[0].outputs[0] for t in products[0].inputs)
        return products[0].outputs[0] if gated else None
    return None
