"""Patience: how many exits in a row give the same answer (the rule of PABEE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.confidence.building import NodeList
from passes.confidence.rule import ConfidenceRule, Float32

_NO_ANSWER = -1


@dataclass(frozen=True)
class Patience(ConfidenceRule):
    """The number of exits in a row, ending with this one, whose largest logit is of the same class.

    All exits that the network has count, taken or not; the first of them has confidence 1. Logits that hold
    NaN are no answer, and agree with none.
    """

    name: ClassVar[str] = "patience"
    low: ClassVar[float] = 1.0
    high: ClassVar[float] = 255.0  # no network has so many exits
    whole: ClassVar[bool] = True
    reads_before: ClassVar[bool] = True

    def evaluate(self, logits: Float32, before: Sequence[Float32] = ()) -> Float32:
        """Return confidences [N], whole numbers from 1."""
        return self.sure(self.read(logits), [self.read(other) for other in before])

    def read(self, logits: Float32) -> NDArray[np.int64]:
        """Return the answers [N]."""
        return np.where(np.isnan(logits).any(axis=1), _NO_ANSWER, logits.argmax(axis=1))

    def sure(self, own: NDArray[np.int64], before: Sequence[NDArray[np.int64]] = ()) -> Float32:
        """Return confidences [N] from the answers [N] of this exit and those before."""
        count, agrees = np.ones(len(own), np.float32), np.ones(len(own), np.bool_)
        for other in reversed(before):
            agrees &= other == own
            count += agrees
        count[own == _NO_ANSWER] = np.nan
        return count

    def after(self, exits: int) -> Float32:
        """Return the counts from 1: one more than there are exits before."""
        return np.arange(1, exits + 2, dtype=np.float32)

    def nodes(
        self, stem: str, logits: gs.Tensor, output: gs.Tensor, before: Sequence[gs.Tensor] = ()
    ) -> list[gs.Node]:
        """Return the nodes: the answers beside each other, and the position of the last that differs."""
        read = [*before, logits]
        (batch, classes), exits = logits.shape, len(read)
        row, single = [batch, exits], [batch, 1]
        made = NodeList(stem)
        beside = made.then("Concat", "beside", read, [batch, exits * classes], axis=1)
        shape = made.constant("by_exit_shape", [0, exits, classes], np.int64)
        by_exit = made.then("Reshape", "by_exit", [beside, shape], [*row, classes])
        largest = made.then("ArgMax", "largest", [by_exit], row, np.int64, axis=2, keepdims=0)
        # Beside NaN, ArgMax and ReduceMax give whatever their loop over the numbers ends with.
        unknown = made.then("IsNaN", "unknown", [by_exit], [*row, classes], np.bool_)
        counted = made.cast("counted", unknown, [*row, classes])
        over_classes = made.constant("over_classes", [2], np.int64)
        most = made.then("ReduceMax", "any_unknown", [counted, over_classes], row, keepdims=0)
        without = made.cast("without", most, row, np.bool_)
        no_answer = made.constant("no_answer", _NO_ANSWER, np.int64)
        answers = made.then("Where", "answers", [without, no_answer, largest], row, np.int64)
        last = made.constant("last", [exits - 1], np.int64)
        # `own` of an exit is what recycling leaves of its logits
        own = made.then("Gather", "own_answer", [answers, last], single, np.int64, axis=1)
        same = made.then("Equal", "same", [answers, own], row, np.bool_)
        nowhere = made.constant("nowhere", 0, np.float32)
        places = made.constant("places", [range(1, exits + 1)], np.float32)
        differs = made.then("Where", "differs", [same, nowhere, places], row)
        axes = made.constant("axes", [1], np.int64)
        place = made.then("ReduceMax", "place", [differs, axes], single, keepdims=1)
        count = made.then("Sub", "count", [made.constant("exits", exits, np.float32), place], single)
        none = made.then("Equal", "none", [own, no_answer], single, np.bool_)
        # A sum with NaN is NaN, and no file needs to hold a constant of it.
        total = made.then("ReduceSum", "total", [logits, axes], single, keepdims=1)
        known = made.then("Where", "known", [none, total, count], single)
        made.into(output, "Squeeze", "patience", [known, axes])
        return made.nodes
