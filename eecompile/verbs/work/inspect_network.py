"""``inspect``: what the compiler sees in a network, and why it leaves alone what it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_graphsurgeon as gs

from eecompile.run.accelerator import open_target
from passes.errors import EecompileError, InputError
from passes.exits.mounts import Mount, find_mounts
from passes.exits.recognise import classifier_exits, doubt, recognise_exits
from passes.model.graph import load
from passes.model.in_memory import Network
from passes.registry import parse_pipeline
from passes.shown_result import Row, ShownResult
from passes.state import Decline, Exit, state_of
from targets.contract.target import Target
from targets.evaluation.report import CostReport, evaluate
from targets.objective import EDP

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeInfo:
    """One node of the canonical network.

    Attributes:
        name: Its name in the canonical graph.
        op_type: ONNX operator.
        origin: Nodes of the user's model it came from.
        layer: Fused layer it belongs to.
        core: Core the layer is placed on; empty for what costs nothing or cannot be placed.
        weight_bits: Bits of the layer's weights on that core, None without weights.
        activation_bits: Bits of the layer's inputs on that core.
        input_shapes: Shapes of its computed inputs.
        output_shapes: Shapes of its outputs.
        reasons: Why it was not rewritten, not fused, or not placed on a core that runs such operators.
    """

    name: str
    op_type: str
    origin: tuple[str, ...]
    layer: str
    core: str
    weight_bits: int | None
    activation_bits: int | None
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Inspection(ShownResult):
    """What is known about a network.

    Attributes:
        model: File name.
        target: Target the layers are placed on.
        input_shape: Shape of the first input, batch 1.
        inputs: Shape of each input by its name.
        outputs: Shape of each output by its name, in canonical form.
        classes: Number of classes; None if it is no classifier.
        weights: Whether the weights are in the file.
        nodes_in_file: Nodes of the model as loaded.
        nodes: The canonical network.
        absorbed: Nodes of the user's model no node of the canonical network came from.
        exits: The exits, shallow to deep; the final classifier is the last.
        exits_from: ``metadata``, ``recognised``, or ``none`` for what is no classifier: its one exit is all
            that any output needs.
        mounts: Every tensor with its rank as a mount, or why it is none.
        declined: All that passes left alone, and why.
        notes: What could not be found out, and why.
    """

    model: str
    target: str
    input_shape: Shape
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    classes: int | None
    weights: bool
    nodes_in_file: int
    nodes: tuple[NodeInfo, ...]
    absorbed: tuple[str, ...]
    exits: tuple[Exit, ...]
    exits_from: str
    mounts: tuple[Mount, ...]
    declined: tuple[Decline, ...]
    notes: tuple[str, ...]

    def _words(self) -> str:
        mounts = sum(mount.ok for mount in self.mounts)
        return (
            f"{self.model or 'a network'} on {self.target}: {len(self.nodes)} nodes, "
            f"{len(self.exits)} exits, {mounts} mounts, {self.classes or 'no'} classes"
        )

    def _rows(self) -> list[Row]:
        return [
            {
                "node": node.name,
                "op_type": node.op_type,
                "layer": node.layer,
                "core": node.core,
                "weight_bits": node.weight_bits,
                "reasons": "; ".join(node.reasons),
            }
            for node in self.nodes
        ]

    def _axes(self) -> tuple[str, str]:
        return "node", "weight_bits"

    def to_json(self) -> dict[str, Any]:
        """Return the inspection as one JSON document."""
        exits = [item.to_json() for item in self.exits]
        flat = {"nodes": self.nodes, "mounts": self.mounts, "declined": self.declined}
        rows = {name: [dict(vars(row)) for row in found] for name, found in flat.items()}
        return {"schema_version": 1, **vars(self), "exits": exits, **rows}


def inspect_network(model: Network, target: str, cost_model: str | None = None) -> Inspection:
    """Look at a network; arguments as in `eecompile.api.inspect`.

    A network that cannot be compiled to the end is shown as far as it can be, with the reason in the notes.

    Raises:
        InputError: No such target, or a file that is no valid model.
    """
    accelerator = open_target(target, cost_model or "", None)[0]
    graph = load(model)
    state = state_of(graph)
    originals = [node.name for node in graph.nodes]
    notes: list[str] = []
    exits_from = "metadata" if state.exits else "recognised"
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    try:
        exits = classifier_exits(graph)
    except InputError as error:
        state.exits = []
        exits, exits_from = recognise_exits(graph), "recognised" if state.exits else "none"
        notes.append(f"exits: {error.message}")
    if state.exits and (doubtful := doubt(graph)):
        notes.append(f"exits: {doubtful}")
    mounts = _mounts(graph, notes)
    parse_pipeline(accelerator.pipeline(quantized=False))(graph)
    costs = _costs(graph, accelerator, notes)
    used = {name for node in graph.nodes for name in state.origins.get(node.name, ())}
    return Inspection(
        model.name,
        target,
        tuple(graph.inputs[0].shape),
        {t.name: tuple(t.shape) for t in graph.inputs},
        {t.name: tuple(t.shape) for t in graph.outputs},
        int(graph.outputs[-1].shape[-1]) if state.exits else None,
        not state.symbolic,
        len(originals),
        _nodes(graph, costs),
        tuple(name for name in originals if name not in used),
        tuple(exits),
        exits_from,
        mounts,
        tuple(state.declined),
        tuple(notes),
    )


def _mounts(graph: gs.Graph, notes: list[str]) -> tuple[Mount, ...]:
    try:
        return tuple(find_mounts(graph))
    except EecompileError as error:
        notes.append(f"mounts: {error.message}")
        return ()


def _costs(graph: gs.Graph, target: Target, notes: list[str]) -> CostReport | None:
    try:
        return evaluate(graph, target, EDP, allow_refused=True)
    except EecompileError as error:
        notes.append(f"placement: {error.message}")
        return None


def _nodes(graph: gs.Graph, costs: CostReport | None) -> tuple[NodeInfo, ...]:
    state = state_of(graph)
    reasons: dict[str, list[str]] = {}
    for entry in state.declined:
        reasons.setdefault(entry.subject, []).append(f"{entry.pass_name}: {entry.reason}")
    layers = {} if costs is None else {layer.name: layer for layer in costs.layers}
    refused = {} if costs is None else {r.layer: r for r in costs.refusals}
    free = {} if costs is None else {f.name: f.reason for f in costs.free}
    found = []
    for node in graph.nodes:
        name = state.layers.get(node.name, "")
        layer = layers.get(name)
        why = list(reasons.get(node.name, ()))
        if name in refused:
            why += [f"not placed on {r.core}, by its rule: {r.rule}" for r in refused[name].reasons]
            why += [f"to place it: {refused[name].hint}"] if refused[name].hint else []
        if name in free:
            why.append(f"costs nothing: {free[name]}")
        if layer:
            why += [f"not placed on {r.core}, by its rule: {r.rule}" for r in layer.declined]
        found.append(
            NodeInfo(
                node.name,
                node.op,
                state.origins.get(node.name, ()),
                name,
                layer.core if layer else "",
                layer.bits[0] if layer else None,
                layer.bits[1] if layer else None,
                tuple(_shape(t) for t in node.inputs if isinstance(t, gs.Variable) and not t.is_empty()),
                tuple(_shape(t) for t in node.outputs),
                tuple(why),
            )
        )
    return tuple(found)


def _shape(tensor: gs.Tensor) -> Shape:
    return tuple(int(d) for d in tensor.shape)
