"""Early-exit files in onnxruntime: one nested model, or one per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.sessions import session

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Array = NDArray[Any]
NO_LABEL = -1


@dataclass(frozen=True)
class Decision:
    """What an early-exit model answered for one image."""

    logits: Float32
    exit: int
    confidence: float


@dataclass(frozen=True)
class Decisions:
    """What an early-exit model answered for N images, in their order.

    Attributes:
        label: int64 [N], the largest logit; -1 where the logits hold NaN.
        exit: int64 [N], index into ``exits`` of ``summary.json``; the final exit is the last of them.
        confidence: float32 [N], of the exit that was taken.
        logits: float32 [N, classes], of the exit that was taken.
    """

    label: Int64
    exit: Int64
    confidence: Float32
    logits: Float32

    def __len__(self) -> int:
        return len(self.exit)

    def __getitem__(self, images: slice) -> Decisions:
        """Return the answers of some of the images."""
        return Decisions(self.label[images], self.exit[images], self.confidence[images], self.logits[images])

    @staticmethod
    def of(logits: Float32, left_at: Int64, confidence: Float32) -> Decisions:
        """Return the answers with their labels."""
        label: Int64 = logits.argmax(axis=1)
        if np.isnan(logits.max()):  # as it is if one of them is
            label[np.isnan(logits).any(axis=1)] = NO_LABEL
        return Decisions(label, left_at, confidence, logits)


class DynamicModel:
    """``model.dynamic.onnx``: one model that exits by itself."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.session = session(path, threads)
        self._input = self.session.get_inputs()[0].name

    def __call__(self, image: Float32) -> Decision:
        """Classify one preprocessed image of shape [1, …]."""
        logits, number, confidence = self.session.run(None, {self._input: image})
        return Decision(logits, int(number[0]), float(confidence[0]))

    def decide(self, image: Float32) -> Decisions:
        """Classify one preprocessed image of shape [1, …]."""
        logits, number, confidence = self.session.run(None, {self._input: image})
        return Decisions.of(logits, number, confidence)


@dataclass(frozen=True)
class StageStep:
    """What one stage gave for its N images.

    Attributes:
        logits: float32 [N, classes].
        confidence: float32 [N].
        leaves: bool [N], which images leave here.
        known: What later stages read of all N, by name, [N, …] each.
    """

    logits: Float32
    confidence: Float32
    leaves: NDArray[np.bool_]
    known: dict[str, Array]


class StagedModel:
    """``stages/*.onnx``: one model per stage, run until an exit is confident.

    A stage gives logits, confidence, and what later stages read by name.

    Attributes:
        batched: Whether the stages were written for any number of images.
    """

    def __init__(self, paths: Sequence[Path], thresholds: Sequence[float | None], threads: int = 1) -> None:
        self.sessions = [session(p, threads) for p in paths]
        self._thresholds = [None if t is None else np.float32(t) for t in thresholds]
        self._reads = [[t.name for t in stage.get_inputs()] for stage in self.sessions]
        self._writes = [[t.name for t in stage.get_outputs()] for stage in self.sessions]
        self._later = [{n for reads in self._reads[k:] for n in reads} for k in range(1, len(paths) + 1)]
        entries = [entry for stage in self.sessions for entry in stage.get_inputs()]
        self.batched = all(isinstance(entry.shape[0], str) for entry in entries)

    def __call__(self, image: Float32) -> Decision:
        """Classify one preprocessed image of shape [1, …]."""
        known: dict[str, Array] = {self._reads[0][0]: image}  # what stages were given and handed on
        for number, (stage, threshold) in enumerate(zip(self.sessions, self._thresholds, strict=True)):
            found = stage.run(None, {name: known[name] for name in self._reads[number]})
            logits, confidence, *_ = found
            if threshold is None or confidence[0] >= threshold:
                return Decision(logits, number, float(confidence[0]))
            known.update(zip(self._writes[number][2:], found[2:], strict=True))
        raise AssertionError("the last stage has no threshold")

    def first(self, images: Float32) -> dict[str, Array]:
        """Return what the first stage reads of preprocessed images [N, …]."""
        return {self._reads[0][0]: images}

    def step(self, number: int, known: Mapping[str, Array]) -> StageStep:
        """Run stage ``number`` on what its images bring along, [N, …] each, by the names that it reads.

        An image whose logits hold NaN does not leave early, whatever its confidence.
        """
        reads = self._reads[number]
        logits, confidence, *more = self.sessions[number].run(None, {name: known[name] for name in reads})
        threshold = self._thresholds[number]
        leaves = np.ones(len(logits), np.bool_)
        if threshold is not None:
            leaves = (confidence >= threshold) & ~np.isnan(logits).any(axis=1)
        found = {**known, **dict(zip(self._writes[number][2:], more, strict=True))}
        later = self._later[number]
        return StageStep(logits, confidence, leaves, {n: value for n, value in found.items() if n in later})

    def decide(self, images: Float32) -> Decisions:
        """Classify preprocessed images [N, …]; each stage runs on those that are still in, in their order."""
        total = len(images)
        inside = np.arange(total)
        known = self.first(images)
        left_at, confidence = np.empty(total, np.int64), np.empty(total, np.float32)
        logits: Float32 | None = None
        for number in range(len(self.sessions)):
            step = self.step(number, known)
            if logits is None:
                logits = np.empty((total, step.logits.shape[1]), np.float32)
            rows, stay = inside[step.leaves], ~step.leaves
            logits[rows], left_at[rows] = step.logits[step.leaves], number
            confidence[rows], known = step.confidence[step.leaves], step.known
            if not stay.any():
                return Decisions.of(logits, left_at, confidence)
            if len(rows):
                inside = inside[stay]
                known = {name: value[stay] for name, value in known.items()}
        raise AssertionError("the last stage has no threshold")
