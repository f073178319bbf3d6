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
from passes.progress import each

Float32 = NDArray[np.float32]
TIMED_IMAGES = 200
TIMED = ("given", "static", "dynamic")
REPEATS = 3


@dataclass(frozen=True)
class Agreement:
    """How many test images got the same prediction and the same exit as from the flat lowered model."""

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
        flat: Answers of the flat lowered model.
        thresholds: One per early exit.
        dynamic: The nested model.
        staged: The stage models.
        images: Gives image i, preprocessed, as a batch of one.
    """
    where = leaves_at(flat.confidence, thresholds)
    chosen = np.stack([z.argmax(axis=1) for z in flat.logits])
    counts = np.zeros(4, np.int64)
    for index, number in enumerate(each(where.tolist(), "images proved")):
        image = images(index)
        for slot, decision in ((0, dynamic(image)), (2, staged(image))):
            counts[slot] += int(decision.logits.argmax()) == chosen[number, index]
            counts[slot + 1] += decision.exit == number
    return Agreement(len(where), *(int(c) for c in counts))


@dataclass(frozen=True)
class Timing:
    """Wall-clock milliseconds per image in onnxruntime on one thread.

    ``given_ms``, ``static_ms`` and ``dynamic_ms`` are means over images of their medians over repeats, so
    exits weigh as they were taken; ``per_exit_ms`` are medians over the images that left there. ``spread_ms``
    has for each of the three networks what 5 %, 50 % and 95 % of the images take at most.
    """

    images: int
    static_ms: float
    dynamic_ms: float
    per_exit_ms: tuple[float | None, ...]
    given_ms: float
    spread_ms: dict[str, tuple[float, float, float]]


def measure(
    given: gs.Graph,
    static: gs.Graph,
    dynamic: DynamicModel,
    exits: int,
    images: Callable[[int], Float32],
    total: int,
) -> Timing:
    """Time the user's network, the static and the early-exit model on the same images, batch 1, interleaved.

    Args:
        given: The network in float, without exits.
        static: The lowered network without exits.
        dynamic: The nested model.
        exits: Number of exits of it.
        images: Gives image i, preprocessed, as a batch of one.
        total: How many images there are; at most ``TIMED_IMAGES`` are used, evenly spread.
    """
    flat = [session(to_model(graph)) for graph in (given, static)]
    names = [runner.get_inputs()[0].name for runner in flat]
    timed = evenly(np.arange(total), TIMED_IMAGES)
    count = len(timed)
    taken_ms = np.zeros((len(TIMED), REPEATS, count))
    where = np.zeros(count, np.int64)
    for repeat in each(range(REPEATS), "images timed"):
        for index, number in enumerate(timed):
            image = images(int(number))
            clock = [time.perf_counter()]
            for runner, name in zip(flat, names, strict=True):
                runner.run(None, {name: image})
                clock.append(time.perf_counter())
            where[index] = dynamic(image).exit
            clock.append(time.perf_counter())
            taken_ms[:, repeat, index] = 1e3 * np.diff(clock)
    typical = np.median(taken_ms, axis=1)
    left = typical[-1]
    per_exit = tuple(float(np.median(left[where == k])) if (where == k).any() else None for k in range(exits))
    spread = {}
    for name, some in zip(TIMED, typical, strict=True):
        low, middle, high = np.quantile(some, (0.05, 0.5, 0.95)).tolist()
        spread[name] = low, middle, high
    in_float, static_ms, dynamic_ms = typical.mean(axis=1).tolist()
    return Timing(count, static_ms, dynamic_ms, per_exit, in_float, spread)
