"""The parts of a network in onnxruntime, for evaluation: features of images, and answers behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnxruntime as ort
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import BATCH, batches, session
from passes.exits.split_parts import device_segments, later_part
from passes.model.writing import to_model

Array = NDArray[Any]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class CutParts:
    """Both sides of a cut.

    Attributes:
        first: From the input to the tensor; ``None`` where that is the input.
        later: From the tensor to the final logits.
        batch: How many images run at once.
    """

    first: ort.InferenceSession | None
    later: ort.InferenceSession
    batch: int

    @staticmethod
    def of(graph: gs.Graph, tensor: str, symbolic: bool, threads: int = 1) -> CutParts:
        """Return both sides of ``tensor``; ``symbolic``: the network takes any number of images."""
        size = "N" if symbolic else None
        before = device_segments(graph, (), tensor)
        return CutParts(
            session(to_model(before[0], size), threads) if before else None,
            session(to_model(later_part(graph, tensor), size), threads),
            BATCH if symbolic else 1,
        )

    def features(self, images: Float32) -> Array:
        """Return the tensor [N, ...] for model inputs [N, ...]."""
        if self.first is None:
            return images
        return _run(self.first, images, self.batch)

    def logits(self, features: Array) -> Float32:
        """Return the final logits [N, classes] behind features [N, ...]."""
        return _run(self.later, features, self.batch)


def each_batch(split: Split, preprocess: Preprocess, use: Callable[[slice, Float32], None]) -> None:
    """Call ``use`` with the model input of each piece of a split."""
    for piece in batches(len(split), BATCH):
        use(piece, preprocess.apply(split.x[piece]))


def labels_of(parts: CutParts, split: Split, preprocess: Preprocess) -> NDArray[np.int64]:
    """Return the largest final logit of each image of a split, [N]."""
    found = np.empty(len(split), np.int64)

    def use(piece: slice, images: Float32) -> None:
        found[piece] = parts.logits(parts.features(images)).argmax(1)

    each_batch(split, preprocess, use)
    return found


def _run(runner: ort.InferenceSession, values: Array, batch: int) -> Array:
    name = runner.get_inputs()[0].name
    found = [runner.run(None, {name: values[piece]})[0] for piece in batches(len(values), batch)]
    return found[0] if len(found) == 1 else np.concatenate(found)
