"""Choose integer grids from data, and round weights so that layer outputs keep their values.

Which integers a tensor may take is in the state of the graph, node by node, as the target and the core of
each layer have it. Ranges come from onnxruntime's histogram calibrator; a step is the power of two (or the
fine step, where none is asked for) of least squared error over the histogram. Weights are then rounded layer
by layer (:mod:`eecompile.rounding`).
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.dataset import evenly
from eecompile.rounding import RoundingWalk, best_scale, hand_on_grid
from passes.errors import InputError
from passes.graph import to_model
from passes.operator_sets import SAME_GRID
from passes.precision import tensor_levels
from passes.quantize import fused_away
from passes.schemes import ZERO_POINT
from passes.state import Levels, QuantGrid, state_of

Array = NDArray[Any]
Float32 = NDArray[np.float32]

IMAGES = 512
_WALK_BYTES = 400 * 2**20
_BATCH = 64


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
        InputError: No images, or a shape-only model.
        ValueError: A tensor that is written and read by nodes without a precision.
    """
    state = state_of(graph)
    if state.symbolic:
        raise InputError("a shape-only model cannot be calibrated: it has no weights")
    if len(images) == 0:
        raise InputError("calibration needs at least one image")
    images = evenly(images, IMAGES)
    if len(images) > _BATCH:  # the histogram collector takes batches of one size only
        images = evenly(images, len(images) // _BATCH * _BATCH)
    histograms = _histograms(graph, images)
    wanted = _gridded(graph)
    levels = tensor_levels(graph)
    if unknown := sorted(wanted - levels.keys()):
        raise ValueError(f"no node says which integers '{unknown[0]}' may take: assign precisions first")
    grids = {name: _activation_grid(*h, levels[name]) for name, h in histograms.items() if name in wanted}
    state.grids = grids
    for node in graph.nodes:
        hand_on_grid(node, grids)
    walk = RoundingWalk(graph, evenly(images, _walk_images(graph)))
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


def _histograms(graph: gs.Graph, images: Float32) -> dict[str, tuple[Array, Array]]:
    """Return (counts [bins], bin centers [bins]) of every activation, by onnxruntime's calibrator."""
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._parts = ({name: images[i : i + _BATCH]} for i in range(0, len(images), _BATCH))

        def get_next(self) -> dict[str, Float32] | None:
            return next(self._parts, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        onnx.save(to_model(graph, "N"), str(path))
        calibrator = create_calibrator(
            str(path),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"num_bins": 2048, "symmetric": True},
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it prints; stdout carries our answer
            calibrator.collect_data(Reader(graph.inputs[0].name))
        found = calibrator.collector.histogram_dict
    result = {}
    for name, entry in found.items():
        counts, edges = np.asarray(entry[0], np.float64), np.asarray(entry[1], np.float64)
        result[name] = (counts, (edges[:-1] + edges[1:]) / 2)
    return result


def _activation_grid(counts: Array, centers: Array, levels: Levels) -> QuantGrid:
    used = counts > 0
    scale = best_scale(centers[used], counts[used], levels)
    return QuantGrid((scale,), ZERO_POINT, ZERO_POINT + levels.low, ZERO_POINT + levels.high, "uint8")


def _walk_images(graph: gs.Graph) -> int:
    """How many images fit the walk's memory: float and quantized values of the widest tensors."""
    widest = max(int(np.prod(t.shape)) for n in graph.nodes for t in n.outputs if not t.is_empty())
    return max(8, _WALK_BYTES // (6 * 4 * widest))
