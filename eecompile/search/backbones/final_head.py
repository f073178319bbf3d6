"""Other final heads for a backbone than its own classifier: one in its place, or several to choose among."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import block_ends
from passes.errors import InputError
from passes.exits.added_head import add_head
from passes.exits.chain import ancestors, order_outputs
from passes.exits.recognise import classifier_exits
from passes.heads.designs import HeadDesign
from passes.heads.nodes import head_nodes_of
from passes.model.graph import tidy
from passes.state import Exit, state_of

FINAL_SEED = 2
OWN = "own"
FinalHead = HeadDesign | None
"""A head that closes a network; ``None``: its own classifier."""
Item = TypeVar("Item")


def final_name(head: FinalHead) -> str:
    """Return a final head as it is written."""
    return OWN if head is None else head.name


def closing_of(heads: Sequence[FinalHead]) -> int:
    """Return which of several final heads a supernet is closed with; the others are exits before it."""
    return heads.index(None) if None in heads else 0


def split_finals(
    items: Sequence[Item], heads: Sequence[FinalHead]
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return what there is of each exit of a supernet, of its early exits and of its final heads apart.

    Args:
        items: One for each exit, as the supernet has them.
        heads: Its final heads; what is returned of them is in their order.
    """
    early, (*rivals, last) = items[: len(items) - len(heads)], items[len(items) - len(heads) :]
    rivals.insert(closing_of(heads), last)
    return tuple(early), tuple(rivals)


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


def add_final_heads(graph: gs.Graph, heads: Sequence[FinalHead], seed: int = 0) -> None:
    """Give a supernet all but one of its final heads as exits behind its early ones, in place.

    It is closed with the other one; see :func:`closing_of`.

    Args:
        graph: A backbone of a family with its early exits, closed with that head.
        heads: What may close its networks.
        seed: Of their weights, which are absent where those of the backbone are.

    Raises:
        InputError: A head does not read such features, or an early exit reads what a final head computes.
    """
    closing = closing_of(heads)
    others = [head for number, head in enumerate(heads) if number != closing]
    if not others:
        return
    source, state = last_block(graph), state_of(graph)
    *early, final = classifier_exits(graph)
    before = ancestors([source]) - {node.name for node in source.inputs}
    for item in early:
        if not before.issuperset(node.name for node in graph.tensors()[item.mount].inputs):
            raise InputError(
                f"exits.mounts: '{item.mount}' lies behind the last block, where final heads begin",
                "leave it away, or give one final head",
            )
    rng = np.random.default_rng([seed, FINAL_SEED])
    rivals = []
    for number, head in enumerate(others, len(early)):
        made = Exit(f"exit_{number}", source.name, f"exit_{number}", confidence=final.confidence, head=head)
        rivals.append(add_head(graph, made, None, rng))
    state.exits = [*early, *rivals, final]
    order_outputs(graph)
    tidy(graph)
