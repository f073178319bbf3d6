"""Operator names to the builders of their steps."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from eecompile.training.operators import (
    analog,
    elementwise,
    gradients,
    integers,
    linear,
    moves,
    norms,
    pooling,
    resize,
    steps,
)
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

_BY_DOMAIN: dict[str, dict[str, Builder]] = {
    "": OPERATORS,
    gradients.DOMAIN: {**gradients.BUILDERS, **analog.BUILDERS, **steps.BUILDERS},
}


def step_of(node: gs.Node) -> TorchStep:
    """Return how torch runs ``node``.

    Raises:
        InputError: No torch function does what the node does; the node is named.
    """
    builder = _BY_DOMAIN.get(node.domain or "", {}).get(node.op)
    if builder is None:
        raise untrainable(node, "its operator has no torch function")
    return builder(node)
