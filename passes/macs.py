"""Multiply-accumulate operations of single nodes, for batch 1."""

from __future__ import annotations

import math

import onnx_graphsurgeon as gs

from passes.equation import read_equation
from passes.operator_sets import LINEAR, RECURRENT, WEIGHT_INPUT


def node_macs(node: gs.Node) -> int:
    """Return the multiply-accumulates of ``node``; 0 for operators that have none.

    A recurrent one multiplies, at each step, its input and its state by the weights of all its gates. An
    Einsum (that is no product of matrices, which it is after `canonicalize`) one per value of its indices. Of
    control flow the way that has most counts, of a loop one round; nodes in bodies whose shapes are not
    known, as they follow from what lies outside, count as 0.
    """
    bodies = list(node.subgraphs())
    if bodies:
        return max(sum(node_macs(inner) for inner in body.nodes if has_shapes(inner)) for body in bodies)
    if node.op in RECURRENT:
        gates = sum(math.prod(int(d) for d in node.inputs[index].shape) for index in (1, 2))
        return math.prod(int(d) for d in node.inputs[0].shape[:2]) * gates
    if node.op == "Einsum":
        equation = read_equation(str(node.attrs["equation"]), [tuple(t.shape) for t in node.inputs])
        return 0 if equation is None else equation.products
    if node.op not in LINEAR:
        return 0
    weights = [int(d) for d in node.inputs[WEIGHT_INPUT[node.op]].shape]
    made = math.prod(int(d) for d in node.outputs[0].shape)
    if node.op == "ConvTranspose":
        return math.prod(int(d) for d in node.inputs[0].shape) * math.prod(weights[1:])
    if "Conv" in node.op:
        return made * math.prod(weights[1:])
    if node.op == "Gemm":
        return made * (weights[1] if node.attrs.get("transB", 0) else weights[0])
    return made * (weights[-2] if len(weights) > 1 else weights[0])


def has_shapes(node: gs.Node) -> bool:
    """Whether all that ``node`` reads and writes has a known shape."""
    shapes = [t.shape for t in (*node.inputs, *node.outputs) if not t.is_empty()]
    return all(shape is not None and all(isinstance(d, int) for d in shape) for shape in shapes)
