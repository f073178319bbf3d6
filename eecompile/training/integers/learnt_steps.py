"""Steps of integer grids as what is learnt: one parameter per grid, whatever reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_graphsurgeon as gs
import torch

from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import STEP
from eecompile.training.torch_graph import TorchGraph
from eecompile.training.training_form import diverged
from passes.integers.analog import in_array
from passes.integers.channel_parts import channel_parts
from passes.integers.quantize import fused_away
from passes.model.graph import tidy
from passes.operator_sets import QUANTIZED_LINEAR, SAME_GRID
from passes.precision import tensor_levels
from passes.rewrite.names import Names
from passes.state import QuantGrid, copy_graph, state_of


@dataclass(frozen=True)
class LearntSteps:
    """What is learnt of the grids of a graph, and what steps that makes.

    Attributes:
        octaves: Tensor -> name of the constant that says by how many powers of two its step differs from
            the one it had; scalar, or one per channel. Tensors that keep the grid they read have none.
        steps: Tensor -> name of its step in the form, for all tensors with a grid.
        powers: Tensors whose step is a power of two.
    """

    octaves: Mapping[str, str]
    steps: Mapping[str, str]
    powers: Collection[str]

    def grids(self, form: gs.Graph, graph: gs.Graph) -> dict[str, QuantGrid]:
        """Return the grids of ``graph`` with the steps that the constants of ``form`` make now.

        Raises:
            InputError: A step that is not finite and positive.
        """
        seen = copy_graph(form)
        tensors, names = seen.tensors(), sorted(set(self.steps.values()))
        seen.inputs, seen.outputs = [], [tensors[name] for name in names]
        state_of(seen).exits = []
        seen.cleanup(remove_unused_graph_inputs=False)
        with torch.no_grad():
            values = dict(zip(names, TorchGraph(seen)(), strict=True))
        found = dict(state_of(graph).grids)
        for tensor, name in self.steps.items():
            learnt = values[name].numpy().reshape(-1)
            if not (np.isfinite(learnt).all() and (learnt > 0).all()):
                raise diverged(f"the step of '{tensor}'")
            if not np.array_equal(learnt, np.array(found[tensor].scale, np.float32)):
                found[tensor] = replace(found[tensor], scale=tuple(map(float, learnt)))
        return found


def learn_steps(form: gs.Graph, graph: gs.Graph) -> LearntSteps:
    """Let the nodes of ``form`` read steps that can be learnt, in place.

    QuantizeLinear and all DequantizeLinear of a tensor, of weights too, read one step; what moves values
    reads that of what it moves, parts of a convolution that of the whole; biases are on input step x weight
    step. Where a core requantizes by right shifts, the step of a result is held at no less than that of its
    sums. A network with a layer in an analog array keeps all its steps: its converters and affines were
    calibrated for them.

    Args:
        form: Q/DQ form of ``graph`` of which weights and biases are quantized in it.
        graph: A calibrated float graph: with ``state.grids``.
    """
    precisions = state_of(graph).precisions
    if any(in_array(node, precisions.get(node.name)) for node in graph.nodes):
        return LearntSteps({}, {}, set())
    made = _Steps(form, graph)
    for node in graph.nodes:
        for tensor in node.inputs[:2] if node.op in QUANTIZED_LINEAR else ():
            made.add(tensor.name)
        made.add_results(node)
    for node in list(form.nodes):
        if node.op == "QuantizeLinear" and node.inputs[0].name in made.steps:
            _read(node, made.steps[node.inputs[0].name])
    for node in form.nodes:
        bias = node.inputs[2] if node.op in QUANTIZED_LINEAR and len(node.inputs) > 2 else None
        if bias is not None and bias.inputs and bias.inputs[0].op == "DequantizeLinear":
            data, weight = (_quantized(node.inputs[index]) for index in (0, 1))
            quantized = bias.inputs[0].inputs[0]
            while quantized.inputs[0].op != "QuantizeLinear":
                quantized = quantized.inputs[0].inputs[0]
            _read(quantized.inputs[0], made.product(data, weight))
    tidy(form)
    return LearntSteps(made.octaves, {name: step.name for name, step in made.steps.items()}, made.powers)


def _quantized(tensor: gs.Tensor) -> gs.Tensor:
    """Return the step that the DequantizeLinear of ``tensor`` reads."""
    return tensor.inputs[0].inputs[1]


def _read(quantize: gs.Node, step: gs.Variable) -> None:
    """Let a QuantizeLinear, and all that dequantizes what it writes, read ``step``."""
    quantize.inputs[1] = step
    waiting = list(quantize.outputs[0].outputs)
    while waiting:
        node = waiting.pop()
        if node.op == "DequantizeLinear":
            node.inputs[1] = step
        elif node.op == "Clip":
            waiting.extend(node.outputs[0].outputs)


class _Steps:
    """Makes the nodes of steps, each once."""

    def __init__(self, form: gs.Graph, graph: gs.Graph) -> None:
        self.octaves: dict[str, str] = {}
        self.steps: dict[str, gs.Variable] = {}
        self._form, self._names = form, Names(form)
        self._places = {name: found.tensors for found in channel_parts(graph) for name in found.tensors}
        state = state_of(graph)
        self._grids, self._precisions = state.grids, state.precisions
        levels = tensor_levels(graph)
        self.powers = {name for name, found in levels.items() if found.power_of_two}
        for node in graph.nodes:
            precision = state.precisions.get(node.name)
            weights = precision.weights if precision is not None else None
            if node.op in QUANTIZED_LINEAR and weights is not None and weights.power_of_two:
                self.powers.add(node.inputs[1].name)
        for tensor in graph.inputs:
            self.add(tensor.name)

    def add(self, name: str) -> None:
        """Make the step of a tensor that has a grid."""
        name = self._places.get(name, (name,))[-1]
        if name not in self._grids or name in self.steps:
            return
        grid = self._grids[name]
        shape = [] if grid.axis is None else [len(grid.scale)]
        octaves = gs.Constant(self._names.fresh(f"{name}/octaves"), np.zeros(shape, np.float32))
        self.octaves[name] = octaves.name
        attributes = {"first": list(grid.scale), "power_of_two": int(name in self.powers)}
        self._set(name, self._node(STEP, f"{name}/step", [octaves], shape, attributes, DOMAIN))

    def _set(self, name: str, step: gs.Variable) -> None:
        """Let all that lies where a tensor does have this step."""
        self.steps |= dict.fromkeys(self._places.get(name, (name,)), step)

    def add_results(self, node: gs.Node) -> None:
        """Make the steps of what ``node`` writes."""
        if node.op in SAME_GRID and node.inputs[0].name in self.steps:
            if node.outputs[0].name in self._grids:
                self.steps[node.outputs[0].name] = self.steps[node.inputs[0].name]
            return
        for tensor in node.outputs:
            self.add(tensor.name)
        precision = self._precisions.get(node.name)
        if precision is None or not precision.output.power_of_two:
            return
        read = [self.steps[t.name] for t in node.inputs if t.name in self.steps]
        output = node.outputs[0]
        if output.name not in self._grids and fused_away(output):
            output = output.outputs[0].outputs[0]
            self.add(output.name)
        if output.name not in self.steps or len(read) < 2:
            return
        if node.op in QUANTIZED_LINEAR:
            finest = self.product(*read[:2])
            if finest.shape:
                kept = {"keepdims": 0}
                finest = self._node("ReduceMax", f"{output.name}/finest", [finest], [], kept)
        elif node.op == "Add":
            finest = self._node("Min", f"{output.name}/finest", read, [])
        else:
            return
        held = [self.steps[output.name], finest]
        self._set(output.name, self._node("Max", f"{output.name}/coarsened", held, []))

    def product(self, data: gs.Tensor, weight: gs.Tensor) -> gs.Variable:
        """Return the step of sums of products."""
        return self._node("Mul", f"{weight.name}/sums", [data, weight], list(weight.shape))

    def _node(
        self,
        op: str,
        stem: str,
        inputs: list[gs.Tensor],
        shape: list[int],
        attributes: Mapping[str, object] | None = None,
        domain: str = "",
    ) -> gs.Variable:
        name = self._names.fresh(stem)
        output = gs.Variable(name, np.float32, shape)
        self._form.nodes.append(gs.Node(op, name, dict(attributes or {}), inputs, [output], domain=domain))
        return output
