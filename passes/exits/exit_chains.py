"""Heads that read the exit before them, one for each exit that this may be: material to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_graphsurgeon as gs

from passes.confidence import MAX_SOFTMAX
from passes.exits.added_head import add_head
from passes.exits.chain import order_outputs
from passes.exits.recognise import classifier_exits
from passes.heads.designs import HeadDesign
from passes.heads.families import NO_REUSE
from passes.model.graph import tidy
from passes.rewrite.names import make_way
from passes.state import Exit, state_of


def count_chained(heads: Sequence[Sequence[HeadDesign]], most: int | None = None) -> int:
    """Return how many exits :func:`add_chained_exits` makes of the heads on each mount, shallow to deep.

    A head that reuses something is there once for each exit on the mounts before that it may read, and each
    of these once for each that it reads in turn.

    Args:
        heads: Of each mount.
        most: Early exits of a network; ``None``: as many as there are mounts.
    """
    most = len(heads) if most is None else most
    ending = [0] * (most + 1)  # exits of the mounts so far, by how many a network has that ends with them
    for designs in heads:
        reading = sum(design.reuse != NO_REUSE for design in designs)
        longer = [reading * count for count in ending[:-1]]
        for length, count in enumerate(longer, 1):
            ending[length] += count
        ending[1] += len(designs) - reading
    return sum(ending)


def add_chained_exits(
    graph: gs.Graph, heads: Mapping[str, Sequence[HeadDesign]], seed: int = 0, most: int | None = None
) -> None:
    """Give a network without exits all heads on all mounts, in place.

    One that reuses something is there once for each exit on a mount before, and has weights of its own there.

    Args:
        graph: A network with one classifier.
        heads: Of each mount, by the name of its tensor, shallow to deep.
        seed: Of the weights of heads.
        most: Early exits of a network, at least one; longer chains are left out.

    Raises:
        InputError: A head does not read such features.
    """
    most = len(heads) if most is None else most
    classifier_exits(graph)
    for number in range(count_chained(list(heads.values()), most)):
        make_way(graph, f"exit_{number}")
    state = state_of(graph)
    rng, length = np.random.default_rng(seed), dict[str, int]()
    for mount, designs in heads.items():
        before = [item for item in state.exits[:-1] if length[item.name] < most]
        for design in designs:
            for read in [None] if design.reuse == NO_REUSE else before:
                *exits, final = state.exits
                name = f"exit_{len(exits)}"
                made = Exit(name, mount, name, confidence=MAX_SOFTMAX, head=design)
                state.exits = [*exits, add_head(graph, made, read, rng), final]
                length[name] = 1 if read is None else length[read.name] + 1
    order_outputs(graph)
    tidy(graph)
