"""Confidence rules: from the logits of an exit to the number that its threshold is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from passes.errors import InputError, did_you_mean

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class ConfidenceRule:
    """How sure an exit is of its answer. Recorded in each exit; files and numpy follow the same rule.

    Attributes:
        name: As it is written into files.
        low: Smallest confidence there is: a threshold of it lets every input leave.
        high: Largest confidence there is.
        evaluate: From logits [N, classes] to confidences [N], both float32.
        nodes: From a stem for names, the logits [1, classes] and the tensor to write, float32 [1], to the
            ONNX nodes that write it.
    """

    name: str
    low: float
    high: float
    evaluate: Callable[[Float32], Float32]
    nodes: Callable[[str, gs.Tensor, gs.Tensor], list[gs.Node]]

    @property
    def always(self) -> np.float32:
        """The threshold that every confidence reaches."""
        return np.float32(self.low)

    @property
    def never(self) -> np.float32:
        """A threshold that no confidence reaches."""
        return np.float32(self.high + 1)


def _shifted_powers(logits: Float32) -> Float32:
    powers: Float32 = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
    return powers


def _max_softmax(logits: Float32) -> Float32:
    total = _shifted_powers(logits).sum(axis=1, dtype=np.float32)
    largest: Float32 = (np.float32(1) / total).astype(np.float32)
    return largest


def _margin(logits: Float32) -> Float32:
    powers = _shifted_powers(logits)
    probabilities = powers / powers.sum(axis=1, keepdims=True, dtype=np.float32)
    top = np.partition(probabilities, -2, axis=1)
    margin: Float32 = top[:, -1] - top[:, -2]
    return margin


def _negative_entropy(logits: Float32) -> Float32:
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted, dtype=np.float32)
    total = powers.sum(axis=1, keepdims=True, dtype=np.float32)
    information = powers / total * (shifted - np.log(total))
    # A class without any probability adds nothing, however far below it is.
    found: Float32 = np.where(powers > 0, information, 0).sum(axis=1, dtype=np.float32)
    return found


def _softmax_node(stem: str, logits: gs.Tensor) -> gs.Node:
    probabilities = gs.Variable(f"{stem}/probabilities", np.float32, list(logits.shape))
    return gs.Node("Softmax", f"{stem}/softmax", {"axis": 1}, [logits], [probabilities])


def _max_softmax_nodes(stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
    softmax = _softmax_node(stem, logits)
    axes = gs.Constant(f"{stem}/axes", np.array([1], np.int64))
    inputs = [softmax.outputs[0], axes]
    return [softmax, gs.Node("ReduceMax", f"{stem}/max", {"keepdims": 0}, inputs, [output])]


def _margin_nodes(stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
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


def _entropy_nodes(stem: str, logits: gs.Tensor, output: gs.Tensor) -> list[gs.Node]:
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


# The largest softmax probability.
MAX_SOFTMAX = ConfidenceRule("max_softmax", 0.0, 1.0, _max_softmax, _max_softmax_nodes)
# The largest minus the second largest softmax probability (the rule of AEBNAS).
MARGIN = ConfidenceRule("margin", 0.0, 1.0, _margin, _margin_nodes)
# Minus the entropy of the softmax in nats (the rule of BranchyNet, which leaves below a threshold);
# no network has the e^64 classes of which it could be less than low.
ENTROPY = ConfidenceRule("entropy", -64.0, 0.0, _negative_entropy, _entropy_nodes)

RULES: dict[str, ConfidenceRule] = {rule.name: rule for rule in (MAX_SOFTMAX, MARGIN, ENTROPY)}


def confidence_rule(name: str) -> ConfidenceRule:
    """Return the rule called ``name``; raises InputError with a suggestion."""
    if name not in RULES:
        raise InputError(f"unknown confidence rule '{name}'", did_you_mean(name, RULES))
    return RULES[name]
