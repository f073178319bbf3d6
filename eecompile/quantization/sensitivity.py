"""Which layers quantization hurts: each alone in integers, and each alone in float."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization.kept_float import nodes_of
from eecompile.runtime.sessions import Evaluator, session
from passes.integers.quantize import Quantize
from passes.macs import node_macs
from passes.model.writing import to_model
from passes.operator_sets import QUANTIZED_LINEAR
from passes.precision import tensor_levels
from passes.progress import each
from passes.state import copy_graph, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

IMAGES = 128
_LEAST_IMAGES = 8
# Multiply-accumulates that all networks of a table may take together: some ten seconds of one processor.
_WORK = 2e11
# What is not disturbed at all has this ratio of signal to noise.
MOST_DB = 120.0


@dataclass(frozen=True)
class Disturbance:
    """How far the answers of a network are from those in float.

    Attributes:
        sqnr_db: Variance of the logits over squared error, in dB, the mean over exits of both; at most
            ``MOST_DB``.
        divergence: Kullback-Leibler divergence of the probabilities from those in float, in nats, mean over
            images and exits.
    """

    sqnr_db: float
    divergence: float

    @property
    def noise(self) -> float:
        """Squared error over variance."""
        return float(10 ** (-self.sqnr_db / 10))


@dataclass(frozen=True)
class LayerSensitivity:
    """What quantizing one layer does.

    Attributes:
        layer: Its name.
        only: Only this layer is quantized.
        without: All layers but this one are.
    """

    layer: str
    only: Disturbance
    without: Disturbance


def sensitivities(
    graph: gs.Graph,
    calibrated: gs.Graph,
    layers: Mapping[str, str],
    shifts: Mapping[str, Array],
    images: Float32,
) -> tuple[int, list[LayerSensitivity]]:
    """Return how many images were run, and one entry per layer that is quantized, in their order.

    Weights are those that were rounded for the whole network. Where a layer is quantized alone its bias makes
    up for its own rounding only. Large networks see fewer images, by their work.

    Args:
        graph: The float network.
        calibrated: What calibration made of it.
        layers: Node name -> name of its layer.
        shifts: ``Calibration.shifts``.
        images: Preprocessed images, as calibration had them.
    """
    quantized = state_of(calibrated).precisions.keys()
    named = dict.fromkeys(layers[node.name] for node in graph.nodes if node.name in quantized)
    work = max(1, sum(node_macs(node) for node in graph.nodes)) * (2 * len(named) + 1)
    images = evenly(images, int(np.clip(_WORK // work, _LEAST_IMAGES, IMAGES)))
    names = [item.output for item in state_of(graph).exits]
    evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    real = evaluator.run(images.__getitem__, len(images), names)

    def disturbed(nodes: Collection[str], own: bool) -> Disturbance:
        made = _partly(graph, calibrated, nodes, shifts if own else {})
        runner = Evaluator(session(to_model(made, "N" if evaluator.batch > 1 else None), 2), evaluator.batch)
        return disturbance(real, runner.run(images.__getitem__, len(images), names))

    found = []
    for layer in each(named, "layers", len(named)):
        of_layer = nodes_of(graph, dict(layers), [layer])
        only, without = quantized & of_layer, quantized - of_layer
        found.append(LayerSensitivity(layer, disturbed(only, True), disturbed(without, False)))
    return len(images), found


def disturbance(real: Sequence[Float32], found: Sequence[Float32]) -> Disturbance:
    """Return how far logits are from those in float; both [N, classes] per exit."""
    noise, divergence = [], []
    for one, other in zip(real, found, strict=True):
        signal = float(np.var(one, dtype=np.float64)) or 1.0
        noise.append(float(np.mean((one.astype(np.float64) - other) ** 2)) / signal)
        p, q = _log_probabilities(one), _log_probabilities(other)
        divergence.append(float((np.exp(p) * (p - q)).sum(axis=1).mean()))
    least = 10 ** (-MOST_DB / 10)
    decibel = -10 * np.log10(max(float(np.mean(noise)), least))
    return Disturbance(float(decibel), max(0.0, float(np.mean(divergence))))


def ranked(found: Sequence[LayerSensitivity]) -> list[LayerSensitivity]:
    """Return the layers, first those that disturb most where they alone are quantized."""
    return sorted(found, key=lambda entry: (-entry.only.noise, entry.layer))


def worst(found: Sequence[LayerSensitivity]) -> tuple[tuple[str, ...], float]:
    """Return the first of the ranking that together make half of the noise or more, and their share of it."""
    total = sum(entry.only.noise for entry in found)
    taken: list[LayerSensitivity] = []
    for entry in ranked(found):
        if taken and sum(e.only.noise for e in taken) >= total / 2:
            break
        taken.append(entry)
    return tuple(e.layer for e in taken), sum(e.only.noise for e in taken) / total


def _log_probabilities(logits: Float32) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _partly(
    graph: gs.Graph, calibrated: gs.Graph, nodes: Collection[str], shifts: Mapping[str, Array]
) -> gs.Graph:
    """Return the network with only ``nodes`` quantized; biases are the given ones, plus ``shifts``."""
    made = copy_graph(calibrated)
    state = state_of(made)
    state.precisions = {name: found for name, found in state.precisions.items() if name in nodes}
    given = {node.name: node for node in graph.nodes}
    weights = set()
    for node, original in _linear(made, given):
        weights |= {node.inputs[1].name} if node.name in nodes else set()
        if node.name not in nodes:
            node.inputs[1].values = original.inputs[1].values
        if node.name not in nodes or node.name in shifts:
            _set_bias(node, original, shifts.get(node.name) if node.name in nodes else None)
    wanted = tensor_levels(made).keys() | weights
    state.grids = {name: grid for name, grid in state.grids.items() if name in wanted}
    if state.grids:
        Quantize()(made)
    return made


def _linear(made: gs.Graph, given: Mapping[str, gs.Node]) -> Iterator[tuple[gs.Node, gs.Node]]:
    """Yield the nodes with constant weights, and what they were in float."""
    for node in made.nodes:
        if node.op in QUANTIZED_LINEAR and isinstance(node.inputs[1], gs.Constant):
            yield node, given[node.name]


def _set_bias(node: gs.Node, original: gs.Node, shift: Array | None) -> None:
    """Give ``node`` the bias of ``original``, plus ``shift``."""
    bias = original.inputs[2].values if len(original.inputs) > 2 else None
    if shift is not None:
        bias = (shift if bias is None else bias + shift).astype(np.float32)
    kept = list(node.inputs[:2])
    node.inputs = kept if bias is None else [*kept, gs.Constant(f"{node.name}/given_bias", bias)]
