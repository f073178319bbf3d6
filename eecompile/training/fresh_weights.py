"""Weights to start from: of heads, for what they will read, and of whole networks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.training.torch_graph import learnt_constants
from passes.operator_sets import ARITHMETIC, FLOAT_LINEAR
from passes.state import state_of

Float32 = NDArray[np.float32]
Array = NDArray[Any]
_TABLE = 0.02  # deviation of tables and tokens, as is usual for transformers


def fan_in(node: gs.Node, shape: tuple[int, ...]) -> int:
    """Return how many products each sum of a layer with weights of ``shape`` is of."""
    if node.op == "Conv":
        return math.prod(shape[1:])
    if node.op == "ConvTranspose":
        return math.prod(shape) // max(shape[1], 1) // int(node.attrs.get("group", 1)) or 1
    if node.op == "Gemm" and node.attrs.get("transB", 0):
        return shape[1]
    return shape[-2] if len(shape) > 1 else shape[0]


def draw_heads(
    form: gs.Graph, heads: Collection[str], gains: Mapping[str, float], seed: int
) -> dict[str, float]:
    """Draw the weights of heads anew, uniform with torch's usual deviation, for input of deviation 1 / gain.

    Args:
        form: Changed in place.
        heads: Names of the nodes of heads.
        gains: By node, what its input is to be multiplied by to have deviation 1; 1 if not there.
        seed: Of what is drawn.

    Returns:
        By constant, the gain of weights that have one: what its rate is to be multiplied by as well, so that
        it is trained as if its input were.
    """
    rng = np.random.default_rng([seed, 1])
    scales: dict[str, float] = {}
    reset_norms(node for node in form.nodes if node.name in heads)
    for node in form.nodes:
        if (
            node.name not in heads
            or node.op not in FLOAT_LINEAR
            or not isinstance(node.inputs[1], gs.Constant)
        ):
            continue
        weight, gain = node.inputs[1], gains.get(node.name, 1.0)
        reach = 1 / math.sqrt(fan_in(node, tuple(weight.shape)))
        weight.values = (gain * rng.uniform(-reach, reach, weight.shape)).astype(np.float32)
        if gain != 1:
            scales[weight.name] = gain
        if len(node.inputs) > 2 and isinstance(node.inputs[2], gs.Constant):
            bias = node.inputs[2]
            bias.values = rng.uniform(-reach, reach, bias.shape).astype(np.float32)
    return scales


def first_layers(form: gs.Graph, heads: Collection[str]) -> dict[str, str]:
    """Return the layers with weights of heads that read none before them, and what they read."""
    behind: set[str] = set()
    found = {}
    for node in form.nodes:
        if node.name not in heads:
            continue
        above = [writer.name for tensor in node.inputs for writer in tensor.inputs]
        weighs = node.op in FLOAT_LINEAR
        if not any(name in behind for name in above) and weighs and node.inputs[0].inputs:
            found[node.name] = node.inputs[0].name
        if weighs or any(name in behind for name in above):
            behind.add(node.name)
    return found


def reset_norms(nodes: Iterable[gs.Node]) -> None:
    """Let those of ``nodes`` that normalize over images have scale 1, shift 0, mean 0 and variance 1."""
    for node in nodes:
        if node.op == "BatchNormalization":
            for tensor, value in zip(node.inputs[1:5], (1, 0, 0, 1), strict=True):
                tensor.values = np.full(tensor.shape, value, np.float32)


def draw_network(graph: gs.Graph, seed: int) -> None:
    """Forget what a network has learnt: all constants that are learnt are drawn anew, in place.

    Weights are He normal, biases and shifts 0, scales 1. What is done to the image before the first layer
    with weights (a mean, a deviation) is no weight and stays. Weights that were absent are there then.
    """
    rng = np.random.default_rng([seed, 0])
    learnt = set(learnt_constants(graph))
    behind = _behind_weights(graph)
    done: set[str] = set()
    for node in graph.nodes:
        for index, tensor in enumerate(node.inputs):
            if not isinstance(tensor, gs.Constant) or tensor.name not in learnt or tensor.name in done:
                continue
            if node.op in ARITHMETIC and node.name not in behind:
                continue
            done.add(tensor.name)
            tensor.values = _drawn(node, index, tuple(tensor.shape), rng).astype(np.float32)
    reset_norms(graph.nodes)
    state_of(graph).symbolic = False


def _drawn(node: gs.Node, index: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if node.op in FLOAT_LINEAR or node.op == "Einsum":
        if index > 1:
            return np.zeros(shape)
        return rng.normal(0, math.sqrt(2 / fan_in(node, shape)), shape)
    if node.op.endswith("Normalization"):
        return np.ones(shape) if index == 1 else np.zeros(shape)
    if node.op == "PRelu":
        return np.full(shape, 0.25)
    if node.op in ("Mul", "Div"):
        return np.ones(shape)
    if node.op in ("Gather", "Concat"):
        return rng.normal(0, _TABLE, shape)
    return np.zeros(shape)


def _behind_weights(graph: gs.Graph) -> set[str]:
    """Return the names of the nodes that read something a layer with weights made."""
    found: set[str] = set()
    for node in graph.nodes:
        above = [writer for tensor in node.inputs for writer in tensor.inputs]
        if any(writer.op in FLOAT_LINEAR or writer.name in found for writer in above):
            found.add(node.name)
    return found


def relative_rates(graph: gs.Graph, names: Collection[str]) -> dict[str, float]:
    """Return for weights how large they are beside what they would be drawn with: He's deviation.

    A network that reads pixels from 0 to 255 has first weights a hundred times smaller than others: steps of
    one size would undo them at once. Constants of one axis, as large as what they are added to, have 1.
    """
    found: dict[str, float] = {}
    for node in graph.nodes:
        if node.op not in FLOAT_LINEAR:
            continue
        weight = node.inputs[1]
        if isinstance(weight, gs.Constant) and weight.name in names:
            size = float(np.sqrt(np.mean(np.square(np.asarray(weight.values, np.float64)))))
            usual = math.sqrt(2 / fan_in(node, tuple(weight.shape)))
            if size > 0:
                found[weight.name] = size / usual
    return found
