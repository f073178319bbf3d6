from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eecompile.exits.additive_costs import AdditiveCosts
from eecompile.exits.fronts.subset_front import global_front
from eecompile.exits.thresholds import leaves_at
from eecompile.run.prepare import cost_of
from eecompile.search.backbones.family import mounts_of_blocks
from eecompile.search.backbones.registry import backbone_family
from eecompile.search.space.tables import ConstraintsTable
from eecompile.search.worth.genetic_front import GeneticSearch, genetic_front
from eecompile.search.worth.inner_front import (
    AnsweredSupernet,
    FrontQuestion,
    InnerFront,
    front_problem,
    inner_front,
)
from eecompile.search.worth.part_costs import PartCosts, part_costs
from passes.confidence import ConfidenceRule, confidence_rule
from passes.exits.chain import keep_exits
from passes.exits.exit_chains import add_chained_exits
from passes.heads.designs import parse_head
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.training.small import network

IMAGES = 60
RULES = [confidence_rule("max_softmax"), confidence_rule("margin")]
GRAPH = network(rivals=True)
NAMES = [item.name for item in state_of(GRAPH).exits[:-1]]
LABELS = np.arange(IMAGES) % 3


def logits() -> tuple[NDArray[np.float32], ...]:
    """Answers of exits, the deeper the better."""
    rng = np.random.default_rng(5)
    right = np.eye(3)[LABELS]
    return tuple(
        (right * k + rng.normal(0, 1, (IMAGES, 3))).astype(np.float32) for k in (0.7, 1.0, 1.3, 1.6, 2.0)
    )


@pytest.fixture(scope="module")
def costs() -> PartCosts:
    target = load_target("diana")
    return part_costs(GRAPH, lambda graph: cost_of(graph, target, EDP))


OBJECTIVES = ("accuracy", "edp")


def answered(costs: PartCosts) -> AnsweredSupernet:
    return AnsweredSupernet(GRAPH, logits(), LABELS, costs)


def front(costs: PartCosts, most: int | None = None, **constraints: Any) -> InnerFront:
    question = FrontQuestion(RULES, OBJECTIVES, ConstraintsTable(**constraints), most)
    return inner_front(answered(costs), question)


def test_no_network_and_threshold_beats_it(costs: PartCosts) -> None:
    """All subsets, rules and thresholds, one by one."""
    found = {(point["accuracy_val"], round(point["edp_j_cycles"], 12)) for point in front(costs).points}
    answers = logits()
    for kept in itertools.product((None, 0, 1), (None, 2, 3)):
        chosen = [k for k in kept if k is not None]
        paths = costs.figures["edp"].paths(chosen, costs.mounts, 0)
        for rule in RULES:
            sure = [rule.evaluate(answers[k]) for k in chosen]
            confidence = np.stack(sure) if sure else np.zeros((0, IMAGES), np.float32)
            for threshold in np.unique(confidence):
                where = leaves_at(confidence, [threshold] * len(chosen))
                right = np.stack([answers[k].argmax(1) == LABELS for k in (*chosen, 4)])
                accuracy = float(right[where, np.arange(IMAGES)].mean())
                cost = float(paths[where].mean())
                assert any(a >= accuracy and c <= cost + 1e-9 for a, c in found)


PATIENCE = confidence_rule("patience")


def brute(costs: PartCosts, rule: ConfidenceRule, joint: bool) -> list[tuple[float, float]]:
    """Accuracy and EDP of all subsets and thresholds of a rule, one by one."""
    answers, found = logits(), []
    for kept in itertools.product((None, 0, 1), (None, 2, 3)):
        chosen = [k for k in kept if k is not None]
        paths = costs.figures["edp"].paths(chosen, costs.mounts, 0)
        sure = [rule.evaluate(answers[k], [answers[b] for b in chosen[:n]]) for n, k in enumerate(chosen)]
        confidence = np.stack(sure) if sure else np.zeros((0, IMAGES), np.float32)
        steps = [np.append(np.unique(row), rule.never) for row in ([confidence] if joint else confidence)]
        every = itertools.product(*steps) if chosen else [()]
        for thresholds in every:
            where = leaves_at(confidence, [*thresholds] * (len(chosen) if joint else 1))
            right = np.stack([answers[k].argmax(1) == LABELS for k in (*chosen, 4)])
            found.append((float(right[where, np.arange(IMAGES)].mean()), float(paths[where].mean())))
    return found


@pytest.mark.parametrize("joint", [True, False])
def test_patience_counts_the_exits_that_each_network_has(costs: PartCosts, joint: bool) -> None:
    """No network and thresholds beat what is found, each point is one of them, thresholds are whole."""
    question = FrontQuestion([PATIENCE], OBJECTIVES, ConstraintsTable(), joint=joint)
    found = inner_front(answered(costs), question).points
    tried = brute(costs, PATIENCE, joint)
    points = [(point["accuracy_val"], point["edp_j_cycles"]) for point in found]
    for accuracy, cost in tried:
        assert any(a >= accuracy - 1e-12 and c <= cost + 1e-9 for a, c in points)
    for accuracy, cost in points:
        assert any(abs(a - accuracy) < 1e-9 and abs(c - cost) < 1e-9 for a, c in tried)
    thresholds = [item["threshold"] for point in found for item in point["exits"]]
    assert all(not PATIENCE.wrong_threshold(value) for value in thresholds) and 2.0 in thresholds
    if joint:
        assert all(len({item["threshold"] for item in point["exits"]}) <= 1 for point in found)


def test_a_genetic_algorithm_counts_them_too(costs: PartCosts) -> None:
    question = FrontQuestion([PATIENCE], OBJECTIVES, ConstraintsTable(), joint=False)
    found = inner_front(answered(costs), replace(question, genetic=GeneticSearch(400, 100))).points
    tried = brute(costs, PATIENCE, joint=False)
    assert any(len(point["exits"]) == 2 for point in found)
    for point in found:
        at = point["accuracy_val"], point["edp_j_cycles"]
        assert any(abs(a - at[0]) < 1e-9 and abs(c - at[1]) < 1e-9 for a, c in tried)


@pytest.mark.parametrize("genetic", [None, GeneticSearch(400, 50)], ids=["solved", "genetic"])
def test_heads_that_read_the_exit_before_come_behind_it(genetic: GeneticSearch | None) -> None:
    """Two mounts: a plain head on each, and two on the second that read the first; each is right oftener."""
    graph = backbone_family("resnet").graph((1, 1, 8, 8), 3, {"width": 4, "blocks": 1})
    heads = [parse_head(text) for text in ("linear", "linear{reuse=logits}", "mlp{reuse=features}")]
    add_chained_exits(graph, dict.fromkeys(mounts_of_blocks(graph), heads))
    costs = part_costs(graph, lambda some: cost_of(some, load_target("diana"), EDP))
    question = FrontQuestion([RULES[1], PATIENCE], OBJECTIVES, ConstraintsTable(), 2, joint=False)
    supernet = AnsweredSupernet(graph, logits(), LABELS, costs)
    exits, problem = front_problem(supernet, question)
    assert [told.exit.reads for told in exits] == [*[""] * 4, *["exit_0"] * 4]
    assert problem.reads == (*[None] * 4, *[frozenset({0, 1})] * 4)
    assert problem.kinds is not None and len(set(problem.kinds)) == 8
    assert problem.subsets == 1 + 2 + 2 + 2 * 2 + 2 * 4
    found = inner_front(supernet, replace(question, genetic=genetic)).points
    assert {"exit_2", "exit_3"} & {item["name"] for point in found for item in point["exits"]}
    for point in found:
        names = [item["name"] for item in point["exits"]]
        keep_exits(graph, names)  # refuses one without what it reads
        told = {item["name"]: item["head"] for item in point["exits"]}
        assert all(told[item.name] == item.head_name for item in state_of(graph).exits if item.name in told)


def test_of_a_kind_the_one_that_goes_behind_what_is_kept_is_chosen() -> None:
    """Three mounts with a plain head and one that reads: whatever is drawn is a network."""
    graph = backbone_family("resnet").graph((1, 1, 8, 8), 3, {"width": 4, "blocks": 2, "stages": 2})
    heads = [parse_head(text) for text in ("linear", "linear{reuse=logits}")]
    add_chained_exits(graph, dict.fromkeys(mounts_of_blocks(graph), heads))
    costs = part_costs(graph, lambda some: cost_of(some, load_target("diana"), EDP))
    rng = np.random.default_rng(0)
    seen = tuple(rng.normal(0, 1, (IMAGES, 3)).astype(np.float32) for _ in state_of(graph).exits)
    question = FrontQuestion(RULES[:1], OBJECTIVES, ConstraintsTable(min_accuracy=0.1))
    _, problem = front_problem(AnsweredSupernet(graph, seen, LABELS, costs), question)
    assert len(problem.mounts) == 1 + 2 + 4 and len(set(problem.kinds or ())) == 1 + 2 + 2
    assert problem.subsets == 1 + 3 + 3 * 2 + 4
    front = genetic_front(problem, GeneticSearch(200, 100), joint=True)
    assert front.subsets == problem.subsets, "all were looked at, and nothing that is no network"


def test_fitted_rules_are_those_of_their_exits(costs: PartCosts) -> None:
    """A rule is called as it was asked for; its confidences are those of what was fitted to each exit."""
    fit = confidence_rule("max_softmax{temperature=fit}")
    own = tuple(confidence_rule(f"max_softmax{{temperature={t}}}") for t in (0.5, 1, 2, 4))
    supernet = replace(answered(costs), fitted={fit: own})
    exits, problem = front_problem(supernet, FrontQuestion([fit, RULES[1]], OBJECTIVES, ConstraintsTable()))
    assert [told.fitted for told in exits] == [rule for mine in own for rule in (mine, RULES[1])]
    for told, row in zip(exits, problem.confidence, strict=True):
        np.testing.assert_array_equal(row, told.fitted.evaluate(logits()[told.number]))
    found = inner_front(supernet, FrontQuestion([fit], OBJECTIVES, ConstraintsTable())).points
    assert {item["confidence"] for point in found for item in point["exits"]} == {str(fit)}


def test_its_problem_can_be_solved_by_itself(costs: PartCosts) -> None:
    """Rules of one head are exits of their own, and limits are those of the constraints."""
    question = FrontQuestion(RULES[:1], OBJECTIVES, ConstraintsTable(max_final_ratio=0.5))
    exits, problem = front_problem(answered(costs), question)
    both, _ = front_problem(answered(costs), FrontQuestion(RULES, OBJECTIVES, ConstraintsTable()))
    assert [told.exit.name for told in exits] == NAMES
    assert [(told.number, told.rule) for told in both] == [(k, rule) for k in range(4) for rule in RULES]
    assert problem.limits.final_ratio == 0.5
    solved = [(point.accuracy, point.figures["edp"]) for point in global_front(problem).points]
    found = inner_front(answered(costs), question).points
    assert solved == [(point["accuracy_val"], point["edp_j_cycles"]) for point in found]


def test_final_heads_are_part_of_what_is_solved() -> None:
    """The whole front over subsets, thresholds and two final heads; the dear one is right oftener."""
    graph, heads = network(rivals=True), (None, parse_head("linear"))
    early = part_costs(graph, lambda some: cost_of(some, load_target("diana"), EDP))
    dear = {name: added_final(figure) for name, figure in early.figures.items()}
    costs = replace(early, figures=dear, statics=early.statics * 2, final_memory=early.final_memory * 2)
    state = state_of(graph)
    made = replace(state.exits[-1], name="exit_4", output="exit_4")
    state.exits.insert(-1, made)
    answers = logits()
    better = np.random.default_rng(1).normal(0, 0.6, (IMAGES, 3)) + 2 * np.eye(3)[LABELS]
    seen = (*answers[:-1], better.astype(np.float32), answers[-1])  # the supernet is closed with the first
    supernet = AnsweredSupernet(graph, seen, LABELS, costs, heads)
    found = inner_front(supernet, FrontQuestion(RULES[:1], OBJECTIVES, ConstraintsTable())).points
    assert {point["final_head"] for point in found} == {"own", "linear"}
    points = {(point["accuracy_val"], round(point["edp_j_cycles"], 12)) for point in found}
    assert all(p["static_accuracy_val"] == np.mean(answers[-1].argmax(1) == LABELS) for p in found)
    for kept, (final, at) in itertools.product(
        itertools.product((None, 0, 1), (None, 2, 3)), enumerate((5, 4))
    ):
        chosen = [k for k in kept if k is not None]
        paths = costs.figures["edp"].paths(chosen, costs.mounts, final)
        confidence = np.array([RULES[0].evaluate(seen[k]) for k in chosen], np.float32).reshape(-1, IMAGES)
        for threshold in np.unique(confidence):
            where = leaves_at(confidence, [threshold] * len(chosen))
            right = np.stack([seen[k].argmax(1) == LABELS for k in (*chosen, at)])
            accuracy, cost = float(right[where, np.arange(IMAGES)].mean()), float(paths[where].mean())
            assert any(a >= accuracy and c <= cost + 1e-9 for a, c in points)


POINTS = load_target("gap9").arch.operating_points
CLOCKS = [point.clock_hz.value for point in POINTS]


def at_points(costs: PartCosts, objectives: tuple[str, ...], **constraints: Any) -> list[dict[str, Any]]:
    question = FrontQuestion(RULES[:1], objectives, ConstraintsTable(**constraints))
    return inner_front(answered(costs), question, POINTS).points


def test_of_operating_points_each_network_has_those_that_nothing_beats(costs: PartCosts) -> None:
    """All networks at both points: the fast one takes less time, the other one less energy."""
    objectives = ("accuracy", "latency", "energy")
    alone = inner_front(answered(costs), FrontQuestion(RULES[:1], objectives, ConstraintsTable())).points
    found = at_points(costs, objectives)
    assert {point["operating_point"] for point in found} == {"0.8V", "0.65V"} and len(found) > len(alone)
    for point, operating in itertools.product(alone, POINTS):
        energy = point["energy_pj"] * operating.scale
        latency_s = point["latency_cycles"] / operating.clock_hz.value
        assert any(
            other["accuracy_val"] >= point["accuracy_val"]
            and other["energy_pj"] <= energy * (1 + 1e-9)
            and other["latency_s"] <= latency_s * (1 + 1e-9)
            for other in found
        )


def test_in_one_figure_one_point_is_best_unless_it_is_too_slow(costs: PartCosts) -> None:
    objectives = ("accuracy", "energy")
    free = at_points(costs, objectives)
    assert {point["operating_point"] for point in free} == {"0.65V"}
    slowest = max(point["worst_latency_cycles"] for point in free)
    bound = slowest / CLOCKS[0] * 1.001  # what only the fast point can keep with all exits
    assert bound < slowest / CLOCKS[1]
    kept = at_points(costs, objectives, max_worst_latency_s=bound)
    assert all(point["worst_latency_s"] <= bound for point in kept)
    assert "0.8V" in {point["operating_point"] for point in kept}
    by_time = at_points(costs, ("accuracy", "edp"))
    better = min(POINTS, key=lambda point: point.scale / point.clock_hz.value)
    assert {point["operating_point"] for point in by_time} == {better.name}
    assert all(
        point["edp_js"] == pytest.approx(point["edp_j_cycles"] / better.clock_hz.value) for point in by_time
    )


def added_final(costs: AdditiveCosts) -> AdditiveCosts:
    """Costs with a second final head, which adds as much as all stages together."""
    return AdditiveCosts(costs.stages, costs.heads, np.stack([costs.finals[0], costs.stages.sum(axis=0)]))


def test_a_point_says_what_its_network_does(costs: PartCosts) -> None:
    answers = logits()
    for point in front(costs).points:
        kept = [NAMES.index(item["name"]) for item in point["exits"]]
        sure = [
            confidence_rule(item["confidence"]).evaluate(answers[k])
            for item, k in zip(point["exits"], kept, strict=True)
        ]
        confidence = np.stack(sure) if sure else np.zeros((0, IMAGES), np.float32)
        where = leaves_at(confidence, [np.float32(item["threshold"]) for item in point["exits"]])
        right = np.stack([answers[k].argmax(1) == LABELS for k in (*kept, 4)])
        assert point["accuracy_val"] == pytest.approx(right[where, np.arange(IMAGES)].mean())
        ratios = np.bincount(where, minlength=len(kept) + 1) / IMAGES
        assert [item["ratio"] for item in point["exits"]] == pytest.approx(ratios[:-1].tolist())
        for key, name in (("edp_j_cycles", "edp"), ("macs", "macs"), ("latency_cycles", "latency")):
            paths = costs.figures[name].paths(kept, costs.mounts, 0)
            assert point[key] == pytest.approx(float(ratios @ paths))


@pytest.mark.parametrize(
    ("constraint", "value", "of"),
    [
        ("max_final_ratio", 0.3, lambda p: p["final_ratio"] <= 0.3),
        ("max_cost_ratio", 0.8, lambda p: p["cost_ratio"] <= 0.8),
        ("max_drop", 1.0, lambda p: p["accuracy_val"] >= p["static_accuracy_val"] - 0.01),
        ("min_accuracy", 0.7, lambda p: p["accuracy_val"] >= 0.7),
    ],
)
def test_constraints_are_kept(costs: PartCosts, constraint: str, value: Any, of: Any) -> None:
    free, found = front(costs), front(costs, **{constraint: value})
    assert found.points and all(of(point) for point in found.points)
    assert not all(of(point) for point in free.points)


def test_one_threshold_has_one_rule_and_own_ones_cost_no_more(costs: PartCosts) -> None:
    def found(joint: bool) -> InnerFront:
        return inner_front(answered(costs), FrontQuestion(RULES, OBJECTIVES, ConstraintsTable(), joint=joint))

    shared, own = found(joint=True), found(joint=False)
    assert all(len({item["confidence"] for item in point["exits"]}) <= 1 for point in shared.points)
    assert {item["confidence"] for p in shared.points for item in p["exits"]} == {str(rule) for rule in RULES}
    for point in shared.points:
        assert any(
            other["accuracy_val"] >= point["accuracy_val"]
            and other["edp_j_cycles"] <= point["edp_j_cycles"] * (1 + 1e-9)
            for other in own.points
        )


def test_a_genetic_algorithm_may_search_it(costs: PartCosts) -> None:
    def found(evaluations: int, joint: bool = True) -> InnerFront:
        search = GeneticSearch(evaluations, 10)
        question = FrontQuestion(RULES, OBJECTIVES, ConstraintsTable(), joint=joint, genetic=search)
        return inner_front(answered(costs), question)

    few, many, own, solved = found(40), found(200), found(200, joint=False), front(costs)
    assert few.networks <= 40, "the budget is of all rules together"
    assert few.points != many.points != own.points
    rules = {item["confidence"] for point in many.points for item in point["exits"]}
    assert rules == {str(rule) for rule in RULES}
    for point in many.points:
        assert any(
            other["accuracy_val"] >= point["accuracy_val"]
            and other["edp_j_cycles"] <= point["edp_j_cycles"] * (1 + 1e-9)
            for other in solved.points
        )
    assert any(len({item["threshold"] for item in point["exits"]}) > 1 for point in own.points)


def test_fewer_exits_may_be_asked_for(costs: PartCosts) -> None:
    assert max(len(point["exits"]) for point in front(costs).points) > 0
    assert all(not point["exits"] for point in front(costs, 0).points)


@pytest.mark.parametrize(
    ("constraints", "named"),
    [
        ({"min_accuracy": 0.999}, "min_accuracy"),
        ({"max_macs": 1.0}, "max_macs"),
        ({"max_worst_latency_cycles": 1.0}, "max_worst_latency_cycles"),
        ({"max_cost_ratio": 0.01}, "max_cost_ratio"),
    ],
)
def test_what_cannot_be_kept_is_named_with_what_can(
    costs: PartCosts, constraints: dict[str, Any], named: str
) -> None:
    found = front(costs, **constraints)
    assert not found.points and found.violation > 0
    (reason,) = found.why
    asked = constraints[named]
    assert reason["constraint"] == named and reason["asked"] == asked
    assert reason["reached"] < asked if named == "min_accuracy" else reason["reached"] > asked
