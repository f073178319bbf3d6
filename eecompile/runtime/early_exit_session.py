"""A compiled network as a session that takes raw images: what a program that uses it needs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eecompile.runtime.compiled_files import (
    DYNAMIC,
    class_names,
    from_directory,
    from_metadata,
    same_threshold,
)
from eecompile.runtime.drift import WINDOW, DriftWarning, ExitCounts, ExitWatch
from eecompile.runtime.early_exit import NO_LABEL, Decisions, DynamicModel, Float32, StagedModel
from eecompile.runtime.sessions import CANNOT_LOAD, said
from passes.errors import InputError

MAX_BATCH = 64


class EarlyExitSession:
    """Runs a compiled network on raw images, each as far as it needs.

    One image runs through ``model.dynamic.onnx``, which stops by itself. Several run stage by stage, and only
    those that no exit was sure of enter the next stage; where the network holds one image at a time, or only
    ``model.dynamic.onnx`` was given, they run one after the other. May be used by many threads at once.

    Args:
        path: A run directory, or a ``model.dynamic.onnx`` that `run` wrote.
        threads: Threads of onnxruntime for one call.
        max_batch: Images that run together at most: what they need between two stages has to be kept.
        window: After so many images their exits are compared with those at compile time; see `DriftWarning`.

    Attributes:
        exits: Names of the exits, the final one last.
        class_names: What classes are called, by the numbers of labels; empty where the data named none.
        staged: The network stage by stage, for who decides between two stages what runs next; ``None`` where
            only ``model.dynamic.onnx`` was given.
        preprocess: From raw images to the model's input.
        watch: Counts exits; `answer` does, who runs stages has to.

    Raises:
        InputError: No compiled network, a damaged one, or files of two runs.
    """

    def __init__(
        self, path: str | Path, *, threads: int = 1, max_batch: int = MAX_BATCH, window: int = WINDOW
    ) -> None:
        for name, value in (("threads", threads), ("max_batch", max_batch), ("window", window)):
            if value < 1:
                raise InputError(f"{name} is {value}", "give at least 1")
        path = Path(path)
        if not path.exists():
            raise InputError(f"there is no {path}", f"give a run directory or its {DYNAMIC}")
        self._max_batch = max_batch
        self.staged: StagedModel | None = None
        if path.is_dir():
            recorded, stages = from_directory(path)
            file = path / DYNAMIC
            self._nested = _loaded(file, threads)
            self.staged = _loaded_stages(stages, recorded.thresholds, threads)
            for number, (stage, of_stage) in enumerate(zip(self.staged.sessions, stages, strict=True)):
                same_threshold(stage.get_modelmeta().custom_metadata_map, recorded, number, of_stage)
            _same_classes(self.staged, recorded.exits, path)
        else:
            file = path
            self._nested = _loaded(path, threads)
            recorded = from_metadata(self._nested.session.get_modelmeta().custom_metadata_map, path)
        outputs = [t.name for t in self._nested.session.get_outputs()]
        if outputs != ["logits", "exit", "confidence"]:
            raise InputError(
                f"{path} gives {', '.join(outputs)}: it does not exit by itself", f"give {DYNAMIC}"
            )
        self.exits = recorded.exits
        self.class_names = class_names(self._nested.session.get_modelmeta().custom_metadata_map, file)
        self.preprocess = recorded.preprocess
        self._wanted = tuple(self._nested.session.get_inputs()[0].shape[1:])
        self.watch = ExitWatch(recorded.exits, recorded.seen, window)

    @property
    def counts(self) -> ExitCounts:
        """Where images left since the session was made."""
        return self.watch.counts

    @property
    def batched(self) -> bool:
        """Whether several images run together."""
        return self.staged is not None and self.staged.batched

    def run(self, images: NDArray[Any]) -> Decisions:
        """Classify raw images.

        An image that holds NaN, or whose logits do, gets the label -1 and the final exit, and is counted.

        Args:
            images: uint8 or float32 [N, C, H, W], or in the shape of the data of the run; float32 on the
                scale of those data.

        Returns:
            Label, exit, confidence and logits of every image, in their order.

        Raises:
            InputError: Another type or shape, or no image.
        """
        return self.answer(self.model_input(images))

    def model_input(self, images: NDArray[Any]) -> Float32:
        """Return raw images as the model reads them; raises as `run` does."""
        if not isinstance(images, np.ndarray):
            raise InputError(f"images are a {type(images).__name__}", "give a numpy array")
        return self.preprocess.model_input(images, self._wanted)

    def answer(self, batch: Float32) -> Decisions:
        """Classify what `model_input` returned; warns of drift (`DriftWarning`)."""
        found = self._without_numbers(batch, self._decide(batch))
        if told := self.watch.add(found.exit, int(np.count_nonzero(found.label == NO_LABEL))):
            warnings.warn(told, DriftWarning, stacklevel=3)
        return found

    def _decide(self, batch: Float32) -> Decisions:
        if len(batch) == 1:
            return self._nested.decide(batch)
        if self.staged is not None and self.staged.batched:
            parts = [self.staged.decide(part) for part in _cut(batch, self._max_batch)]
        else:
            parts = [self._nested.decide(image) for image in _cut(batch, 1)]
        if len(parts) == 1:
            return parts[0]
        joined = [np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])]
        return Decisions(*joined)

    def _without_numbers(self, batch: Float32, found: Decisions) -> Decisions:
        """Take the answers of images that hold NaN away: integers that were made of NaN mean nothing."""
        if not np.isnan(batch.sum()):
            return found
        unknown = np.isnan(batch.reshape(len(batch), -1)).any(axis=1)  # infinities may add up to NaN, too
        label, left_at = found.label.copy(), found.exit.copy()
        confidence, logits = found.confidence.copy(), found.logits.copy()
        label[unknown], left_at[unknown] = NO_LABEL, len(self.exits) - 1
        confidence[unknown], logits[unknown] = np.nan, np.nan
        return Decisions(label, left_at, confidence, logits)


def _cut(batch: Float32, size: int) -> list[Float32]:
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def _loaded(path: Path, threads: int) -> DynamicModel:
    try:
        return DynamicModel(path, threads)
    except CANNOT_LOAD as error:
        raise InputError(f"{path} cannot be loaded: {said(error)}", "give a model that `run` wrote") from None


def _loaded_stages(paths: list[Path], thresholds: tuple[float | None, ...], threads: int) -> StagedModel:
    try:
        return StagedModel(paths, thresholds, threads)
    except CANNOT_LOAD as error:
        raise InputError(f"{paths[0].parent} cannot be loaded: {said(error)}", "make the run again") from None


def _same_classes(staged: StagedModel, names: tuple[str, ...], path: Path) -> None:
    classes = {name: s.get_outputs()[0].shape[1] for name, s in zip(names, staged.sessions, strict=True)}
    if len(set(classes.values())) > 1:
        told = ", ".join(f"{count} at '{name}'" for name, count in classes.items())
        raise InputError(f"{path}: exits differ in classes: {told}", "make the run again")
