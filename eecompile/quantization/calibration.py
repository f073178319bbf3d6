"""Choose integer grids from data, and round weights so that layer outputs keep their values.

Which integers a tensor may take is in the state of the graph, node by node, as the target and the core of
each layer have it. Grids come from histograms of what onnxruntime computes, by a calibrator
(:mod:`eecompile.quantization.calibrators`). Weights are then rounded layer by layer
(:mod:`eecompile.quantization.rounding`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization.calibration_names import LEAST_SQUARES
from eecompile.quantization.calibrators import bins_of, counts_sizes, grid_of
from eecompile.quantization.histograms import Tapped, look
from eecompile.quantization.rounding import RoundingWalk, hand_on_grid
from eecompile.runtime.sessions import Evaluator
from passes.errors import InputError
from passes.integers.channel_parts import channel_parts, in_one_place
from passes.integers.quantize import fused_away
from passes.model.writing import to_model
from passes.operator_sets import SAME_GRID
from passes.precision import tensor_levels
from passes.state import QuantGrid, copy_graph, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

IMAGES = 512
_WALK_BYTES = 400 * 2**20


@dataclass(frozen=True)
class Calibration:
    """What calibration did.

    Attributes:
        images: How many images it saw.
        calibration: By which calibrator.
        rounding: Node name -> how its weights were rounded.
        shifts: Node name -> what its bias would take up, [channels], if all else were in float.
    """

    images: int
    calibration: str
    rounding: dict[str, str]
    shifts: dict[str, Array]


def calibrate(
    graph: gs.Graph,
    images: Float32,
    calibration: str = LEAST_SQUARES,
    kept: Collection[str] = (),
    given: Mapping[str, QuantGrid] = MappingProxyType({}),
) -> Calibration:
    """Fill ``state.grids`` of ``graph`` and put its weights onto their grids.

    Args:
        graph: Float graph with ``state.precisions``; weights and biases are changed in place.
        images: Preprocessed float32 images, [N, …] in the layout of the model input. Neither val nor test.
        calibration: One of ``CALIBRATIONS``.
        kept: Names of nodes that stay in float; they have no precision. What only they read and write has no
            grid.
        given: Grids that are kept as they are, of activations and of weights: those of a network that came
            quantized, to which layers in float were added.

    Returns:
        What was done.

    Raises:
        InputError: No images, a shape-only model, or values that are not finite.
        ValueError: A tensor that is written and read by nodes without a precision.
    """
    state = state_of(graph)
    if state.symbolic:
        raise InputError("a shape-only model cannot be calibrated: it has no weights")
    if len(images) == 0:
        raise InputError("calibration needs at least one image")
    images = evenly(images, IMAGES)
    wanted = gridded(graph) - given.keys()
    levels = tensor_levels(graph)
    in_one_place(graph, levels)
    if unknown := sorted(wanted - levels.keys() - _around(graph, kept)):
        raise ValueError(f"no node says which integers '{unknown[0]}' may take: assign precisions first")
    wanted &= levels.keys()
    sizes = {name for name in wanted if counts_sizes(calibration, levels[name])}
    tapped = tap(graph, wanted, sizes)
    seen = look(tapped, wanted, images, lambda low, high: bins_of(calibration, low, high))
    grids = {name: grid_of(calibration, found, levels[name]) for name, found in seen.items()}
    state.grids = grids = {**grids, **given}
    for found in channel_parts(graph):
        grids |= dict.fromkeys(found.results, grids[found.join.outputs[0].name])
    for node in graph.nodes:
        hand_on_grid(node, grids)
    walk = RoundingWalk(graph, evenly(images, _walk_images(graph)), tapped.evaluator.batch, given)
    rounding = walk.run()
    return Calibration(len(images), calibration, rounding, walk.shifts)


def _around(graph: gs.Graph, kept: Collection[str]) -> set[str]:
    """Return the tensors that nodes in ``kept`` read or write, through those that only move values too."""
    nodes = [node for node in graph.nodes if node.name in kept]
    found = {t.name for node in nodes for t in (*node.inputs, *node.outputs)}
    moves = [node for node in graph.nodes if node.op in SAME_GRID]
    for node in moves:
        found |= {t.name for t in node.outputs} if node.inputs[0].name in found else set()
    for node in reversed(moves):
        found |= {node.inputs[0].name} if node.outputs[0].name in found else set()
    return found


def round_anew(graph: gs.Graph, images: Float32, weights: Collection[str]) -> None:
    """Put ``weights`` of a calibrated graph onto grids anew, all others and activations on those they have.

    Args:
        graph: Its weights are in float; its precisions say what integers they may take. Changed in place, as
            by :func:`calibrate`.
        images: As there.
        weights: Names of constants.
    """
    state = state_of(graph)
    for name in weights:
        state.grids.pop(name, None)
    batch = Evaluator.of(lambda count: to_model(copy_graph(graph), count)).batch
    RoundingWalk(graph, evenly(images, min(IMAGES, _walk_images(graph))), batch).run()


def gridded(graph: gs.Graph) -> set[str]:
    """Return the tensors that get a grid of their own.

    Not a linear result that only its activation reads (it stays in the accumulator), not logits (they
    stay float), not what only moves values (it keeps the grid it reads).
    """
    outputs = {t.name for t in graph.outputs}
    found = {graph.inputs[0].name}
    for node in graph.nodes:
        for tensor in node.outputs:
            moved = node.op in SAME_GRID
            if tensor.outputs and not fused_away(tensor) and not moved and tensor.name not in outputs:
                found.add(tensor.name)
    return found


def tap(graph: gs.Graph, wanted: Collection[str], sizes: Collection[str]) -> Tapped:
    """Return the network with all it computes of ``wanted`` as outputs."""
    entry = graph.inputs[0].name
    tapped = copy_graph(graph)
    tensors = tapped.tensors()
    names = sorted(name for name in wanted if name != entry and tensors[name].dtype == np.float32)
    tapped.outputs = [tensors[name] for name in names] or tapped.outputs
    state_of(tapped).exits = []
    tapped.cleanup(remove_unused_graph_inputs=False)
    image_bytes = sum(4 * int(np.prod(tensors[name].shape)) for name in names)
    evaluator = Evaluator.of(lambda batch: to_model(tapped, batch))
    return Tapped(evaluator, entry, names, sizes, image_bytes)


def _walk_images(graph: gs.Graph) -> int:
    """How many images fit the walk's memory: float and quantized values of the widest tensors."""
    widest = max(int(np.prod(t.shape)) for n in graph.nodes for t in n.outputs if not t.is_empty())
    return max(8, _WALK_BYTES // (6 * 4 * widest))
