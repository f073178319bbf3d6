"""A small learned gate: how probable it is that the exit is right, by logistic regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.confidence.building import NodeList
from passes.confidence.rule import ConfidenceRule, Float32
from passes.errors import InputError

TOP = 3
"""So many of the largest probabilities are features, and their logarithms."""


@dataclass(frozen=True)
class LearnedGate(ConfidenceRule):
    """Sigmoid(weights · features) of the logits of this exit alone.

    Features are the largest probabilities (three, or all if there are fewer), falling, their logarithms, and
    for each class whether it is the answer: how far to trust an exit depends on what it says.

    Attributes:
        weights: One per feature, in that order; empty: not fitted yet
            (`eecompile.exits.confidence_fits.gate_of`).
    """

    name: ClassVar[str] = "gate"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        given = self.weights
        if not isinstance(given, list | tuple):
            raise InputError(
                f"confidence rule 'gate': its weights are {given!r}", "they are fitted on images by `run`"
            )
        if not all(isinstance(w, int | float) and math.isfinite(w) for w in given):
            raise InputError(
                "confidence rule 'gate': its weights are not all finite numbers", "fit them again with `run`"
            )
        object.__setattr__(self, "weights", tuple(float(np.float32(w)) for w in given))

    @property
    def unfitted(self) -> str:
        """Name of the parameter without a value."""
        return "" if self.weights else "weights"

    def check(self, classes: int) -> None:
        """Raise InputError if there is not one weight per feature."""
        wanted = 2 * min(TOP, classes) + classes
        if self.weights and len(self.weights) != wanted:
            raise InputError(
                f"confidence rule 'gate': it has {len(self.weights)} weights, and {classes} classes "
                f"take {wanted}",
                "fit it again with `run`",
            )

    def evaluate(self, logits: Float32, before: Sequence[Float32] = ()) -> Float32:  # noqa: ARG002
        """Return confidences [N]."""
        score = features(logits) @ self._known(logits.shape[1])[:, 0]
        with np.errstate(over="ignore"):  # e^x of what is surely wrong is infinite, and its inverse 0
            found: Float32 = np.float32(1) / (np.float32(1) + np.exp(-score, dtype=np.float32))
        return found

    def nodes(
        self,
        stem: str,
        logits: gs.Tensor,
        output: gs.Tensor,
        before: Sequence[gs.Tensor] = (),  # noqa: ARG002
    ) -> list[gs.Node]:
        """Return the nodes: features, Gemm, Sigmoid."""
        batch, classes = logits.shape
        top = min(TOP, classes)
        weights = self._known(classes)
        made = NodeList(stem)
        logarithms = made.then("LogSoftmax", "logarithms", [logits], logits.shape, axis=1)
        # Ranked before probabilities are rounded: of equal logits the first is the answer everywhere.
        values = gs.Variable(f"{stem}/top_logits", np.float32, [batch, top])
        ranked = gs.Variable(f"{stem}/ranked", np.int64, [batch, top])
        count = made.constant("top_count", [top], np.int64)
        made.nodes.append(gs.Node("TopK", f"{stem}/topk", {"axis": 1}, [logits, count], [values, ranked]))
        log = made.then("GatherElements", "log", [logarithms, ranked], [batch, top], axis=1)
        probable = made.then("Exp", "probable", [log], [batch, top])
        first = made.constant("first", [0], np.int64)
        answer = made.then("Gather", "answer", [ranked, first], [batch, 1], np.int64, axis=1)
        labels = made.constant("labels", [range(classes)], np.int64)
        is_it = made.then("Equal", "is_it", [answer, labels], logits.shape, np.bool_)
        chosen = made.cast("chosen", is_it, logits.shape)
        read = made.then("Concat", "features", [probable, log, chosen], [batch, len(weights)], axis=1)
        matrix = made.constant("weights", weights, np.float32)
        score = made.then("Gemm", "score", [read, matrix], [batch, 1])
        right = made.then("Sigmoid", "right", [score], [batch, 1])
        axes = made.constant("axes", [1], np.int64)
        made.into(output, "Squeeze", "gate", [right, axes])
        return made.nodes

    def _known(self, classes: int) -> Float32:
        """Return the weights [features, 1]."""
        if self.unfitted:
            raise ValueError("the weights of 'gate' are not fitted yet")
        self.check(classes)
        return np.array(self.weights, np.float32)[:, None]


def features(logits: Float32) -> Float32:
    """Return what the gate reads of logits [N, classes], float32 [N, features]."""
    top = min(TOP, logits.shape[1])
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted, dtype=np.float32).sum(axis=1, keepdims=True))
    log = np.take_along_axis(logarithms, order, axis=1)
    chosen = order[:, :1] == np.arange(logits.shape[1])
    return np.concatenate([np.exp(log), log, chosen], axis=1, dtype=np.float32)
