"""What onnxruntime proves of the files: that they agree, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import evenly
from eecompile.exits.answers import Answers
from eecompile.exits.thresholds import leaves_at
from eecompile.runtime.early_exit import DynamicModel, StagedModel
from eecompile.runtime.sessions import session
from passes.model.writing import to_model

Float32 = NDArray[np.float32]
TIMED_IMAGES = 200
REPEATS = 3


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
