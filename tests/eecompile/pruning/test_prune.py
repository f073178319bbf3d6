"""A network is pruned to a goal on its schedule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from eecompile.data.dataset import Split
from eecompile.pruning.goal import PruningGoal
from eecompile.pruning.prune import prune
from eecompile.run.prepare import cost_of
from eecompile.training.checkpoint import NOWHERE
from eecompile.training.contract import Course, TrainingImages
from eecompile.training.recipe import PRUNED
from passes.errors import InputError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.objective import LATENCY
from tests.eecompile.pruning.test_sensitivity import images, network
from tests.eecompile.training.small import RAW
from tests.passes.net_builder import NetBuilder

BRIEF = replace(PRUNED, samples=48, least_epochs=1, batch=24, bfloat16="no")
COURSE = Course(0, lambda _: None, NOWHERE)
GAP9 = load_target("gap9", "", 1.0)


def cost(graph: gs.Graph) -> CostReport:
    return cost_of(graph, GAP9, LATENCY)


def given() -> TrainingImages:
    split = images(24)
    return TrainingImages(split, Split(split.x[:8], split.y[:8]), RAW)


def test_each_round_goes_a_part_of_the_way_and_its_text_says_which_channels() -> None:
    graph = network()
    found = prune(graph, PruningGoal("cycles", 0.2), given(), BRIEF, COURSE, cost, rounds=2)
    whole = cost(graph).total.latency_cycles
    assert found.before == whole
    assert found.after == cost(found.graph).total.latency_cycles <= 0.8 * whole
    first, last = (told["cycles"] for told in found.rounds)
    assert last == found.after < first <= 0.9 * whole
    assert [len(told["training"]["epochs"]) for told in found.rounds] == [1, 2]
    shapes = network()
    for told in found.rounds:
        parse_pipeline("prune-channels{remove=" + "+".join(told["remove"]) + "}")(shapes)
    for node, other in zip(shapes.nodes, found.graph.nodes, strict=True):
        assert [t.shape for t in node.outputs] == [t.shape for t in other.outputs]
    assert not np.array_equal(
        graph.nodes[0].inputs[1].values.shape, found.graph.nodes[0].inputs[1].values.shape
    )


def test_a_network_without_channels_that_may_go_is_refused() -> None:
    net = NetBuilder((1, 3, 16, 16))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", net.op("LRN", net.conv("x", 3, 4), size=3)))
    graph = from_model(net.model(net.op("Gemm", pooled, net.normal(4, 4), transB=1)))
    with pytest.raises(InputError, match=r"no channel of this network may go: .*what LRN 'n1_LRN' does"):
        prune(graph, PruningGoal("cycles", 0.2), given(), BRIEF, COURSE, cost)
