"""Rules on the softmax probabilities of an exit, at a temperature."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_graphsurgeon as gs

from passes.confidence.rule import ConfidenceRule, Float32
from passes.errors import InputError

_LEAST, _MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _OnProbabilities(ConfidenceRule):
    """A rule on softmax(logits / temperature); the logits that are answered stay as they are.

    Attributes:
        temperature: Above 0; ``None``: not fitted yet (`eecompile.exits.confidence_fits.temperature_of`).
    """

    temperature: float | None = 1.0

    def __post_init__(self) -> None:
        given = self.temperature
        if given is None:
            return
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not _LEAST <= given <= _MOST:
            raise InputError(
                f"confidence rule '{self.name}': its temperature is {given!r}",
                "it is a number above 0; logits are divided by it",
            )
        object.__setattr__(self, "temperature", float(np.float32(given)))

    @property
    def unfitted(self) -> str:
        """Name of the parameter without a value."""
        return "temperature" if self.temperature is None else ""

    def evaluate(self, logits: Float32, before: Sequence[Float32] = ()) -> Float32:  # noqa: ARG002
        """Return confidences [N]."""
        return self._of(logits if self._known == 1 else logits / np.float32(self._known))

    def nodes(
        self,
        stem: str,
        logits: gs.Tensor,
        output: gs.Tensor,
        before: Sequence[gs.Tensor] = (),  # noqa: ARG002
    ) -> list[gs.Node]:
        """Return the nodes: a Div by the temperature where it is not 1, and those of the rule."""
        if self._known == 1:
            return self._nodes_of(stem, logits, output)
        divisor = gs.Constant(f"{stem}/temperature", np.array(self._known, np.float32))
        tempered = gs.Variable(f"{stem}/tempered", np.float32, list(logits.shape))
        node = gs.Node("Div", f"{stem}/temper", {}, [logits, divisor], [tempered])
        return [node, *self._nodes_of(stem, tempered, output)]

    @property
    def _known(self) -> float:
        if self.temperature is None:
            raise ValueError(f"the temperature of '{self.name}' is not fitted yet")
        return self.temperature

    @abstractmethod
    def _of(self, logits: Float32) -> Float32: ...

    @abstractmethod
    def _nodes_of(self, stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]: ...


@dataclass(frozen=True)
class MaxSoftmax(_OnProbabilities):
    """The largest softmax probability."""

    name: ClassVar[str] = "max_softmax"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def _of(self, logits: Float32) -> Float32:
        total = _shifted_powers(logits).sum(axis=1, dtype=np.float32)
        largest: Float32 = (np.float32(1) / total).astype(np.float32)
        return largest

    def _nodes_of(self, stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
        softmax = _softmax_node(stem, logits)
        axes = gs.Constant(f"{stem}/axes", np.array([1], np.int64))
        inputs = [softmax.outputs[0], axes]
        return [softmax, gs.Node("ReduceMax", f"{stem}/max", {"keepdims": 0}, inputs, [output])]


@dataclass(frozen=True)
class Margin(_OnProbabilities):
    """The largest minus the second largest softmax probability (the rule of AEBNAS)."""

    name: ClassVar[str] = "margin"
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def _of(self, logits: Float32) -> Float32:
        powers = _shifted_powers(logits)
        probabilities = powers / powers.sum(axis=1, keepdims=True, dtype=np.float32)
        top = np.partition(probabilities, -2, axis=1)
        margin: Float32 = top[:, -1] - top[:, -2]
        return margin

    def _nodes_of(self, stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
        softmax = _softmax_node(stem, logits)
        batch = logits.shape[0]
        count = gs.Constant(f"{stem}/top_count", np.array([2], np.int64))
        top = gs.Variable(f"{stem}/top", np.float32, [batch, 2])
        classes = gs.Variable(f"{stem}/top_classes", np.int64, [batch, 2])
        signs = gs.Constant(f"{stem}/signs", np.array([[1, -1]], np.float32))
        signed = gs.Variable(f"{stem}/top_signed", np.float32, [batch, 2])
        axes = gs.Constant(f"{stem}/axes", np.array([1], np.int64))
        return [
            softmax,
            gs.Node("TopK", f"{stem}/topk", {"axis": 1}, [softmax.outputs[0], count], [top, classes]),
            gs.Node("Mul", f"{stem}/sign", {}, [top, signs], [signed]),
            gs.Node("ReduceSum", f"{stem}/margin", {"keepdims": 0}, [signed, axes], [output]),
        ]


@dataclass(frozen=True)
class Entropy(_OnProbabilities):
    """Minus the entropy of the softmax in nats (the rule of BranchyNet, which leaves below a threshold).

    No network has the e^64 classes of which it could be less than ``low``.
    """

    name: ClassVar[str] = "entropy"
    low: ClassVar[float] = -64.0
    high: ClassVar[float] = 0.0

    def _of(self, logits: Float32) -> Float32:
        shifted = logits - logits.max(axis=1, keepdims=True)
        powers = np.exp(shifted, dtype=np.float32)
        total = powers.sum(axis=1, keepdims=True, dtype=np.float32)
        information = powers / total * (shifted - np.log(total))
        found: Float32 = information.sum(axis=1, dtype=np.float32)
        return found

    def _nodes_of(self, stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
        softmax = _softmax_node(stem, logits)
        logarithms = gs.Variable(f"{stem}/logarithms", np.float32, list(logits.shape))
        information = gs.Variable(f"{stem}/information", np.float32, list(logits.shape))
        axes = gs.Constant(f"{stem}/axes", np.array([1], np.int64))
        return [
            softmax,
            gs.Node("LogSoftmax", f"{stem}/log_softmax", {"axis": 1}, [logits], [logarithms]),
            gs.Node("Mul", f"{stem}/weigh", {}, [softmax.outputs[0], logarithms], [information]),
            gs.Node("ReduceSum", f"{stem}/entropy", {"keepdims": 0}, [information, axes], [output]),
        ]


def _shifted_powers(logits: Float32) -> Float32:
    powers: Float32 = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
    return powers


def _softmax_node(stem: str, logits: gs.Tensor) -> gs.Node:
    probabilities = gs.Variable(f"{stem}/probabilities", np.float32, list(logits.shape))
    return gs.Node("Softmax", f"{stem}/softmax", {"axis": 1}, [logits], [probabilities])
