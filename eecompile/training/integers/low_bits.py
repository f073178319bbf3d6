"""Weights of few bits, trained first with more: the grids of each stage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.quantization.calibration import round_anew
from eecompile.training.recipe import LOW_BITS
from passes.integers.analog import in_array
from passes.number_formats import Levels
from passes.operator_sets import QUANTIZED_LINEAR
from passes.state import state_of

Float32 = NDArray[np.float32]


def fewest_bits(graph: gs.Graph, learnt: Collection[str]) -> int:
    """Return the bits of the narrowest of the weights ``learnt``; 8 where there are none with a grid."""
    return min((levels.bits for _, levels in _weighted(graph, learnt)), default=8)


def from_float(graph: gs.Graph, given: gs.Graph, learnt: Collection[str]) -> None:
    """Give layers with weights of few bits back what they have in ``given``, as rounding took it."""
    nodes = {node.name: node for node in given.nodes}
    for node, levels in _weighted(graph, learnt):
        if levels.bits < LOW_BITS:
            for index, tensor in enumerate(node.inputs[1:], start=1):
                source = nodes[node.name].inputs[index : index + 1]
                held = source and isinstance(source[0], gs.Constant)
                tensor.values = np.array(source[0].values) if held else np.zeros_like(tensor.values)


def round_to(graph: gs.Graph, learnt: Collection[str], bits: int, images: Float32) -> None:
    """Round weights of few bits to ``bits``, or to their own where these are more, as calibration does.

    Each layer makes up for what those before it lost, biases too: rounded to the nearest, a network is mostly
    further from itself than training brings it back.

    Args:
        graph: A calibrated graph; its weights may lie beside their grids.
        learnt: Names of the constants that are learnt.
        bits: Of the stage.
        images: Preprocessed training images, [N, …].
    """
    state, final = state_of(graph), dict(state_of(graph).precisions)
    few = [(node, levels) for node, levels in _weighted(graph, learnt) if levels.bits < LOW_BITS]
    for node, levels in few:
        state.precisions[node.name] = replace(final[node.name], weights=widened(levels, bits))
    round_anew(graph, images, {node.inputs[1].name for node, _ in few})
    state.precisions = final


def widened(levels: Levels, bits: int) -> Levels:
    """Return integers of ``bits`` around 0 in place of ``levels``, or ``levels`` where they have as many."""
    if bits <= levels.bits:
        return levels
    top = 2 ** (bits - 1) - 1
    return replace(levels, low=-top, high=top, bits=bits)


def _weighted(graph: gs.Graph, learnt: Collection[str]) -> Iterator[tuple[gs.Node, Levels]]:
    """Yield the layers whose weights are learnt and have a grid, and the integers these may take.

    Not those of analog arrays, which have no other bits.
    """
    state = state_of(graph)
    for node in graph.nodes:
        precision = state.precisions.get(node.name)
        levels = None if precision is None or in_array(node, precision) else precision.weights
        if node.op not in QUANTIZED_LINEAR or levels is None:
            continue
        if node.inputs[1].name in learnt and node.inputs[1].name in state.grids:
            yield node, levels
