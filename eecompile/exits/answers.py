"""onnxruntime proves what a run claims: accuracy per exit, agreement of all files, measured time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from eecompile.data.dataset import Split
from eecompile.exits.recycling import Carried
from eecompile.exits.thresholds import Observed, leaves_at
from eecompile.runtime.preprocess import Preprocess
from eecompile.runtime.sessions import Evaluator
from passes.confidence import ConfidenceRule
from passes.model.writing import to_model
from passes.progress import counting
from passes.state import state_of

Float32 = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """Logits of every exit for every image of a split.

    Attributes:
        logits: One float32 array [N, classes] per exit, the final one last.
        labels: [N].
        rules: Confidence rule of each early exit.
        note: Why the network was run image by image; empty if it was not.
        static: What the static network answers, [N], where that is another network than the one without early
            exits: its backbone was trained with them.
        carried: What exits take over from the one before them once some are selected: weights by positions.
    """

    logits: tuple[Float32, ...]
    labels: NDArray[np.int64]
    rules: tuple[ConfidenceRule, ...]
    note: str = ""
    static: NDArray[np.int64] | None = None
    carried: Carried = field(default_factory=dict)

    @property
    def static_prediction(self) -> NDArray[np.int64]:
        """What the static network answers, [N]."""
        return self.logits[-1].argmax(axis=1) if self.static is None else self.static

    @property
    def static_correct(self) -> NDArray[np.bool_]:
        """Whether that is right, [N]: what drops are against."""
        right: NDArray[np.bool_] = self.static_prediction == self.labels
        return right

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answer at each exit is right, [exits, N]; logits that hold NaN are no answer."""
        return np.stack([right(z, self.labels) for z in self.logits])

    @property
    def confidence(self) -> Float32:
        """Confidence at each early exit, [exits - 1, N]; rules may read the exits before it of these."""
        if len(self.logits) == 1:
            return np.zeros((0, len(self.labels)), np.float32)
        seen = enumerate(zip(self.rules, self.logits[:-1], strict=True))
        return np.stack([rule.evaluate(logits, self.logits[:k]) for k, (rule, logits) in seen])

    def observed(self) -> Observed:
        """What the threshold choice looks at."""
        static = None if self.static is None else self.static_correct
        return Observed(self.confidence, self.correct, self.rules, static)

    def leaving(self, thresholds: Sequence[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return for each image the exit it leaves at, and whether the answer there is right."""
        where = leaves_at(self.confidence, thresholds)
        return where, self.correct[where, np.arange(len(where))]

    def part(self, images: NDArray[np.int64]) -> Answers:
        """Return the answers for some of the images, by their positions."""
        static = None if self.static is None else self.static[images]
        logits = tuple(z[images] for z in self.logits)
        return replace(self, logits=logits, labels=self.labels[images], static=static)

    def weights(self, kept: Sequence[int]) -> tuple[float, ...]:
        """Return what each exit of a network with the early exits ``kept`` takes over, but for the first."""
        pairs = itertools.pairwise([*kept, len(self.logits) - 1])
        return tuple(self.carried.get(pair, 0.0) for pair in pairs)

    def select(self, kept: Sequence[int]) -> Answers:
        """Return the answers of a network with the early exits ``kept``; those removed count nowhere.

        What its exits take over from each other is in their logits.
        """
        own = [self.logits[k] for k in (*kept, len(self.logits) - 1)]
        weights = self.weights(kept)
        # As the graph computes it, in float32.
        taken = [
            z + np.float32(w) * z_before if w else z
            for z_before, z, w in zip(own[:-1], own[1:], weights, strict=True)
        ]
        static = self.static_prediction if any(weights) else self.static
        rules = tuple(self.rules[k] for k in kept)
        return Answers((own[0], *taken), self.labels, rules, self.note, static)


def right(logits: Float32, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the largest of the logits [N, classes] is that of the label; of NaN it is not."""
    found: NDArray[np.bool_] = (logits.argmax(axis=1) == labels) & ~np.isnan(logits).any(axis=1)
    return found


def answers(graph: gs.Graph, split: Split, preprocess: Preprocess) -> Answers:
    """Run a flat network with exits on a split, in batches where it can."""
    evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    exits = state_of(graph).exits
    with counting("images", len(split)) as count:

        def batch_of(piece: slice) -> Float32:
            taken = preprocess.apply(split.x[piece])
            count.add(len(taken))
            return taken

        logits = evaluator.run(batch_of, len(split), [e.output for e in exits])
    return Answers(tuple(logits), split.y, tuple(e.confidence for e in exits[:-1]), evaluator.note)
