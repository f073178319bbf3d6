"""Post-training quantization of a network: precisions, grids, rounding, and both files of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import Calibration, calibrate
from eecompile.quantization.equalization import Equalization, equalize
from eecompile.quantization.kept_float import keep_float
from eecompile.quantization.kept_grids import calibrate_added, is_kept
from eecompile.quantization.wishes import SchemeWish
from passes.errors import InputError
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from targets.contract.target import Target
from targets.objective import Objective

NO_WISH = SchemeWish()


@dataclass(frozen=True)
class PostTrained:
    """A quantized network.

    Attributes:
        given: In float, with its channels equalized where that was taken: what was rounded.
        calibrated: In float, with grids in its state and weights on them.
        quantized: In Q/DQ form.
        lowered: With integer operators.
        schemes: Names of the schemes in use.
        calibration: How grids and weights were found.
        equalization: What became of channels around depthwise layers; ``None``: there are none.
    """

    given: gs.Graph
    calibrated: gs.Graph
    quantized: gs.Graph
    lowered: gs.Graph
    schemes: tuple[str, ...]
    calibration: Calibration
    equalization: Equalization | None


def post_train(
    graph: gs.Graph,
    target: Target,
    objective: Objective,
    images: NDArray[np.float32],
    calibration: str,
    kept: Collection[str] = (),
    wish: SchemeWish = NO_WISH,
) -> PostTrained:
    """Quantize a copy of ``graph`` by the schemes of the cores that its layers run on.

    A network that came quantized keeps its integers.

    Args:
        graph: A float network in canonical form, with its grids where it came quantized.
        target: The accelerator.
        objective: What layers are placed for.
        images: Preprocessed training images.
        calibration: One of ``CALIBRATIONS``.
        kept: Names of nodes that stay in float.
        wish: What is wished of the numbers of layers.

    Raises:
        InputError: No layer is left to quantize; and as `assign_precisions` and `calibrate` have it.
        NoSolutionError: A layer no core takes.
    """
    calibrated = copy_graph(graph)
    if is_kept(graph):
        schemes, done = calibrate_added(calibrated, target, objective, images, calibration, wish)
        return PostTrained(copy_graph(graph), calibrated, *integer_forms(calibrated), schemes, done, None)
    schemes = assign_precisions(calibrated, target, objective, wish=wish)
    keep_float(calibrated, kept)
    if not state_of(calibrated).precisions:
        raise InputError("`keep_float` names all layers: nothing is left", "name those that lose most")
    equalization = equalize(calibrated, images, calibration, kept)
    given = copy_graph(calibrated)
    done = calibrate(calibrated, images, calibration, kept)
    return PostTrained(given, calibrated, *integer_forms(calibrated), schemes, done, equalization)


class IntegerForms(NamedTuple):
    """A calibrated network in Q/DQ form, and with integer operators."""

    quantized: gs.Graph
    lowered: gs.Graph


def integer_forms(calibrated: gs.Graph) -> IntegerForms:
    """Return both forms of a calibrated network, which is not changed."""
    quantized = copy_graph(calibrated)
    parse_pipeline("quantize")(quantized)
    lowered = copy_graph(quantized)
    parse_pipeline("fold-qdq")(lowered)
    return IntegerForms(quantized, lowered)
