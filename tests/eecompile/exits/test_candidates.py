from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_graphsurgeon as gs
import pytest

from eecompile.exits.candidates import Candidate, CandidateExit, Evaluation, shares
from eecompile.exits.thresholds import Limit
from passes.confidence import MARGIN, MAX_SOFTMAX, PATIENCE, ConfidenceRule
from targets.evaluation.report import CostReport
from targets.objective import EDP
from tests.eecompile.exits.test_choice import answers, cost, network

__all__ = ["network"]


def test_a_candidate_is_evaluated_once_and_without_files(network: gs.Graph) -> None:
    calls = 0

    def counted(graph: gs.Graph, ratios: Sequence[float] | None, speculate: bool) -> CostReport:
        nonlocal calls
        calls += 1
        return cost(graph, ratios, speculate)

    tried = [CandidateExit("exit_0", "relu_2", "linear", MAX_SOFTMAX)]
    tried += [CandidateExit("exit_1", "relu_2", "conv", MAX_SOFTMAX)]
    asked = Evaluation(network, tried, answers(10, 0, 0), Limit(100.0, True), EDP, counted)
    one = Candidate((tried[0],))
    figures = asked.evaluate(one)
    before = calls
    again = Candidate((CandidateExit("exit_0", "relu_2", "linear", MAX_SOFTMAX),))
    assert asked.evaluate(again) is figures and calls == before
    assert asked.evaluate(Candidate((tried[1],))) is not figures and calls > before
    assert figures.costs.ratios == figures.ratios == shares(answers(10, 0), figures.thresholds)
    expected = sum(r * p.cost.value(EDP) for r, p in zip(figures.ratios, figures.costs.exits, strict=True))
    assert figures.value == pytest.approx(expected, rel=1e-6)
    assert figures.accuracy == pytest.approx(1 - figures.drop / 100)
    with pytest.raises(ValueError, match="not in tuple"):
        asked.evaluate(Candidate((CandidateExit("exit_9", "relu_9", "conv", MAX_SOFTMAX),)))


@pytest.mark.parametrize(("rule", "idle"), [(MAX_SOFTMAX, (0,)), (PATIENCE, ())])
def test_an_exit_that_others_ask_is_of_use_though_no_image_leaves_there(
    network: gs.Graph, rule: ConfidenceRule, idle: tuple[int, ...]
) -> None:
    """Exit 0 is wrong, and as sure as ever, on all images; exit 1 on none."""
    tried = [CandidateExit(f"exit_{k}", mount, "linear", rule) for k, mount in enumerate(("a", "b"))]
    seen = replace(answers(100, 0, 0), rules=(rule, rule))
    asked = Evaluation(network, tried, seen, Limit(1.0, True), EDP, cost)
    both, first = Candidate(tuple(tried)), Candidate((tried[0],))
    assert (asked.never_taken(both), asked.idle(both)) == ((0,), idle)
    assert asked.never_taken(first) == asked.idle(first) == (0,)


def test_candidates_are_told_apart_by_mount_head_and_rule() -> None:
    items = [
        CandidateExit(name, mount, head, rule)
        for name in ("exit_0", "exit_1")
        for mount in ("relu_2", "relu_4")
        for head in ("", "conv")
        for rule in (MAX_SOFTMAX, MARGIN)
    ]
    candidates = [Candidate(), *(Candidate((item,)) for item in items), Candidate(tuple(items))]
    assert len({candidate.text for candidate in candidates}) == len(candidates)
