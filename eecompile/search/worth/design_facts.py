"""What is known of a design before it is trained, for the prediction of what it is worth."""

from __future__ import annotations

import math
from collections.abc import Callable

from eecompile.search.space.bits import bits_size
from eecompile.search.space.space import Space
from eecompile.search.study.proposals import Params
from eecompile.search.worth.images import SearchImages
from passes.macs import node_macs
from passes.operator_sets import LINEAR, WEIGHT_INPUT


def design_facts(space: Space, images: SearchImages) -> Callable[[Params], tuple[float, ...]]:
    """Return what tells facts of a design from its genes.

    They are: logarithms of the MACs and of the weights of its backbone, its layers with weights, bits of the
    weights of backbone and heads, and the share of the cost that is left behind pruning.
    """
    known: dict[str, tuple[float, float, float]] = {}

    def facts(params: Params) -> tuple[float, ...]:
        design = space.design(params)
        if design.backbone not in known:
            graph = space.graph(design, images.shape, images.classes)
            layers = [node for node in graph.nodes if node.op in LINEAR]
            sizes = [math.prod(node.inputs[WEIGHT_INPUT[node.op]].shape) for node in layers]
            macs = sum(map(node_macs, layers))
            known[design.backbone] = math.log1p(macs), math.log1p(sum(sizes)), float(len(layers))
        bits = bits_size(design.backbone_bits), bits_size(design.head_bits)
        left = 1.0 if design.goal is None else 1.0 - design.goal.less
        return (*known[design.backbone], *map(float, bits), left)

    return facts
