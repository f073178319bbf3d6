"""Graph to workload: layers with loops and operands, and the exit paths through them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from passes.errors import InputError
from passes.integers.analog import analog_forms
from passes.integers.channel_parts import channel_parts
from passes.integers.quantize import narrows
from passes.macs import node_macs
from passes.model.control_flow import way_out, why_no_exit
from passes.number_formats import Precision
from passes.operator_sets import ACTIVATIONS, FLOAT_LINEAR, LINEAR, POOLS, QUANTIZATION
from passes.state import Exit, state_of
from targets.network import operators
from targets.network.layer import Bits, Layer, Operand

VIEW_REASON = "a view: no data moves"
INPUT_REASON = "the network input arrives quantized in the outer on-chip memory"
DEQUANTIZE_REASON = "whoever reads the tensor takes its integers"
CONSTANT_REASON = "a constant: computed at compile time"


@dataclass(frozen=True)
class FreeLayer:
    """A layer of the graph that costs nothing on any target, and why."""

    name: str
    origin: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class ExitPath:
    """All that runs when an input leaves at an exit: stages and heads up to it, and the decisions.

    Attributes:
        layers: Indices into ``Workload.layers``, ascending; a path contains those before it, but for the
            heads of exits that run only where an input leaves there.
        decides: The exit is followed by a decision whether to go on.
    """

    name: str
    mount: str
    layers: tuple[int, ...]
    macs: int
    decides: bool


@dataclass(frozen=True)
class Workload:
    """A network as layers.

    Attributes:
        layers: In topological order.
        exits: The exit paths, shallow to deep.
        free: What costs nothing, and why.
        outputs: Tensors that leave the accelerator.
    """

    layers: tuple[Layer, ...]
    exits: tuple[ExitPath, ...]
    free: tuple[FreeLayer, ...]
    outputs: frozenset[str] = frozenset()

    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Return, per exit, the layers its path has beyond the path before it."""
        seen: set[int] = set()
        stages = []
        for path in self.exits:
            stages.append(tuple(i for i in path.layers if i not in seen))
            seen.update(path.layers)
        return tuple(stages)

    def skipped(self, number: int) -> frozenset[int]:
        """Return which layers of the paths before path ``number`` that path does not run."""
        before = {i for path in self.exits[:number] for i in path.layers}
        return frozenset(before.difference(self.exits[number].layers))


def build_workload(graph: gs.Graph, bits: Bits | None = None) -> Workload:
    """Read the layers and exits of ``graph``.

    Args:
        graph: Batch 1, static shapes; float or lowered to integers. Nodes without a layer
            annotation are layers of their own.
        bits: Precision of float tensors; integer tensors keep that of their type, and nodes with a precision
            of their own are costed at its weights, biases, partial sums and results, in float too. Logits are
            as wide as partial sums, but where ``bits.logits`` says otherwise.

    Raises:
        InputError: Control flow; or the layer annotation puts a layer before one it depends on and after
            it too.
    """
    check_flat(graph)
    return _Builder(graph, bits or Bits()).build()


def check_flat(graph: gs.Graph) -> None:
    """Refuse a network with control flow in it.

    Raises:
        InputError: With why it is no early exit, and what its bodies hold.
    """
    for node in graph.nodes:
        if next(iter(node.subgraphs()), None) is not None:
            raise InputError(
                f"{node.op} '{node.name}' is control flow: {why_no_exit(graph, node)}", way_out(node)
            )


class _Builder:
    def __init__(self, graph: gs.Graph, bits: Bits) -> None:
        self.graph = graph
        self.bits = bits
        self.state = state_of(graph)
        self.groups: dict[str, list[gs.Node]] = {}
        for node in graph.nodes:
            self.groups.setdefault(self.state.layers.get(node.name, node.name), []).append(node)
        self.group_of = {
            t.name: name for name, nodes in self.groups.items() for n in nodes for t in n.outputs
        }
        self.by_name = graph.tensors()
        self.written_by = {
            t.name: precision
            for nodes in self.groups.values()
            if (precision := self._precision(nodes)) is not None
            for n in nodes
            for t in n.outputs
        }
        self.analog = {form.convs[0].name: form for form in analog_forms(graph)}
        self.joins = {found.join.name for found in channel_parts(graph)}
        self.alias: dict[str, str] = {}
        self.free: list[FreeLayer] = []
        self.constants: set[str] = set()

    def build(self) -> Workload:
        real = [name for name, nodes in self.groups.items() if not self._is_free(name, nodes)]
        exits = self.state.exits or [Exit("final", "", self.graph.outputs[0].name)]
        leaving = {t.name for t in self.graph.outputs} | {e.output for e in exits}
        outputs = {name for name in map(self._resolve, leaving) if self._computed(name)}
        # What other layers read too has the precision that they take.
        read = {self._resolve(t.name) for name in real for t in self._outside_inputs(self.groups[name], name)}
        logits = outputs - read | {self._resolve(e.output) for e in self.state.exits}
        order = self._sorted(real)
        position = {name: index for index, name in enumerate(order)}
        layers = [self._layer(name, position, logits) for name in order]
        paths = self._paths(layers, exits, position)
        return Workload(tuple(layers), tuple(paths), tuple(self.free), frozenset(outputs))

    def _is_free(self, name: str, nodes: list[gs.Node]) -> bool:
        """Recognise what costs nothing; a view's output is another name of its input."""
        work = [n for n in nodes if n.op not in QUANTIZATION and not narrows(self.graph, n)]
        sources = self._outside_inputs(nodes, name)
        reason = ""
        if not sources:
            reason = CONSTANT_REASON
        elif work and all(operators.is_view(n) for n in work):
            reason = VIEW_REASON
        elif not work and all(t.name in {i.name for i in self.graph.inputs} for t in sources):
            reason = INPUT_REASON
        elif all(n.op == "DequantizeLinear" for n in nodes):
            reason = DEQUANTIZE_REASON
        if not reason:
            return False
        self.free.append(FreeLayer(name, self._origin(nodes), reason))
        if sources:
            self.alias.update({t.name: sources[0].name for n in nodes for t in n.outputs})
        else:
            self.constants.add(name)
        return True

    def _resolve(self, name: str) -> str:
        while name in self.alias:
            name = self.alias[name]
        return name

    def _origin(self, nodes: Iterable[gs.Node]) -> tuple[str, ...]:
        merged: dict[str, None] = {}
        for node in nodes:
            merged.update(dict.fromkeys(self.state.origins.get(node.name, (node.name,))))
        return tuple(merged)

    def _outside_inputs(self, nodes: list[gs.Node], group: str) -> list[gs.Tensor]:
        """Return the computed tensors the group reads from elsewhere, each once, in order."""
        found: dict[str, gs.Tensor] = {}
        for node in nodes:
            for tensor in node.inputs:
                if (
                    isinstance(tensor, gs.Constant)
                    or tensor.is_empty()
                    or self.group_of.get(tensor.name) == group
                ):
                    continue
                found[tensor.name] = tensor
        return list(found.values())

    def _producers(self, name: str) -> set[str]:
        sources = (self._resolve(t.name) for t in self._outside_inputs(self.groups[name], name))
        return {self.group_of[s] for s in sources if self._computed(s)}

    def _computed(self, tensor: str) -> bool:
        """Whether a layer writes ``tensor``: it is neither given nor constant."""
        return tensor in self.group_of and not self._constant(tensor)

    def _constant(self, tensor: str) -> bool:
        return self.group_of[tensor] in self.constants

    def _sorted(self, names: list[str]) -> list[str]:
        """Sort topologically, otherwise in graph order."""
        first = {name: index for index, name in enumerate(names)}
        waiting = {name: self._producers(name) for name in names}
        readers: dict[str, list[str]] = {}
        for name, producers in waiting.items():
            for producer in producers:
                readers.setdefault(producer, []).append(name)
        ready = [(first[name], name) for name, producers in waiting.items() if not producers]
        heapq.heapify(ready)
        done: list[str] = []
        while ready:
            _, name = heapq.heappop(ready)
            done.append(name)
            for reader in readers.get(name, ()):
                waiting[reader].discard(name)
                if not waiting[reader]:
                    heapq.heappush(ready, (first[reader], reader))
        if len(done) < len(names):
            stuck = sorted(set(names) - set(done))
            raise InputError(f"layers {', '.join(stuck[:4])} depend on each other", "run fuse-layers again")
        return done

    def _operand(self, tensor: gs.Tensor, logits: set[str]) -> Operand:
        stored = operators.integer_bits(tensor)
        precision = self.written_by.get(tensor.name)
        if tensor.name in logits:
            sums = self.bits.accumulator if precision is None else precision.accumulator_bits
            bits = sums if self.bits.logits is None else self.bits.logits
        elif stored is None:
            bits = self.bits.activation if precision is None else precision.output.bits
        else:
            bits = stored if precision is None else min(stored, precision.output.bits)
        return Operand(tensor.name, tuple(int(d) for d in tensor.shape), bits)

    def _precision(self, nodes: Iterable[gs.Node]) -> Precision | None:
        """Return what the core of a layer computes with, where that was assigned."""
        known = self.state.precisions
        return next((known[node.name] for node in nodes if node.name in known), None)

    def _layer(self, name: str, position: dict[str, int], logits: set[str]) -> Layer:
        nodes = self.groups[name]
        main, front = _main_and_front(nodes)
        precision = self._precision(nodes)
        names = dict.fromkeys(self._resolve(t.name) for t in self._outside_inputs(nodes, name))
        inputs = [self.by_name[n] for n in names if n not in self.group_of or not self._constant(n)]
        form = self.analog.get(main.name)
        chunks = (main,) if form is None else form.convs
        inside: frozenset[str] = frozenset() if form is None else form.names
        layer = Layer(
            name=name,
            op_type=operators.float_name(main.op),
            origin=self._origin(nodes),
            macs=sum(map(node_macs, chunks)),
            dims=operators.joined_dims([operators.loop_dims(chunk) for chunk in chunks]),
            inputs=tuple(self._operand(t, logits) for t in inputs),
            outputs=tuple(self._operand(t, logits) for t in self._group_outputs(name, nodes, main)),
            activation=any(
                n.op in ACTIVATIONS and n.name not in inside and not narrows(self.graph, n)
                for n in nodes
                if n is not main
            ),
            producers=tuple(sorted(position[p] for p in self._producers(name))),
            accumulator_bits=self.bits.accumulator if precision is None else precision.accumulator_bits,
            front=None if front is None else operators.loop_dims(front),
            in_place=main.name in self.joins,
        )
        if layer.op_type in FLOAT_LINEAR:
            return self._with_weights(layer, nodes, chunks)
        constant = operators.constant_operand(main)
        if constant is None:
            return layer
        shape = tuple(int(d) for d in constant.shape)
        bits = operators.integer_bits(constant) or self.bits.activation
        return replace(layer, constant=Operand(constant.name, shape, bits))

    def _with_weights(self, layer: Layer, nodes: list[gs.Node], chunks: Sequence[gs.Node]) -> Layer:
        """Return ``layer`` with its weights; an analog convolution has them in chunks of input channels."""
        main = chunks[0]
        constants = [c for c in map(operators.weight_operand, chunks) if c is not None]
        if not constants:
            return layer
        constant = constants[0]
        shape = tuple(int(d) for d in constant.shape)
        if len(constants) > 1:
            shape = (shape[0], sum(int(c.shape[1]) for c in constants), *shape[2:])
        precision = self._precision(nodes)
        if precision is not None and precision.weights is not None:
            bits = precision.weights.bits  # however wide the file stores them, if in integers at all
        else:
            bits = operators.stored_bits(main) or self.bits.weight
        weight = Operand(constant.name, shape, bits)
        bias = None
        if main.name in self.analog or operators.has_bias(nodes, main):
            channels = layer.dims.g * layer.dims.k if layer.dims else shape[0]
            wide = self.bits.accumulator if precision is None else precision.bias_bits
            bias = Operand(f"{layer.name}.bias", (channels,), wide)
        return replace(layer, weight=weight, bias=bias)

    def _group_outputs(self, group: str, nodes: list[gs.Node], main: gs.Node) -> list[gs.Tensor]:
        final = {t.name for t in self.graph.outputs}
        produced = [t for n in nodes for t in n.outputs if not t.is_empty()]
        read = [
            t
            for t in produced
            if t.name in final or any(self.group_of.get(r.outputs[0].name) != group for r in t.outputs)
        ]
        return read or [main.outputs[0]]

    def _paths(self, layers: list[Layer], exits: list[Exit], position: dict[str, int]) -> list[ExitPath]:
        """Append the decision layers to ``layers`` and return the paths."""
        paths: list[ExitPath] = []
        shared: set[int] = set()
        for number, leave in enumerate(exits):
            last = number == len(exits) - 1
            ends = {self._resolve(leave.output)}
            if last:
                apart = {e.output for e in exits if e.apart}
                ends |= {self._resolve(t.name) for t in self.graph.outputs if t.name not in apart}
            roots = sorted(position[self.group_of[e]] for e in ends if self._computed(e))
            members = shared | _ancestors(layers, roots)
            shared = shared if leave.apart else members
            if not last or self.state.softmax:
                # What is no classifier ends in all its outputs: each had a Softmax, of the same size.
                logits = [leave.output] if self.state.exits else [t.name for t in self.graph.outputs]
                for index, name in enumerate(map(self._resolve, logits)):
                    members.add(len(layers))
                    shared.add(len(layers))
                    operand = self._operand(self.by_name[name], {name})
                    stem = leave.name if index == 0 else f"{leave.name}_{index}"
                    layers.append(_decision(stem, operand, roots, last))
            macs = sum(layers[i].macs for i in members)
            paths.append(ExitPath(leave.name, leave.mount, tuple(sorted(members)), macs, not last))
        return paths


def _main_and_front(nodes: list[gs.Node]) -> tuple[gs.Node, gs.Node | None]:
    """Return the main operator of a layer, and a pooling that its core does in front of it."""
    work = [n for n in nodes if n.op not in (*QUANTIZATION, "Cast")] or nodes
    linear = next((n for n in work if n.op in LINEAR), None)
    if linear is not None:
        return linear, work[0] if work[0].op in POOLS else None
    return work[0], None


def _decision(name: str, logits: Operand, producers: list[int], last: bool) -> Layer:
    """Return the softmax behind an exit: for all but the last, its maximum is compared with the threshold."""
    confidence = Operand(f"{name}.confidence", (1,), logits.bits)
    return Layer(
        name=f"{name}.softmax" if last else f"{name}.decide",
        op_type="Softmax",
        origin=(),
        macs=0,
        dims=None,
        inputs=(logits,),
        outputs=(replace(logits, name=f"{name}.probabilities") if last else confidence,),
        producers=tuple(producers),
        exit_name=None if last else name,
    )


def _ancestors(layers: list[Layer], roots: Iterable[int]) -> set[int]:
    found: set[int] = set()
    stack = list(roots)
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack.extend(layers[index].producers)
    return found
