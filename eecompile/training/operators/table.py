"""Operator names to the builders of their steps."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from eecompile.training.operators import elementwise, integers, linear, moves, norms, pooling, resize
from eecompile.training.operators.step import Builder, TorchStep, untrainable

OPERATORS: dict[str, Builder] = {
    **linear.BUILDERS,
    **pooling.BUILDERS,
    **norms.BUILDERS,
    **elementwise.BUILDERS,
    **moves.BUILDERS,
    **resize.BUILDERS,
    **integers.BUILDERS,
}


def step_of(node: gs.Node) -> TorchStep:
    """Return how torch runs ``node``.

    Raises:
        InputError: No torch function does what the node does; the node is named.
    """
    builder = None if node.domain else OPERATORS.get(node.op)
    if builder is None:
        raise untrainable(node, "its operator has no torch function")
    return builder(node)
