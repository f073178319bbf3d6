"""Weights of answers that are taken over: found where they are known, and worth it on other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, CandidateExit, Evaluation
from eecompile.exits.recycling import carried_on, network_with, weight_of
from eecompile.exits.thresholds import Limit
from passes.confidence import MAX_SOFTMAX
from passes.exits.chain import keep_exits
from passes.state import state_of
from targets.evaluation.report import CostReport
from targets.objective import EDP
from tests.eecompile.exits.test_choice import answers, cost, network

__all__ = ["network"]

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]


def drawn(own: float, before: float, count: int = 20_000, seed: int = 0) -> tuple[Float32, Float32, Labels]:
    """Return two logits [count, 5], and labels of softmax(own * first + before * second)."""
    rng = np.random.default_rng(seed)
    both = rng.normal(0, 2, (2, count, 5)).astype(np.float32)
    labels = (own * both[0] + before * both[1] + rng.gumbel(size=both[0].shape)).argmax(axis=1)
    return both[0], both[1], labels


@pytest.mark.parametrize(("own", "before"), [(1.0, 0.5), (0.3, 0.3), (2.0, 0.2)])
def test_the_weight_of_drawn_labels_is_found_however_sure_logits_are(own: float, before: float) -> None:
    first, second, labels = drawn(own, before)
    assert weight_of(first, second, labels) == pytest.approx(before / own, rel=0.08)
    assert weight_of(10 * first, 2 * second, labels) == pytest.approx(5 * before / own, rel=0.08)


def test_nothing_is_taken_over_that_says_nothing_or_the_contrary() -> None:
    first, second, labels = drawn(1.0, -0.3)
    assert weight_of(first, second, labels) == 0
    assert weight_of(first, np.zeros_like(first), labels) == 0
    assert weight_of(first, first, labels) >= 0, "two of a kind: any weight is as good"
    assert weight_of(second, -first, labels) == 0, "its own logits are the worse for it"


def test_logits_that_are_no_numbers_are_left_out() -> None:
    first, second, labels = drawn(1.0, 0.5, 2000)
    expected = weight_of(first, second, labels)
    broken = np.vstack([first, np.full((9, 5), np.nan, np.float32)])
    more = np.vstack([second, np.zeros((9, 5), np.float32)])
    assert weight_of(broken, more, np.append(labels, np.zeros(9, np.int64))) == pytest.approx(expected)
    assert weight_of(broken[-9:], more[-9:], labels[:9]) == 0


def test_separable_labels_have_a_weight_that_is_finite() -> None:
    sure = 8 * np.eye(4, dtype=np.float32)
    assert 0 <= weight_of(sure, sure, np.arange(4)) < 1e6
    assert np.isfinite(weight_of(np.zeros_like(sure), sure, np.arange(4)))


def three_exits(count: int, seed: int) -> Answers:
    """Return answers of three exits that see the same class through noise of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, count)
    logits = [s * np.eye(5)[labels] + rng.normal(size=(count, 5)) for s in (1.0, 1.2, 1.4)]
    return Answers(tuple(z.astype(np.float32) for z in logits), labels, (MAX_SOFTMAX,) * 2)


def test_exits_that_err_apart_are_right_more_often_on_images_that_fitted_nothing() -> None:
    val, test = three_exits(600, 0), three_exits(4000, 1)
    carried = carried_on(val.logits, val.labels)
    assert set(carried) == {(0, 1), (0, 2), (1, 2)}
    alone = test.correct.mean(axis=1)
    both = replace(test, carried=carried).select((0, 1)).correct.mean(axis=1)
    assert both[0] == alone[0] and (both[1:] > alone[1:] + 0.03).all()


def test_a_selection_takes_over_from_the_exit_before_it_that_is_kept() -> None:
    seen = replace(three_exits(50, 0), carried={(0, 1): 0.5, (1, 2): 0.25, (0, 2): 2.0})
    z = seen.logits
    for kept, expected in {
        (): (z[2],),
        (0,): (z[0], z[2] + np.float32(2) * z[0]),
        (1,): (z[1], z[2] + np.float32(0.25) * z[1]),
        (0, 1): (z[0], z[1] + np.float32(0.5) * z[0], z[2] + np.float32(0.25) * z[1]),
    }.items():
        part = seen.part(np.arange(40)).select(kept)
        for found, wanted in zip(part.logits, expected, strict=True):
            np.testing.assert_array_equal(found, wanted[:40])
        # What drops are against is the network without exits, which takes nothing over.
        np.testing.assert_array_equal(part.static_prediction, z[2][:40].argmax(axis=1))
        assert part.select(range(len(kept))).logits[-1] is part.logits[-1], "once is enough"


def test_exits_that_stay_alone_neither_give_nor_take() -> None:
    val = three_exits(600, 0)
    assert set(carried_on(val.logits, val.labels, alone=[1])) == {(0, 2)}


def test_networks_are_costed_as_they_are_delivered(network: gs.Graph) -> None:
    """Every network that is scheduled has what its exits take over in it."""
    nodes: list[int] = []

    def counted(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        nodes.append(len(graph.nodes))
        return cost(graph, ratios, speculate)

    names = [e.name for e in state_of(network).exits[:-1]]
    tried = [CandidateExit(name, name, "linear", MAX_SOFTMAX) for name in names]
    val = replace(answers(10, 0, 0), carried={(0, 1): 0.5, (0, 2): 0.5, (1, 2): 0.5})
    asked = Evaluation(network, tried, val, Limit(100.0, True), EDP, counted)
    asked.evaluate(Candidate(tuple(tried)))
    plain = len(keep_exits(network, names).nodes)
    assert max(nodes) == len(network_with(network, names, (0.5, 0.5)).nodes) == plain + 4
