"""onnxruntime proves what a run claims: accuracy per exit, agreement of all files, measured time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split, evenly
from eecompile.data.preprocess import Preprocess
from eecompile.runtime import DynamicModel, Evaluator, StagedModel, session
from eecompile.thresholds import Observed, leaves_at
from passes.confidence import ConfidenceRule
from passes.graph import to_model
from passes.state import state_of

Float32 = NDArray[np.float32]
Array = NDArray[Any]
TIMED_IMAGES = 200
REPEATS = 3


@dataclass(frozen=True)
class Answers:
    """Logits of every exit for every image of a split.

    Attributes:
        logits: One float32 array [N, classes] per exit, the final one last.
        labels: [N].
        rules: Confidence rule of each early exit.
        note: Why the network was run image by image; empty if it was not.
    """

    logits: tuple[Float32, ...]
    labels: NDArray[np.int64]
    rules: tuple[ConfidenceRule, ...]
    note: str = ""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer at each exit is right, [exits, N]."""
        return np.stack([z.argmax(axis=1) == self.labels for z in self.logits])

    @property
    def confidence(self) -> Float32:
        """Confidence at each early exit, [exits - 1, N]."""
        if len(self.logits) == 1:
            return np.zeros((0, len(self.labels)), np.float32)
        seen = zip(self.rules, self.logits[:-1], strict=True)
        return np.stack([rule.evaluate(logits) for rule, logits in seen])

    def observed(self) -> Observed:
        """What the threshold choice looks at."""
        return Observed(self.confidence, self.correct, self.rules)

    def leaving(self, thresholds: Sequence[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return for each image the exit it leaves at, and whether the answer there is right."""
        where = leaves_at(self.confidence, thresholds)
        return where, self.correct[where, np.arange(len(where))]

    def select(self, kept: Sequence[int]) -> Answers:
        """Return the answers of the early exits ``kept`` and the final one."""
        logits = tuple(self.logits[k] for k in (*kept, len(self.logits) - 1))
        return Answers(logits, self.labels, tuple(self.rules[k] for k in kept), self.note)


def answers(graph: gs.Graph, split: Split, preprocess: Preprocess) -> Answers:
    """Run a flat network with exits on a split, in batches where it can."""
    evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    exits = state_of(graph).exits
    logits = evaluator.run(lambda s: preprocess.apply(split.x[s]), len(split), [e.output for e in exits])
    return Answers(tuple(logits), split.y, tuple(e.confidence for e in exits[:-1]), evaluator.note)


@dataclass(frozen=True)
class Agreement:
    """How many test images got the same prediction and the same exit as from the flat quantized model."""

    images: int
    dynamic_prediction: int
    dynamic_exit: int
    stages_prediction: int
    stages_exit: int

    @property
    def complete(self) -> bool:
        """Whether all of them did."""
        counts = (self.dynamic_prediction, self.dynamic_exit, self.stages_prediction, self.stages_exit)
        return all(c == self.images for c in counts)


def check_agreement(
    flat: Answers, thresholds: Sequence[np.float32], dynamic: DynamicModel, staged: StagedModel,
    images: Callable[[int], Float32],
) -> Agreement:  # fmt: skip
    """Run both early-exit forms on every image and compare with the flat model's thresholds in numpy.

    Args:
        flat: Answers of the flat quantized model.
        thresholds: One per early exit.
        dynamic: The nested model.
        staged: The stage models.
        images: Gives image i, preprocessed, as a batch of one.
    """
    where = leaves_at(flat.confidence, thresholds)
    chosen = np.stack([z.argmax(axis=1) for z in flat.logits])
    counts = np.zeros(4, np.int64)
    for index, number in enumerate(where):
        image = images(index)
        for slot, decision in ((0, dynamic(image)), (2, staged(image))):
            counts[slot] += int(decision.logits.argmax()) == chosen[number, index]
            counts[slot + 1] += decision.exit == number
    return Agreement(len(where), *(int(c) for c in counts))


@dataclass(frozen=True)
class Timing:
    """Wall-clock milliseconds per image in onnxruntime on one thread.

    ``static_ms`` and ``dynamic_ms`` are means over images of their medians over repeats, so exits weigh as
    they were taken; ``per_exit_ms`` are medians over the images that left there.
    """

    images: int
    static_ms: float
    dynamic_ms: float
    per_exit_ms: tuple[float | None, ...]


def measure(
    static: gs.Graph, dynamic: DynamicModel, exits: int, images: Callable[[int], Float32], total: int
) -> Timing:
    """Time the static and the early-exit model on the same images, batch 1, interleaved.

    Args:
        static: The lowered network without exits.
        dynamic: The nested model.
        exits: Number of exits of it.
        images: Gives image i, preprocessed, as a batch of one.
        total: How many images there are; at most ``TIMED_IMAGES`` are used, evenly spread.
    """
    runner = session(to_model(static))
    name = runner.get_inputs()[0].name
    timed = evenly(np.arange(total), TIMED_IMAGES)
    count = len(timed)
    static_ms, dynamic_ms = np.zeros((REPEATS, count)), np.zeros((REPEATS, count))
    where = np.zeros(count, np.int64)
    for repeat in range(REPEATS):
        for index, number in enumerate(timed):
            image = images(int(number))
            start = time.perf_counter()
            runner.run(None, {name: image})
            middle = time.perf_counter()
            where[index] = dynamic(image).exit
            dynamic_ms[repeat, index] = 1e3 * (time.perf_counter() - middle)
            static_ms[repeat, index] = 1e3 * (middle - start)
    typical = np.median(dynamic_ms, axis=0)
    per_exit = tuple(
        float(np.median(typical[where == k])) if (where == k).any() else None for k in range(exits)
    )
    return Timing(count, float(np.median(static_ms, axis=0).mean()), float(typical.mean()), per_exit)
