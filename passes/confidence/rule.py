"""What a confidence rule is: from the logits of an exit to the number that its threshold is compared with."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ConfidenceRule(ABC):
    """How sure an exit is of its answer: a rule and its parameters, which are the fields of its class.

    Recorded in each exit; files and numpy follow the same rule. Logits that hold NaN have the confidence NaN,
    which no threshold lets leave.

    Attributes:
        name: As it is written into files.
        low: Smallest confidence there is: a threshold of it lets every input leave.
        high: Largest confidence there is.
        whole: Confidences, and so thresholds, are whole numbers.
        reads_before: The logits of the exits before this one count too.

    Raises:
        InputError: A parameter that the rule does not take, on construction.
    """

    name: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float]
    whole: ClassVar[bool] = False
    reads_before: ClassVar[bool] = False

    @abstractmethod
    def evaluate(self, logits: Float32, before: Sequence[Float32] = ()) -> Float32:
        """Return confidences float32 [N].

        Args:
            logits: Of this exit, float32 [N, classes].
            before: Likewise of the exits before it that the network has, shallow to deep.
        """

    def read(self, logits: Float32) -> NDArray[Any]:
        """Return what a rule that ``reads_before`` has to know of an exit, [N, …]."""
        return logits

    def sure(self, own: NDArray[Any], before: Sequence[NDArray[Any]] = ()) -> Float32:
        """Return confidences float32 [N] as ``evaluate``, of what :meth:`read` gives for each exit."""
        return self.evaluate(own, before)

    def after(self, exits: int) -> Float32:
        """Return all confidences of a rule that ``reads_before`` behind ``exits`` exits at most, rising."""
        raise NotImplementedError(
            f"{self.name} reads no exits before, or may be sure to any degree ({exits})"
        )

    @abstractmethod
    def nodes(
        self, stem: str, logits: gs.Tensor, output: gs.Tensor, before: Sequence[gs.Tensor] = ()
    ) -> list[gs.Node]:
        """Return the ONNX nodes that compute it.

        Args:
            stem: Begin of the names of nodes and tensors.
            logits: Of this exit, [1, classes].
            output: The tensor they write, float32 [1].
            before: Logits of the exits before it, shallow to deep; read where ``reads_before``.
        """

    @property
    def unfitted(self) -> str:
        """Name of the parameter that has no value yet: images have to say it. Empty if all have one."""
        return ""

    @property
    def of_own_logits(self) -> bool:
        """Whether it has parameters, or will have: they suit the logits of one exit as they are."""
        return bool(self.unfitted or self.parameters)

    def check(self, classes: int) -> None:
        """Raise InputError if the parameters do not fit logits of so many classes."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that differ from those of the rule alone, as JSON has them."""
        found = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        usual = {item.name: item.default for item in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v != usual[k]}

    def __str__(self) -> str:
        """Return the text form: the name, and in braces the parameters that a user may write."""
        written = {k: v for k, v in self.parameters.items() if not isinstance(v, list)}
        texts = [f"{k}={'fit' if v is None else f'{v:.6g}'}" for k, v in written.items()]
        return self.name + ("{" + ",".join(texts) + "}" if texts else "")

    @property
    def always(self) -> np.float32:
        """The threshold that every confidence reaches."""
        return np.float32(self.low)

    @property
    def never(self) -> np.float32:
        """A threshold that no confidence reaches."""
        return np.float32(self.high + 1)

    def bounded(self, threshold: float) -> float:
        """Return a threshold within the range of the rule by which the same inputs leave."""
        if threshold > self.high:
            return float(self.never)
        return max(threshold, self.low)

    def wrong_threshold(self, threshold: float) -> str:
        """Return what is wrong with a threshold for this rule; empty if nothing is."""
        whole = not self.whole or float(threshold).is_integer()
        if whole and (self.low <= threshold <= self.high or threshold == self.never):
            return ""
        kind = "whole numbers " if self.whole else ""
        given = f"{threshold:g}" if math.isfinite(threshold) else "no finite number"
        return (
            f"its threshold is {given}; those of {self.name} are {kind}from {self.low:g} (all leave) to "
            f"{self.high:g}, or {self.never:g} (none leaves)"
        )
