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
        self._reads = [[t.name for t in stage.get_inputs()] for stage in self._sessions]
        self._writes = [[t.name for t in stage.get_outputs()] for stage in self._sessions]

    def __call__(self, image: Float32) -> Decision:
        """Classify one preprocessed image of shape [1, …]."""
        known: dict[str, Array] = {self._reads[0][0]: image}  # what stages were given and handed on
        for number, (stage, threshold) in enumerate(zip(self._sessions, self._thresholds, strict=True)):
            found = stage.run(None, {name: known[name] for name in self._reads[number]})
            logits, confidence, *_ = found
            if threshold is None or confidence[0] >= threshold:
                return Decision(logits, number, float(confidence[0]))
            known.update(zip(self._writes[number][2:], found[2:], strict=True))
        raise AssertionError("the last stage has no threshold")
