"""Choose integer grids from data, and round weights so that layer outputs keep their values.

Which integers a tensor may take is in the state of the graph, node by node, as the target and the core of
each layer have it. Ranges come from histograms of what onnxruntime computes; a step is the power of two (or
the fine step, where none is asked for) of least squared error over the histogram. Weights are then rounded
layer by layer (:mod:`eecompile.quantization.rounding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.quantization.rounding import RoundingWalk, best_scale, hand_on_grid
from eecompile.runtime.sessions import Evaluator, batches
from passes.errors import InputError
from passes.integers.quantize import fused_away
from passes.integers.schemes import ZERO_POINT
from passes.model.writing import to_model
from passes.number_formats import Levels
from passes.operator_sets import SAME_GRID
from passes.precision import tensor_levels
from passes.state import QuantGrid, copy_graph, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

IMAGES = 512
_WALK_BYTES = 400 * 2**20
_BINS = 2048
_PIECE = 64


@dataclass(frozen=True)
class Calibration:
    """What calibration did: how many images it saw, and which layers were rounded how."""

    images: int
    rounding: dict[str, str]


def calibrate(
    graph: gs.Graph,
    images: Float32,
) -> Calibration:
    """Fill ``state.grids`` of ``graph`` and put its weights onto their grids.

    Args:
        graph: Float graph with ``state.precisions``; weights and biases are changed in place.
        images: Preprocessed float32 images, [N, …] in the layout of the model input. Neither val nor test.

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
    wanted = _gridded(graph)
    levels = tensor_levels(graph)
    if unknown := sorted(wanted - levels.keys()):
        raise ValueError(f"no node says which integers '{unknown[0]}' may take: assign precisions first")
    evaluator, histograms = _histograms(graph, wanted, images)
    grids = {name: _activation_grid(*found, levels[name]) for name, found in histograms.items()}
    state.grids = grids
    for node in graph.nodes:
        hand_on_grid(node, grids)
    walk = RoundingWalk(graph, evenly(images, _walk_images(graph)), evaluator.batch)
    return Calibration(len(images), walk.run())


def _gridded(graph: gs.Graph) -> set[str]:
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


def _histograms(
    graph: gs.Graph, wanted: set[str], images: Float32
) -> tuple[Evaluator, dict[str, tuple[Array, Array]]]:
    """Return what ran the graph, and (counts [bins], bin centers [bins]) of the sizes of ``wanted``.

    The network runs twice, for the ranges and for the counts: activations of few images exist at once.
    """
    entry = graph.inputs[0].name
    tapped = copy_graph(graph)
    tensors = tapped.tensors()
    names = sorted(name for name in wanted - {entry} if tensors[name].dtype == np.float32)
    tapped.outputs = [tensors[name] for name in names] or tapped.outputs
    state_of(tapped).exits = []
    tapped.cleanup(remove_unused_graph_inputs=False)
    evaluator = Evaluator.of(lambda batch: to_model(tapped, batch))

    def sizes() -> Iterator[tuple[str, Array]]:
        for piece in batches(len(images), _PIECE):
            part = images[piece]
            values = evaluator.run(part.__getitem__, len(part), names) if names else []
            yield entry, np.abs(part)
            yield from zip(names, map(np.abs, values), strict=True)

    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, size in sizes():
        low[name] = min(low.get(name, np.inf), float(size.min()))
        high[name] = max(high.get(name, 0.0), float(size.max()))
        if not np.isfinite(size).all():
            raise InputError(
                f"'{name}' becomes NaN or infinite on training images",
                "check the preprocessing of the images and the weights of the network",
            )
    counts = {name: np.zeros(_BINS) for name in low}
    edges: dict[str, Array] = {}
    for name, size in sizes():
        # Edges between neighbouring float32, and the sum of two of them, need not be float32.
        ends = (low[name], high[name]) if low[name] < high[name] else (high[name] / 2, high[name] or 1.0)
        found, edges[name] = np.histogram(size.astype(np.float64), _BINS, ends)
        counts[name] += found
    return evaluator, {name: (counts[name], (e[:-1] + e[1:]) / 2) for name, e in edges.items()}


def _activation_grid(counts: Array, centers: Array, levels: Levels) -> QuantGrid:
    used = counts > 0
    scale = best_scale(centers[used], counts[used], levels)
    return QuantGrid((scale,), ZERO_POINT, ZERO_POINT + levels.low, ZERO_POINT + levels.high, "uint8")


def _walk_images(graph: gs.Graph) -> int:
    """How many images fit the walk's memory: float and quantized values of the widest tensors."""
    widest = max(int(np.prod(t.shape)) for n in graph.nodes for t in n.outputs if not t.is_empty())
    return max(8, _WALK_BYTES // (6 * 4 * widest))
