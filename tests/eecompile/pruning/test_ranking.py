"""Channels in the order in which they may go."""

from __future__ import annotations

import numpy as np

from eecompile.pruning.ranking import Ranking
from passes.model.graph import from_model
from passes.pruning.groups import find_groups
from passes.pruning.prune_channels import PruneChannels
from passes.state import copy_graph
from tests.passes.small_nets import chain


def test_those_missed_least_go_first_and_the_text_says_which() -> None:
    graph = from_model(chain())
    found = find_groups(graph)
    first, second = found.groups[:2]
    losses = {unit: 1.0 for group in found.groups for unit in group.units}
    losses |= dict(zip(first.units, (3.0, 0.5, 2.0, 0.5), strict=True))
    ranking = Ranking(graph, found, losses)
    assert ranking.order(first.name) == [first.units[place] for place in (1, 3, 2, 0)], (
        "equal ones as they lie"
    )
    assert ranking.groups[0].losses == (0.5, 0.5, 2.0, 3.0)
    counts = {first.name: 2, second.name: 4}
    assert ranking.gone(counts) == {first.units[1], first.units[3]}
    assert ranking.texts(counts) == ("conv_0/4:1:3",)
    shape, pruned = ranking.shape(counts), copy_graph(graph)
    PruneChannels(remove=ranking.texts(counts))(pruned)
    assert graph.nodes[0].inputs[1].shape[0] == 4, "it stays as it is"
    np.testing.assert_array_equal(shape.nodes[0].inputs[1].values, pruned.nodes[0].inputs[1].values)
