"""Early-exit files in onnxruntime: one nested model, or one per stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.sessions import session

Float32 = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Decision:
    """What an early-exit model answered for one image."""

    logits: Float32
    exit: int
    confidence: float


class DynamicModel:
    """``model.dynamic.onnx``: one model that exits by itself."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = session(path, threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: Float32) -> Decision:
        """Classify one preprocessed image of shape [1, …]."""
        logits, number, confidence = self._session.run(None, {self._input: image})
        return Decision(logits, int(number[0]), float(confidence[0]))


class StagedModel:
    """``stages/*.onnx``: one model per stage, run until an exit is confident."""

    def __init__(self, paths: Sequence[Path], thresholds: Sequence[float | None], threads: int = 1) -> None:
        self._sessions = [session(p, threads) for p in paths]
        self._thresholds = [None if t is None else np.float32(t) for t in thresholds]

    def __call__(self, image: Float32) -> Decision:
        """Classify one preprocessed image of shape [1, …]."""
        carried: Array = image
        for number, (stage, threshold) in enumerate(zip(self._sessions, self._thresholds, strict=True)):
            logits, confidence, *handed_on = stage.run(None, {stage.get_inputs()[0].name: carried})
            if threshold is None or confidence[0] >= threshold:
                return Decision(logits, number, float(confidence[0]))
            carried = handed_on[0]
        raise AssertionError("the last stage has no threshold")
