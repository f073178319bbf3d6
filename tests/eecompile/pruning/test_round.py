"""One round of pruning: what it costs, what is lost, what is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.round import PruningRound
from eecompile.pruning.sensitivity import loss_of
from eecompile.training.contract import TrainingImages
from passes.errors import NoSolutionError
from passes.state import copy_graph
from tests.eecompile.pruning.test_prune import cost
from tests.eecompile.pruning.test_sensitivity import answered, images, network, whispering
from tests.eecompile.training.small import RAW

BRANCH = ("add_0/1:1",)


def cycles(graph: gs.Graph) -> float:
    return cost(graph).total.latency_cycles


def round_of(graph: gs.Graph, share: float) -> PruningRound:
    split = answered(graph, images(96))
    given = TrainingImages(split, Split(split.x[:8], split.y[:8]), RAW)
    most = share * cycles(graph)
    return PruningRound(graph, graph, PruningGoal("cycles", 0.3), most, given, cost, None)


def test_channels_go_only_where_branches_do_not_save_enough() -> None:
    graph = network()
    this = round_of(graph, 0.6)
    assert this.saved(BRANCH) == cycles(graph) - cycles(this.reach(BRANCH).found.graph) > 0
    whole = this.reach(BRANCH).found
    assert (whole.branches, whole.channels) == (BRANCH, ())
    assert whole.plan.counts == {"conv_0": 8, "conv_1": 8}, "those of the network that is left"
    both = replace(this, most=0.4 * cycles(graph)).reach(BRANCH).found
    assert both.channels and both.cost == cycles(both.graph) <= 0.4 * cycles(graph)
    told = both.to_json()
    assert told["layers"] == [[node.name for node in graph.nodes if node.op == "Conv"][1]]
    assert told["channels_before"] == {"conv_0": 8, "conv_1": 8} != told["channels"]
    assert both.text(cycles(graph)).startswith(
        f"cycles {100 * (both.cost / cycles(graph) - 1):+.1f} %, without "
    )


@pytest.mark.parametrize("half", [0, 1])
def test_losses_are_seen_on_images_that_nothing_was_fitted_to(half: int) -> None:
    this = round_of(whispering(), 0.5)
    found = this.reach(BRANCH)
    train = this.images.train
    unseen = Split(train.x[1::2], train.y[1::2])
    assert found.loss == this.loss(BRANCH) == loss_of(found.found.graph, unseen, RAW, this.given)
    assert found.loss == pytest.approx(this.loss(()), rel=0.02), "its branch says next to nothing"
    train.x[half::2] *= 2
    other = replace(this).reach(BRANCH)
    weights = [of.found.graph.nodes[0].inputs[2].values for of in (found, other)]
    assert np.array_equal(*weights) == (half == 1), "the other half is what it is fitted to"
    assert other.loss != found.loss


def test_what_is_given_stays_as_it_is() -> None:
    graph = network()
    before = [t.values.copy() for t in graph.tensors().values() if isinstance(t, gs.Constant)]
    this = round_of(graph, 0.9)
    this.reach(BRANCH).found.graph.nodes[0].inputs[1].values[:] = 0
    this.reach(())
    after = [t.values for t in copy_graph(graph).tensors().values() if isinstance(t, gs.Constant)]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_what_cannot_be_reached_is_a_share_of_the_network_as_given() -> None:
    this = round_of(network(), 0.01)
    shares = []
    for branches in ((), BRANCH):
        with pytest.raises(NoSolutionError) as error:
            this.reach(branches)
        shares.append(float(str(error.value).split("save ")[1].split(" ")[0]))
    assert shares[0] < shares[1] < 100
