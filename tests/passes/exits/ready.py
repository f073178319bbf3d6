"""A network whose exits have thresholds, for the tests of what is made of it."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from passes.exits.chain import set_thresholds
from passes.exits.insert_exits import InsertExits
from passes.model.graph import from_model
from passes.rewrite.rewriter import Array
from tests.passes.equivalence import batch_of
from tests.passes.small_nets import chain


def ready(threshold: float = 0.5) -> tuple[gs.Graph, Array]:
    """Return a network with exit_0, exit_1 and final, and one image."""
    model = chain(4)
    graph = from_model(model)
    InsertExits(at=("2",))(graph)
    set_thresholds(graph, [threshold] * 2)
    return graph, batch_of(model, 1)
