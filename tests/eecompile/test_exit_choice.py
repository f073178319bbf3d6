from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.exit_choice import Candidate, choose_exits, oversized, shares
from eecompile.preparation import cost_of
from eecompile.thresholds import Limit
from eecompile.validation import Answers
from passes.confidence import MAX_SOFTMAX
from passes.graph import load
from passes.heads import CONV, LINEAR
from passes.insert_exits import add_rival_heads
from passes.registry import parse_pipeline
from targets.objective import EDP
from targets.registry import load_target
from targets.report import CostReport
from tests.eecompile.test_calibration import EXAMPLE

CANDIDATES = [Candidate("relu_2", "linear"), Candidate("relu_2", "conv")]


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2,head=linear}")(graph)
    add_rival_heads(graph, (LINEAR, CONV))
    return graph


def cost(graph: gs.Graph, ratios: Sequence[float] | None = None) -> CostReport:
    return cost_of(graph, load_target("diana"), EDP, ratios=ratios)


def answers(*wrong: int, images: int = 100) -> Answers:
    """Each exit is sure and right, but for its first so many images, on which it is sure and wrong."""
    labels = np.zeros(images, np.int64)
    logits = []
    for count in wrong:
        z = np.zeros((images, 10), np.float32)
        z[:, 0] = 5 + np.linspace(0, 1, images)
        z[:count] = np.roll(z[:count], 1, axis=1)
        logits.append(z)
    return Answers(tuple(logits), labels, (MAX_SOFTMAX,) * (len(logits) - 1))


def test_of_one_mount_one_head_is_kept_the_cheaper_if_both_will_do(network: gs.Graph) -> None:
    chosen = choose_exits(network, CANDIDATES, answers(0, 0, 0), Limit(1.0, True), EDP, cost)
    assert chosen.kept == (0,)
    assert [r.name for r in chosen.removed] == ["conv head at relu_2"]
    assert len(chosen.costs.exits) == 2
    assert chosen.costs.ratios == shares(answers(0, 0), chosen.thresholds), "scheduled for what was seen"


def test_the_head_that_holds_the_limit_is_kept(network: gs.Graph) -> None:
    chosen = choose_exits(network, CANDIDATES, answers(100, 0, 0), Limit(1.0, True), EDP, cost)
    assert chosen.kept == (1,)


def test_no_exit_is_kept_where_none_may_be_taken(network: gs.Graph) -> None:
    chosen = choose_exits(network, CANDIDATES, answers(100, 100, 0), Limit(1.0, True), EDP, cost)
    assert chosen.kept == ()
    assert chosen.costs.exits[-1].macs == chosen.static.exits[-1].macs
    assert [r.reason for r in chosen.removed] == 2 * [
        "no thresholds here keep the estimated drop on val (and the mean drop over neighbouring thresholds) "
        "within 1 points"
    ]


def test_a_network_that_nothing_needs_to_the_end_is_called_oversized() -> None:
    assert oversized(answers(0, 0), [np.float32(0)]) == [
        "no val image gets past exit_0: within the allowed drop this task needs nothing deeper"
    ]
    assert oversized(answers(0, 0), [np.float32(2)]) == []
