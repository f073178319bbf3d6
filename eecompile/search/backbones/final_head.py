"""Another final head for a backbone than its own classifier."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import block_ends
from passes.heads.designs import HeadDesign
from passes.heads.nodes import head_nodes_of
from passes.model.graph import tidy
from passes.state import state_of

FINAL_SEED = 2


def last_block(graph: gs.Graph) -> gs.Tensor:
    """Return the tensor that the last block of a backbone ends with, which its final head reads.

    Raises:
        ValueError: It has no blocks.
    """
    ends = block_ends(graph)
    if not ends:
        raise ValueError("the network has no blocks")
    return graph.tensors()[ends[-1]]


def close_with(graph: gs.Graph, design: HeadDesign, seed: int = 0) -> None:
    """Put a head in the place of the classifier of a backbone without exits, in place.

    Args:
        graph: A backbone of a family.
        design: The head; it reads the last block.
        seed: Of its weights, which are absent where those of the backbone are.

    Raises:
        InputError: The head does not read such features.
        ValueError: The network has no blocks.
    """
    source, logits = last_block(graph), graph.outputs[0]
    layers = design.on(tuple(int(d) for d in source.shape[1:]), int(logits.shape[1]))
    name, logits.name = logits.name, f"{logits.name}_before"
    rng = None if state_of(graph).symbolic else np.random.default_rng([seed, FINAL_SEED])
    nodes = head_nodes_of(layers, source, name, rng)
    graph.nodes.extend(nodes)
    graph.outputs = [nodes[-1].outputs[0]]
    tidy(graph)
