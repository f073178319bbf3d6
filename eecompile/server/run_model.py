"""A run directory as it is served: the stages of `EarlyExitSession`, one call each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eecompile.run_files.samples import read_samples
from eecompile.runtime.compiled_files import Recorded, from_directory
from eecompile.runtime.early_exit import NO_LABEL, Decisions
from eecompile.runtime.early_exit_session import EarlyExitSession
from eecompile.runtime.preprocess import PIXEL_WHITE
from eecompile.server.contract import Answered, Array, GoesOn, History, Known, TensorSpec
from passes.errors import InputError

IMAGES = "images"
_LABEL, _EXIT, _CONFIDENCE, _LOGITS = "label", "exit", "confidence", "logits"


class RunModel:
    """A run directory.

    Args:
        folder: The directory.
        threads: Of onnxruntime, for one stage.

    Attributes:
        session: The whole network, for who does not decide between two stages.

    Raises:
        InputError: No run with a trained network, or a damaged one.
    """

    platform = "onnx_onnxv1"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        if not folder.is_dir():
            raise InputError(f"there is no directory {folder}", "give one that `run` wrote")
        self.folder = folder
        session = EarlyExitSession(folder, threads=threads)
        assert session.staged is not None  # as of every directory
        self.session, self._staged = session, session.staged
        recorded, stages = from_directory(folder)
        self.files = (folder / "summary.json", folder / "run.json", *stages)
        self.exits = recorded.exits
        self.largest_batch = None if self._staged.batched else 1
        entry, logits = self._staged.sessions[0].get_inputs()[0], self._staged.sessions[0].get_outputs()[0]
        self._model_shape, self._classes = tuple(entry.shape[1:]), int(logits.shape[1])
        rule = session.preprocess
        kinds: tuple[str, ...] = ("UINT8", "FP32") if rule.white == PIXEL_WHITE else ("FP32", "UINT8")
        if rule.white is None:
            kinds = ("FP32",)
        self.inputs = (TensorSpec(IMAGES, kinds, (-1, *(rule.shape or self._model_shape))),)
        self.outputs = (
            TensorSpec(_LOGITS, ("FP32",), (-1, self._classes)),
            TensorSpec(_LABEL, ("INT64",), (-1,)),
            TensorSpec(_EXIT, ("INT64",), (-1,)),
            TensorSpec(_CONFIDENCE, ("FP32",), (-1,)),
        )
        self.parameters: Mapping[str, Any] = {
            "exits": list(self.exits),
            "thresholds": list(recorded.thresholds),
            "class_names": list(session.class_names),
            "preprocess": rule.name,
        }
        self.history = _history(folder, recorded)
        self._probes: list[Known] = [self._staged.first(np.zeros((1, *self._model_shape), np.float32))]

    def admit(self, tensors: Mapping[str, Array]) -> Sequence[Known | Answered]:
        """Preprocess images; one that holds NaN is answered at once, as `EarlyExitSession` answers it."""
        batch = self.session.model_input(tensors[IMAGES])
        unknown = np.atleast_1d(np.isnan(batch.reshape(len(batch), -1)).any(axis=1))
        return [
            self._nothing() if unknown[n] else self._staged.first(batch[n : n + 1]) for n in range(len(batch))
        ]

    def run_stage(self, stage: int, images: Sequence[Known]) -> Sequence[Answered | GoesOn]:
        """Run a stage for some images at once."""
        step = self._staged.step(stage, _together(images))
        if len(images) == 1 and not step.leaves[0]:
            return [GoesOn(step.known, float(step.confidence[0]))]
        left_at = np.full(len(images), stage, np.int64)
        found = Decisions.of(step.logits, left_at, step.confidence)
        rows = [slice(n, n + 1) for n in range(len(images))]
        return [
            _answer(found[row])
            if step.leaves[n]
            else GoesOn(
                {name: value[row].copy() for name, value in step.known.items()}, float(step.confidence[n])
            )
            for n, row in enumerate(rows)
        ]

    def probe(self, stage: int) -> Known:
        """Return what an image of zeros brings along to a stage."""
        while len(self._probes) <= stage:
            self._probes.append(self._staged.step(len(self._probes) - 1, self._probes[-1]).known)
        return self._probes[stage]

    def _nothing(self) -> Answered:
        logits = np.full((1, self._classes), np.nan, np.float32)
        last = np.array([len(self.exits) - 1])
        return _answer(Decisions.of(logits, last, np.array([np.nan], np.float32)))


def _together(images: Sequence[Known]) -> Known:
    if len(images) == 1:
        return images[0]
    return {name: np.concatenate([image[name] for image in images]) for name in images[0]}


def outputs_of(found: Decisions) -> Known:
    """Return the outputs of a model by name, [N, …] each."""
    return {
        _LOGITS: found.logits,
        _LABEL: found.label,
        _EXIT: found.exit,
        _CONFIDENCE: found.confidence,
    }


def _answer(found: Decisions) -> Answered:
    return Answered(int(found.exit[0]), outputs_of(found), bool(found.label[0] == NO_LABEL))


def _history(folder: Path, recorded: Recorded) -> History:
    """Return the answers on val that a run keeps; without them, where test images left."""
    samples = read_samples(folder, len(recorded.exits))
    if samples is None:
        return History(recorded.seen)
    leaves = samples.val.leaves_at(recorded.thresholds)
    return History(recorded.seen, samples.val.confidence.astype(np.float64), leaves)
