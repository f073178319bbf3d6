"""Canonical rule for Einsum: what it computes is written as MatMul, Mul, ReduceSum and Transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from passes.canonical.linear import is_weight
from passes.equation import Equation, read_equation
from passes.rewrite.rewriter import Rewriter, dims


@dataclass(frozen=True)
class _Term:
    """A tensor and the index of each of its axes."""

    tensor: gs.Tensor
    axes: str


def write_out(rw: Rewriter, node: gs.Node) -> bool:
    """An Einsum is a product of matrices or elements, a sum or another order of axes, two operands at a time.

    An index that both operands have and the result lacks is contracted: that is a MatMul, its matrices in
    front of the indices that all three have. Without one it is a Mul. An index that one operand alone has is
    summed first.
    """
    equation = read_equation(str(node.attrs["equation"]), [dims(t) for t in node.inputs])
    if equation is None:
        return rw.decline(node, f"its equation {node.attrs['equation']} does not fit its operands")
    if any(len(set(axes)) != len(axes) for axes in equation.operands):
        return rw.decline(node, "an index stands twice in one operand: it takes a diagonal")
    writer = _Writer(rw, node, equation)
    terms = [_Term(tensor, axes) for tensor, axes in zip(node.inputs, equation.operands, strict=True)]
    while len(terms) > 1:
        needed = set(equation.result).union(*(term.axes for term in terms[2:]))
        terms[:2] = [writer.join(terms[0], terms[1], needed)]
    last = writer.ordered(writer.summed(terms[0], set(equation.result)), equation.result)
    node.op = "Identity"
    node.attrs.clear()
    node.inputs = [last.tensor]
    return True


class _Writer:
    """Adds the nodes that an Einsum is made of; a step that changes nothing adds none."""

    def __init__(self, rw: Rewriter, node: gs.Node, equation: Equation) -> None:
        self._rw = rw
        self._node = node
        self._extents = equation.extents
        self._result = equation.result

    def join(self, one: _Term, other: _Term, needed: set[str]) -> _Term:
        """Return the product of two tensors, summed over what is not ``needed`` any more."""
        one = self.summed(self._varying(one), needed | set(other.axes))
        other = self.summed(self._varying(other), needed | set(one.axes))
        contracted = "".join(a for a in one.axes if a in other.axes and a not in needed)
        if not contracted:
            return self._times(one, other)
        if self._better_turned(one, other, needed):
            one, other = other, one
        return self._matmul(one, other, contracted)

    def summed(self, term: _Term, kept: set[str]) -> _Term:
        """Sum over the axes that are not ``kept``."""
        gone = [index for index, axis in enumerate(term.axes) if axis not in kept]
        if not gone:
            return term
        axes = "".join(axis for axis in term.axes if axis in kept)
        where = self._rw.constant(f"{self._node.name}_axes", np.array(gone, np.int64))
        return self._made("ReduceSum", [term.tensor, where], axes, keepdims=0)

    def ordered(self, term: _Term, axes: str) -> _Term:
        """Bring the axes into another order."""
        if term.axes == axes:
            return term
        return self._made("Transpose", [term.tensor], axes, perm=[term.axes.index(axis) for axis in axes])

    def _varying(self, term: _Term) -> _Term:
        """Drop axes of size 1 that are repeated along an axis of the other operand."""
        shape = dims(term.tensor)
        axes = "".join(a for a, size in zip(term.axes, shape, strict=True) if size == self._extents[a])
        return _Term(self._viewed(term.tensor, self._sizes(axes)), axes)

    def _times(self, one: _Term, other: _Term) -> _Term:
        axes = one.axes + "".join(axis for axis in other.axes if axis not in one.axes)
        spread = []
        for term in (one, other):
            kept = "".join(axis for axis in axes if axis in term.axes)
            shape = [self._extents[axis] if axis in kept else 1 for axis in axes]
            spread.append(self._viewed(self.ordered(term, kept).tensor, shape))
        return self._made("Mul", spread, axes)

    def _better_turned(self, one: _Term, other: _Term, needed: set[str]) -> bool:
        """Whether the product is to be taken the other way round: weights second, no Transpose behind."""
        if is_weight(one.tensor) != is_weight(other.tensor):
            return is_weight(one.tensor)
        rows = [self._result.find(a) for a in one.axes if a in needed and a not in other.axes]
        columns = [self._result.find(a) for a in other.axes if a in needed and a not in one.axes]
        return bool(rows and columns) and min(columns) >= 0 and max(columns) < min(rows)

    def _matmul(self, one: _Term, other: _Term, contracted: str) -> _Term:
        batch = "".join(a for a in one.axes if a in other.axes and a not in contracted)
        rows = "".join(a for a in one.axes if a not in other.axes)
        columns = "".join(a for a in other.axes if a not in one.axes)
        left = self.ordered(one, batch + rows + contracted)
        right = self.ordered(other, batch + contracted + columns)
        depth, width = math.prod(self._sizes(contracted)), math.prod(self._sizes(columns))
        # Behind no common index the rows of a product may have any number of axes.
        height = self._sizes(rows) if rows and not batch else [math.prod(self._sizes(rows))]
        front = self._sizes(batch)
        product = self._variable([*front, *height, width])
        matrices = [
            self._viewed(left.tensor, [*front, *height, depth]),
            self._viewed(right.tensor, [*front, depth, width]),
        ]
        self._rw.insert("MatMul", matrices, product, [self._node])
        axes = batch + rows + columns
        return _Term(self._viewed(product, self._sizes(axes)), axes)

    def _sizes(self, axes: str) -> list[int]:
        return [self._extents[axis] for axis in axes]

    def _made(self, op: str, inputs: list[gs.Tensor], axes: str, **attrs: object) -> _Term:
        result = self._variable(self._sizes(axes))
        self._rw.insert(op, inputs, result, [self._node], **attrs)
        return _Term(result, axes)

    def _viewed(self, tensor: gs.Tensor, shape: Sequence[int]) -> gs.Tensor:
        """Return ``tensor`` in another shape, without the size of a batch in front that stays there."""
        before = dims(tensor)
        if before == tuple(shape):
            return tensor
        same_front = bool(before and shape) and before[0] == shape[0]
        target = np.array([0, *shape[1:]] if same_front else list(shape), np.int64)
        result = self._variable(shape)
        wanted = self._rw.constant(f"{result.name}_shape", target)
        self._rw.insert("Reshape", [tensor, wanted], result, [self._node])
        return result

    def _variable(self, shape: Sequence[int]) -> gs.Variable:
        result = self._node.outputs[0]
        return self._rw.variable(f"{result.name}_part", shape, result.dtype)
