"""A supernet in the numbers of its design: calibrated, and its answers."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.exits.answers import answers
from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import IMAGES, calibrate
from eecompile.quantization.layer_schemes import weighted_layers
from eecompile.quantization.wishes import SchemeWish
from eecompile.search.worth.images import SearchImages
from passes.registry import parse_pipeline
from passes.state import copy_graph
from targets.contract.target import Target
from targets.objective import Objective

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Numbers:
    """With which numbers networks compute on a target.

    Attributes:
        target: The accelerator.
        objective: What layers are placed for.
        quantized: Networks are quantized; if not they answer in float and cost as if they were.
    """

    target: Target
    objective: Objective
    quantized: bool = True

    def assigned(self, graph: gs.Graph, wish: SchemeWish) -> gs.Graph:
        """Return a copy that knows with which numbers each node computes.

        Raises:
            InputError: A layer cannot have the numbers that are wished for.
            NoSolutionError: No core takes a layer.
        """
        found = copy_graph(graph)
        self._assign(found, wish)
        return found

    def schemes(self, graph: gs.Graph, wish: SchemeWish) -> tuple[str, ...]:
        """Return the names of the schemes that :meth:`assigned` gives the nodes of a network."""
        return self._assign(copy_graph(graph), wish)

    def _assign(self, graph: gs.Graph, wish: SchemeWish) -> tuple[str, ...]:
        part = wish.of_part(weighted_layers(graph, self.target)) if wish else wish
        return assign_precisions(graph, self.target, self.objective, wish=part)

    def calibrated(self, graph: gs.Graph, wish: SchemeWish, images: SearchImages) -> gs.Graph:
        """Return a copy with integer grids, and weights on them."""
        found = self.assigned(graph, wish)
        calibrate(found, images.preprocess.apply(evenly(images.dataset.train.x, IMAGES)))
        return found

    def lowered(self, calibrated: gs.Graph) -> gs.Graph:
        """Return a calibrated network with integer operators."""
        found = copy_graph(calibrated)
        parse_pipeline("quantize,fold-qdq")(found)
        return found


def logits_of(graph: gs.Graph, split: Split, images: SearchImages) -> tuple[Float32, ...]:
    """Return what all exits of a network answer, [images, classes] each, the final one last."""
    return answers(graph, split, images.preprocess).logits


def packed(logits: tuple[Float32, ...]) -> bytes:
    """Return logits as the cache keeps them."""
    stream = io.BytesIO()
    np.savez(stream, *logits)
    return stream.getvalue()


def unpacked(data: bytes) -> tuple[Float32, ...]:
    """Return the logits that were packed."""
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return tuple(found[f"arr_{number}"] for number in range(len(found.files)))
