from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.exits.answers import Answers
from eecompile.exits.candidates import Candidate, CandidateExit, Evaluation, shares
from eecompile.exits.choice import choose_exits, choose_heads, networks_of, oversized, unacceptable
from eecompile.exits.proxies import proxy_choices
from eecompile.exits.subset_costs import NetworkCost
from eecompile.exits.thresholds import Limit
from eecompile.run.prepare import cost_of
from passes.confidence import MAX_SOFTMAX
from passes.errors import NoSolutionError
from passes.exits.insert_exits import add_rival_heads
from passes.heads.designs import CONV, LINEAR
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from targets.evaluation.report import CostReport
from targets.evaluation.scheduling import Wishes
from targets.objective import EDP
from tests.eecompile.quantization.test_calibration import EXAMPLE


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2,head=linear}")(graph)
    add_rival_heads(graph, (LINEAR, CONV))
    return graph


def cost(graph: gs.Graph, ratios: Sequence[float] | None = None, speculate: bool = False) -> CostReport:
    wishes = Wishes(speculate=speculate)
    return cost_of(graph, load_target("diana"), EDP, ratios=ratios, wishes=wishes)


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


def evaluation(network: gs.Graph, *wrong: int, mount: str = "relu_2", max_drop: float = 1.0) -> Evaluation:
    """Exit 0 is the linear head at relu_2, exit 1 the conv head there, or at another mount if told."""
    tried = [
        CandidateExit("exit_0", "relu_2", "linear", MAX_SOFTMAX),
        CandidateExit("exit_1", mount, "conv", MAX_SOFTMAX),
    ]
    return Evaluation(network, tried, answers(*wrong), Limit(max_drop, True), EDP, cost)


def test_a_network_that_lost_too_much_in_training_is_no_solution(network: gs.Graph) -> None:
    seen = answers(9, 9, 6)
    static = np.arange(100) >= 1
    tried = [
        CandidateExit(f"exit_{n}", "relu_2", head, MAX_SOFTMAX) for n, head in enumerate(("linear", "conv"))
    ]
    for max_drop in (4.0, 5.0):
        asked = Evaluation(
            network, tried, replace(seen, static=np.where(static, 0, 1)), Limit(max_drop, True), EDP, cost
        )
        for choice in (choose_exits, choose_heads):
            if max_drop == 5:
                assert choice(asked).figures.drop == pytest.approx(5)
                continue
            with pytest.raises(
                NoSolutionError, match=r"is 5\.00 points less accurate on val than static"
            ) as error:
                choice(asked)
            assert "`max_drop`" in (error.value.hint or "")


def test_of_one_mount_one_head_is_kept_the_cheaper_if_both_will_do(network: gs.Graph) -> None:
    for choose in (choose_exits, choose_heads):
        chosen = choose(evaluation(network, 0, 0, 0))
        assert chosen.figures.kept == (0,)
        (removed,) = chosen.removed
        assert removed.name == "conv head at relu_2"
        assert removed.reason.endswith("with the linear head at relu_2")
        figures = chosen.figures
        assert len(figures.costs.exits) == 2
        assert figures.costs.ratios == shares(answers(0, 0), figures.thresholds), (
            "scheduled for what was seen"
        )


def test_the_head_that_holds_the_limit_is_kept(network: gs.Graph) -> None:
    for choose in (choose_exits, choose_heads):
        chosen = choose(evaluation(network, 100, 0, 0))
        assert chosen.figures.kept == (1,)
        assert chosen.never_taken == ()


def test_no_exit_is_kept_where_none_may_be_taken(network: gs.Graph) -> None:
    chosen = choose_exits(evaluation(network, 100, 100, 0))
    assert chosen.figures.kept == ()
    assert chosen.figures.costs.exits[-1].cost.macs == chosen.static.exits[-1].cost.macs
    assert [r.reason for r in chosen.removed] == 2 * [
        "no thresholds here keep the estimated drop on val (and the mean drop over neighbouring thresholds) "
        "within 1 points"
    ]


def test_exits_that_were_asked_for_stay_where_none_may_be_taken_and_that_is_said(network: gs.Graph) -> None:
    asked = evaluation(network, 100, 0, 0, mount="relu_4")
    chosen = choose_heads(asked)
    assert [item.mount for item in chosen.kept.exits] == ["relu_2", "relu_4"]
    assert chosen.never_taken == (0,)
    assert chosen.figures.thresholds[0] == MAX_SOFTMAX.never > MAX_SOFTMAX.high
    assert chosen.figures.ratios[0] == 0 and chosen.figures.ratios[1] > 0
    assert chosen.figures.costs.ratios == chosen.figures.ratios
    (warning,) = unacceptable(asked, chosen)
    assert warning.startswith(
        "no image leaves at exit_0 (the linear head at relu_2): no threshold there keeps"
    )
    assert choose_exits(asked).figures.kept == (1,), "a number of mounts keeps only what is taken"


def test_what_an_exit_must_save_is_told_and_decides(network: gs.Graph) -> None:
    asked = evaluation(network, 60, 0, 0, mount="relu_4", max_drop=100.0)
    both = asked.evaluate(Candidate(asked.tried)).value
    alone = min(asked.evaluate(Candidate((item,))).value for item in asked.tried)
    saved = 100 * (alone - both) / asked.evaluate(Candidate()).value
    kept = [len(choose_exits(asked, min_gain=gain).kept.exits) for gain in (0.0, 100.0)]
    assert kept == [1 if saved <= 0 else 2, 0]
    (first, second) = choose_exits(asked, min_gain=100.0).removed
    assert "points of static, less than the 100 asked for (`min_gain`)" in first.reason
    assert "points of static, less than the 100 asked for (`min_gain`)" in second.reason


@pytest.fixture(scope="module")
def rivals() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2+relu_4,head=linear}")(graph)
    add_rival_heads(graph, (LINEAR, CONV))
    return graph


RIVALS = [
    CandidateExit(f"exit_{number}", mount, head, MAX_SOFTMAX)
    for number, (mount, head) in enumerate(itertools.product(("relu_2", "relu_4"), ("linear", "conv")))
]


@pytest.mark.parametrize("wrong", [(40, 3, 2, 1, 0), (2, 1, 0, 0, 0), (90, 60, 50, 45, 0)])
def test_what_is_chosen_is_the_best_of_all_though_few_are_scheduled(
    rivals: gs.Graph, wrong: tuple[int, ...]
) -> None:
    scheduled: list[int] = []

    def counted(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        scheduled.append(len(graph.outputs))
        return cost(graph, ratios, speculate)

    asked = Evaluation(rivals, RIVALS, answers(*wrong), Limit(2.0, True), EDP, counted)
    chosen = choose_exits(asked)
    few, static = len(scheduled), asked.evaluate(Candidate()).value
    subsets = [
        Candidate(exits)
        for size in range(3)
        for exits in itertools.combinations(RIVALS, size)
        if len({item.mount for item in exits}) == size
    ]
    values = {
        c: asked.evaluate(c).value + 0.02 * static * len(c.exits) for c in subsets if not asked.never_taken(c)
    }
    assert values[chosen.kept] == min(values.values())
    assert few < len(scheduled), "bounds discard some subsets before they are scheduled"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_networks_are_all_with_one_head_per_mount_the_fewest_first(
    rivals: gs.Graph, order: tuple[int, ...]
) -> None:
    tried = [RIVALS[number] for number in order]
    asked = Evaluation(rivals, tried, answers(0, 0, 0, 0, 0), Limit(1.0, True), EDP, cost)
    expected = [
        Candidate(exits)
        for size in range(5)
        for exits in itertools.combinations(tried, size)
        if len({item.mount for item in exits}) == size
    ]
    assert list(networks_of(asked)) == expected and len(expected) == 9


def test_an_exit_is_kept_only_with_the_one_it_reads(rivals: gs.Graph) -> None:
    """The deeper exit alone would be the best; what it reads comes with it, or neither."""
    reading = [*RIVALS[:2], replace(RIVALS[2], reads="exit_0"), replace(RIVALS[3], reads="exit_0")]
    loose, bound = (
        choose_exits(Evaluation(rivals, t, answers(99, 99, 0, 0, 0), Limit(1.0, True), EDP, cost))
        for t in (RIVALS, reading)
    )
    assert [item.mount for item in loose.kept.exits] == ["relu_4"]
    assert bound.kept == Candidate(), (
        "its exit is never taken, so a network with both is no better than static"
    )
    both = choose_heads(Evaluation(rivals, reading, answers(5, 0, 0, 0, 0), Limit(100.0, True), EDP, cost))
    assert both.kept.exits[0].name == "exit_0"


def refusing(*, more_than: int, ratios_too: bool = False) -> NetworkCost:
    """A target whose memories do not hold networks with more early exits (some: only once shares differ)."""

    def small(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        if len(state_of(graph).exits) - 1 > more_than and (ratios is not None or not ratios_too):
            raise NoSolutionError("L2 is too small", "use less")
        return cost(graph, ratios, speculate)

    return small


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_the_target_cannot_run_is_not_chosen_and_that_is_told(
    rivals: gs.Graph, room: int, late: bool
) -> None:
    small = refusing(more_than=room, ratios_too=late)
    asked = Evaluation(rivals, RIVALS, answers(40, 40, 2, 2, 0), Limit(2.0, True), EDP, small)
    chosen = choose_exits(asked, min_gain=0.0)
    free = choose_exits(
        Evaluation(rivals, RIVALS, answers(40, 40, 2, 2, 0), Limit(2.0, True), EDP, cost), min_gain=0.0
    )
    assert len(free.kept.exits) == 2 and len(chosen.kept.exits) == room
    told = [removed.reason for removed in chosen.removed if "L2 is too small" in removed.reason]
    assert len(told) == (4 if room == 0 else 0)
    proxies = proxy_choices(asked, chosen.among, 0.0)
    assert len(proxies) == 2 and all(len(one.candidate.exits) <= room for one in proxies)
    if room < 2:
        with pytest.raises(NoSolutionError, match="L2 is too small"):
            choose_heads(Evaluation(rivals, RIVALS, answers(5, 5, 2, 2, 0), Limit(9.0, True), EDP, small))


def test_a_network_that_nothing_needs_to_the_end_is_called_oversized() -> None:
    assert oversized(answers(0, 0), [np.float32(0)]) == [
        "no val image gets past exit_0: within the allowed drop this task needs nothing deeper"
    ]
    assert oversized(answers(0, 0), [np.float32(2)]) == []
    (kept,) = oversized(answers(0, 0), [np.float32(0)], given=True)
    assert kept == "no val image gets past exit_0: with these thresholds this task needs nothing deeper"
