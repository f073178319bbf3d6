"""The ONNX nodes of a head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from passes.heads.layers import JOINS, HeadLayer, Shape, layer_names


def head_nodes_of(
    layers: Sequence[HeadLayer],
    source: gs.Tensor,
    name: str,
    rng: np.random.Generator | None,
    before: gs.Tensor | None = None,
) -> list[gs.Node]:
    """Return the nodes of a head; the last one writes its logits, ``name``.

    Nodes are called ``<name>/<layer>``, see :func:`passes.heads.layers.layer_names`.

    Args:
        layers: Of the head.
        source: What it reads, real numbers.
        name: Of its exit.
        rng: Weights are drawn from it; without, they are symbolic.
        before: What it reuses of the exit before, real numbers, if it does.
    """
    stems = iter([f"{name}/{found}" for found in layer_names([op for layer in layers for op in layer.ops])])
    shape: Shape = tuple(int(d) for d in source.shape[1:])
    current, nodes = source, []
    for layer in layers:
        stem = next(stems)
        values = layer.parameters(shape, rng)
        inputs = [current, *(gs.Constant(f"{stem}.{key}", value) for key, value in values.items())]
        if layer.op in JOINS:
            inputs.append(before)
        attributes = layer.attributes(shape)
        shape = layer.output_shape(shape)
        current = gs.Variable(f"{stem}_out", np.float32, [1, *shape])
        nodes.append(gs.Node(layer.op, stem, attributes, inputs, [current]))
        if layer.ends_in_relu:
            stem = next(stems)
            inputs = [current, *_bounds(stem, layer.ceiling)]
            current = gs.Variable(f"{stem}_out", np.float32, [1, *shape])
            nodes.append(gs.Node(layer.ops[1], stem, {}, inputs, [current]))
    current.name = name
    return nodes


def _bounds(stem: str, ceiling: float) -> list[gs.Constant]:
    """Return the bounds of a ReLU with a ceiling; none of one without."""
    if not ceiling:
        return []
    return [
        gs.Constant(f"{stem}.{side}", np.array(value, np.float32))
        for side, value in (("low", 0.0), ("high", ceiling))
    ]
