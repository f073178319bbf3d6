"""onnxruntime sessions: batched evaluation, and early exit one image at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Array = NDArray[Any]
BATCH = 128


def session(model: onnx.ModelProto | bytes | str | Path, threads: int = 1) -> ort.InferenceSession:
    """Return a CPU session with a fixed number of threads that do not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    if isinstance(source, Path):
        source = str(source)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def batches(total: int, size: int = BATCH) -> Iterator[slice]:
    """Yield slices that cover ``range(total)``."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


@dataclass(frozen=True)
class Evaluator:
    """Runs a model on many images.

    Attributes:
        session: The session.
        batch: Images per call; 1 for a model with a hard-coded batch.
    """

    session: ort.InferenceSession
    batch: int

    @staticmethod
    def of(make: Callable[[int | str | None], onnx.ModelProto], threads: int = 2) -> Evaluator:
        """Return an evaluator of ``make("N")`` if that runs in batches, else of ``make(None)``.

        Args:
            make: Exports the model with a symbolic batch (a string) or batch 1 (``None``).
            threads: onnxruntime threads.
        """
        try:
            symbolic = session(make("N"), threads)
            probe = np.zeros([2, *symbolic.get_inputs()[0].shape[1:]], np.float32)
            results = symbolic.run(None, {symbolic.get_inputs()[0].name: probe})
            if all(r.shape[0] == 2 for r in results):
                return Evaluator(symbolic, BATCH)
        except Exception:  # whatever fails with two images is run image by image instead
            pass
        return Evaluator(session(make(None), threads), 1)

    def run(self, images: Callable[[slice], Float32], total: int, names: Sequence[str]) -> list[Array]:
        """Return the outputs ``names`` over ``total`` images, concatenated along the batch.

        Args:
            images: Gives the preprocessed float32 batch of a slice.
            total: Number of images.
            names: Output names.
        """
        parts: list[list[Array]] = [[] for _ in names]
        name = self.session.get_inputs()[0].name
        for piece in batches(total, self.batch):
            for part, value in zip(parts, self.session.run(list(names), {name: images(piece)}), strict=True):
                part.append(value)
        return [np.concatenate(p) for p in parts]


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
