"""Grids for tests: power-of-two scales from what onnxruntime computes on random inputs."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from passes.model.writing import to_model
from passes.operator_sets import QUANTIZED_LINEAR, SAME_GRID
from passes.rewrite.rewriter import Array
from passes.state import QuantGrid, state_of
from tests.passes.equivalence import run_model


def activation_grid(scale: float, low: int = 0, high: int = 255) -> QuantGrid:
    """Return the grid of an activation: uint8 around 128."""
    return QuantGrid((scale,), 128, low, high, "uint8")


def weight_grid(*scales: float) -> QuantGrid:
    """Return the grid of weights: int8, one scale or one per output channel."""
    return QuantGrid(scales, 0, -128, 127, "int8", 0 if len(scales) > 1 else None)


def byte_weight_grid(*scales: float) -> QuantGrid:
    """Return the grid calibration gives weights: uint8 around 128, one scale or one per output channel."""
    return QuantGrid(scales, 128, 0, 255, "uint8", 0 if len(scales) > 1 else None)


def power_of_two(values: Array, steps: int = 127) -> float:
    """Return the smallest power of two that keeps ``values`` within ``steps`` steps."""
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    return float(2.0 ** np.ceil(np.log2(top / steps)))


def add_grids(graph: gs.Graph, images: Array, per_channel: bool = False) -> None:
    """Fill ``state.grids`` of a canonical float ``graph`` from its values on ``images``."""
    values = _activations(graph, images)
    grids = state_of(graph).grids
    for name, found in values.items():
        grids[name] = activation_grid(power_of_two(found))
    for node in graph.nodes:
        if node.op in SAME_GRID and node.inputs[0].name in grids and node.outputs[0].name in grids:
            grids[node.outputs[0].name] = grids[node.inputs[0].name]
        if node.op in QUANTIZED_LINEAR and isinstance(node.inputs[1], gs.Constant):
            weights = node.inputs[1].values
            parts = list(weights) if per_channel else [weights]
            grids[node.inputs[1].name] = byte_weight_grid(*(power_of_two(part) for part in parts))


def _activations(graph: gs.Graph, images: Array) -> dict[str, Array]:
    """Return the values of every tensor that gets a grid: not accumulators, not logits."""
    outputs = {t.name for t in graph.outputs}
    names = [
        tensor.name
        for node in graph.nodes
        for tensor in node.outputs
        if tensor.name not in outputs
        and not (len(tensor.outputs) == 1 and tensor.outputs[0].op in ("Relu", "Clip"))
    ]
    model = to_model(graph)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    found = {graph.inputs[0].name: images}
    if names:
        runs = [run_model(model, image[None]) for image in images]
        found |= {name: np.stack([run[i] for run in runs]) for i, name in enumerate(names)}
    return found
