"""The condition of an early exit that others wrote: which confidence rule, and which threshold, it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from passes.confidence import ENTROPY, MARGIN, MAX_SOFTMAX, ConfidenceRule
from passes.model import constants
from passes.model.constants import Array
from passes.operator_sets import RESHAPES

_SAME = RESHAPES | {"Cast", "Identity"}
_MIRRORED = {
    "Greater": "Less",
    "Less": "Greater",
    "GreaterOrEqual": "LessOrEqual",
    "LessOrEqual": "GreaterOrEqual",
}
_REDUCED = {"ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd"}
_LARGEST_EXPONENT = 700.0
_LINEAR = _SAME | {"Add", "Sub", "Mul", "Neg", "Gather", "GatherElements", "Slice", "Split", "ReduceSum"}


@dataclass(frozen=True)
class Condition:
    """What an ``If`` asks before it leaves.

    Attributes:
        compares: It compares one number with a constant.
        rule: Whose confidence that number is; ``None`` if of none that is known.
        threshold: The ``If`` leaves where the confidence is at least this; ``None`` without a rule.
        reason: Why there is no rule; empty if there is one.
    """

    compares: bool
    rule: ConfidenceRule | None = None
    threshold: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Bound:
    """``value`` beyond ``limit``: above it or below it, with or without the limit itself."""

    value: gs.Tensor
    limit: float
    above: bool
    strict: bool

    def of(self, value: gs.Tensor, limit: float, turned: bool = False) -> _Bound:
        """Return the same statement about another number."""
        return _Bound(value, limit, self.above != turned, self.strict)

    @property
    def at_least(self) -> float:
        """The least float32 that is above the limit."""
        least = np.float32(self.limit)
        return float(np.nextafter(least, np.float32(np.inf)) if self.strict else least)


def read_condition(condition: gs.Tensor, leaves_if: bool, logits: gs.Tensor, opset: int) -> Condition:
    """Return what a condition asks.

    1. It may stand behind Not, Cast, views and reductions of one number, and either side may be the constant.
    2. The number may be scaled, shifted, negated, or a logarithm.
    3. It is the largest softmax probability, the largest minus the second largest, or the entropy, each of
       the logits of the exit; entropy is compared from above.

    Args:
        condition: What the ``If`` reads.
        leaves_if: Its value where an input leaves.
        logits: What the exit answers: logits, or their Softmax.
        opset: Of the graph.
    """
    bound = _comparison(condition, leaves_if)
    if bound is None:
        return Condition(False, reason="its condition is no comparison with a constant")
    bound = _unscaled(bound)
    scores = _scores(logits)
    entropy = _of_entropy(bound, scores)
    rule: ConfidenceRule = ENTROPY
    if entropy is not None:
        bound = entropy
    elif (found := _of_probabilities(bound, scores, opset)) is not None:
        rule, bound = found
    else:
        return Condition(True, reason="what it compares is no confidence rule of its logits that is known")
    if not bound.above:
        return Condition(True, reason="it leaves where it is less sure")
    if not math.isfinite(bound.at_least):
        return Condition(True, reason="what it compares with is no finite number")
    return Condition(True, rule, bound.at_least)


def _exp(value: float) -> float:
    return math.exp(value) if value < _LARGEST_EXPONENT else math.inf


def _comparison(condition: gs.Tensor, holds: bool) -> _Bound | None:
    """Return what is compared, where ``condition`` is ``holds``."""
    node = _producer(condition)
    while node is not None and (node.op == "Not" or node.op in _SAME or _of_one(node)):
        holds = holds != (node.op == "Not")
        node = _producer(node.inputs[0])
    if node is None or node.op not in _MIRRORED:
        return None
    value, limit, op = node.inputs[0], number(node.inputs[1]), node.op
    if limit is None:
        value, limit, op = node.inputs[1], number(node.inputs[0]), _MIRRORED[op]
    if limit is None or number(value) is not None:
        return None
    if op == "Greater" and 0 <= limit < 1 and (inner := _comparison(value, holds)) is not None:
        return inner  # whether any of one holds, written as a sum above nothing
    above, strict = op.startswith("Greater"), not op.endswith("OrEqual")
    return _Bound(value, limit, above == holds, strict == holds)


def _of_one(node: gs.Node) -> bool:
    return node.op in _REDUCED and _count(node.inputs[0]) == 1


def _unscaled(bound: _Bound) -> _Bound:
    """Return the statement about the number that was scaled, shifted or whose logarithm was taken."""
    while (node := _producer(bound.value)) is not None:
        first = node.inputs[0]
        if node.op in _SAME or _of_one(node):
            bound = bound.of(first, bound.limit)
        elif node.op == "Neg":
            bound = bound.of(first, -bound.limit, turned=True)
        elif node.op == "Log":
            bound = bound.of(first, _exp(bound.limit))
        elif node.op in ("Add", "Sub", "Mul", "Div"):
            moved = _moved(bound, node)
            if moved is None:
                return bound
            bound = moved
        else:
            return bound
    return bound


def _moved(bound: _Bound, node: gs.Node) -> _Bound | None:
    first, second = node.inputs
    by = number(second)
    if by is None:
        by, first, second = number(first), second, first
        if by is None or node.op == "Div":
            return None
        if node.op == "Sub":
            return bound.of(first, by - bound.limit, turned=True)
    if node.op == "Add":
        return bound.of(first, bound.limit - by)
    if node.op == "Sub":
        return bound.of(first, bound.limit + by)
    if by == 0:
        return None
    return bound.of(first, bound.limit / by if node.op == "Mul" else bound.limit * by, turned=by < 0)


def _of_entropy(bound: _Bound, scores: gs.Tensor) -> _Bound | None:
    """Return the statement about the sum of p log p, if ``bound`` is one about a multiple of it."""
    node = _producer(bound.value)
    if node is None or node.op not in ("ReduceSum", "ReduceMean") or _count(bound.value) != 1:
        return None
    scale = _information(node.inputs[0], scores)
    if not scale:
        return None
    scale /= _count(scores) if node.op == "ReduceMean" else 1
    return bound.of(bound.value, bound.limit / scale, turned=scale < 0)


def _information(tensor: gs.Tensor, scores: gs.Tensor) -> float | None:
    """Return s where ``tensor`` is s p log p, class by class."""
    node, scale = _scaled(tensor)
    if node is None or node.op != "Mul":
        return None
    for one, other in (node.inputs, reversed(node.inputs)):
        (probable, first), (surprise, second) = _scaled(one), _scaled(other)
        if _are_probabilities(probable, scores) and _are_logarithms(surprise, scores):
            return scale * first * second
    return None


def _scaled(tensor: gs.Tensor) -> tuple[gs.Node | None, float]:
    """Return the node behind negations and multiplications by a number, and the factor."""
    scale, node = 1.0, _producer(tensor)
    while node is not None:
        by = [number(t) for t in node.inputs]
        if node.op in _SAME:
            node = _producer(node.inputs[0])
        elif node.op == "Neg":
            scale, node = -scale, _producer(node.inputs[0])
        elif node.op == "Mul" and (factor := next((v for v in by if v is not None), None)) is not None:
            scale, node = scale * factor, _producer(node.inputs[by.index(None)])
        elif node.op == "Div" and by[1]:
            scale, node = scale / by[1], _producer(node.inputs[0])
        else:
            break
    return node, scale


def _are_probabilities(node: gs.Node | None, scores: gs.Tensor) -> bool:
    if node is not None and node.op == "Exp":
        node = _producer(node.inputs[0])
        return node is not None and node.op == "LogSoftmax" and _over_classes(node, scores)
    return node is not None and node.op == "Softmax" and _over_classes(node, scores)


def _are_logarithms(node: gs.Node | None, scores: gs.Tensor) -> bool:
    """Whether ``node`` gives the logarithms of the probabilities, perhaps kept away from that of 0."""
    if node is None or node.op != "Log":
        return node is not None and node.op == "LogSoftmax" and _over_classes(node, scores)
    inner = _producer(node.inputs[0])
    if inner is not None and inner.op in ("Add", "Clip", "Max"):
        inner = next((p for t in inner.inputs if (p := _producer(t)) is not None), None)
    return _are_probabilities(inner, scores)


def _of_probabilities(bound: _Bound, scores: gs.Tensor, opset: int) -> tuple[ConfidenceRule, _Bound] | None:
    node = _producer(bound.value)
    if node is not None and node.op == "ReduceMax" and _count(bound.value) == 1:
        source = _producer(node.inputs[0])
        if source is not None and source.op == "LogSoftmax" and _over_classes(source, scores):
            return MAX_SOFTMAX, bound.of(bound.value, _exp(bound.limit))
        source, scale = _scaled(node.inputs[0])
        return (MAX_SOFTMAX, bound) if scale == 1 and _are_probabilities(source, scores) else None
    sort = _above(bound.value, "TopK")
    if sort is None or not (sort.attrs.get("largest", 1) and sort.attrs.get("sorted", 1)):
        return None
    source, scale = _scaled(sort.inputs[0])
    if scale != 1 or not _are_probabilities(source, scores):
        return None
    weights = _weights(bound.value, sort.outputs[0], opset)
    if weights is None or weights[-1]:
        return None
    known = {
        (1.0, 0.0): (MAX_SOFTMAX, False),
        (1.0,): (MAX_SOFTMAX, False),
        (1.0, -1.0): (MARGIN, False),
        (-1.0, 1.0): (MARGIN, True),
    }
    found = known.get(tuple(weights[:-1]))
    if found is None:
        return None
    rule, turned = found
    return rule, bound.of(bound.value, -bound.limit if turned else bound.limit, turned)


def _weights(value: gs.Tensor, sorted_values: gs.Tensor, opset: int) -> list[float] | None:
    """Return the factors by which ``value`` adds up the first and second of some, and what the others add.

    None if ``value`` is not one number that is a sum of them.
    """
    found: list[float] = []
    count = _count(sorted_values)
    others = np.arange(count, dtype=np.float32)
    others[:2] = 0
    for probe in [np.zeros(count, np.float32), *np.eye(min(count, 2), count, dtype=np.float32), others]:
        result = _computed(value, {id(sorted_values): probe.reshape(sorted_values.shape)}, opset)
        if result is None or result.size != 1:
            return None
        found.append(float(result.reshape(-1)[0]))
    return found[1:] if found and found[0] == 0 else None


def _computed(tensor: gs.Tensor, given: Mapping[int, Array], opset: int) -> Array | None:
    """Return the values of ``tensor`` where only linear operators stand between it and what is given."""
    if id(tensor) in given:
        return given[id(tensor)]
    if (known := constants.value_of(tensor)) is not None:
        return known
    node = _producer(tensor)
    if node is None or node.op not in _LINEAR:
        return None
    values = [_computed(t, given, opset) for t in node.inputs if not t.is_empty()]
    if any(value is None for value in values) or len(values) < len(node.inputs):
        return None
    inputs = [gs.Constant(f"in_{index}", value) for index, value in enumerate(values)]
    outputs = [gs.Variable(t.name, t.dtype, t.shape) for t in node.outputs]
    alone = gs.Node(node.op, node.name, dict(node.attrs), inputs, outputs)
    results = constants.evaluated(alone, opset)
    return None if results is None else results[[t is tensor for t in node.outputs].index(True)]


def _above(tensor: gs.Tensor, op: str) -> gs.Node | None:
    """Return the one node of ``op`` that linear operators above ``tensor`` read."""
    found: dict[int, gs.Node] = {}
    pending = [tensor]
    while pending:
        node = _producer(pending.pop())
        if node is not None and node.op == op:
            found[id(node)] = node
        elif node is not None and node.op in _LINEAR:
            pending.extend(node.inputs)
    return next(iter(found.values())) if len(found) == 1 else None


def _over_classes(softmax: gs.Node, scores: gs.Tensor) -> bool:
    """Whether ``softmax`` is over the classes of ``scores``."""
    data = softmax.inputs[0]
    shape = list(data.shape or ())
    wide = [axis for axis, size in enumerate(shape) if size != 1]
    return wide == [softmax.attrs.get("axis", -1) % len(shape)] and _same(data) is _same(scores)


def _same(tensor: gs.Tensor) -> gs.Tensor:
    """Return what ``tensor`` is a view of."""
    while (node := _producer(tensor)) is not None and node.op in _SAME:
        tensor = node.inputs[0]
    return tensor


def _scores(logits: gs.Tensor) -> gs.Tensor:
    """Return the logits that ``logits`` are, or are the Softmax or the label of."""
    tensor = _same(logits)
    while (node := _producer(tensor)) is not None and node.op in ("Softmax", "LogSoftmax", "ArgMax"):
        tensor = _same(node.inputs[0])
    return tensor


def _producer(tensor: gs.Tensor) -> gs.Node | None:
    return tensor.inputs[0] if tensor.inputs else None


def _count(tensor: gs.Tensor) -> int:
    """Return how many elements ``tensor`` has; 0 where that is not known."""
    shape = tensor.shape
    return math.prod(shape) if shape is not None and all(isinstance(d, int) for d in shape) else 0


def number(tensor: gs.Tensor) -> float | None:
    """Return the one number that a constant is, whatever views and casts stand behind it; else None."""
    values = constants.value_of(_same(tensor))
    if values is None or values.size != 1 or values.dtype.kind not in "fiub":
        return None
    return float(values.reshape(-1)[0])
