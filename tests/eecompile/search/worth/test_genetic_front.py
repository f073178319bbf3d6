from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("optuna", reason="a search needs the extra 'search'")

from eecompile.exits.fronts.front_points import SubsetFront
from eecompile.exits.fronts.front_problem import FrontLimits, FrontProblem
from eecompile.exits.fronts.individual_front import individual_front
from eecompile.exits.fronts.pareto import hypervolume, nondominated
from eecompile.exits.fronts.subset_front import global_front
from eecompile.search.worth.genetic_front import GeneticSearch, genetic_front
from tests.eecompile.exits.fronts.test_subset_front import LIMITS, drawn, tried

EDP = ("accuracy", "edp")


def figures(front: SubsetFront) -> list[tuple[object, ...]]:
    return [(p.kept, p.final, p.thresholds, p.accuracy) for p in front.points]


def check(problem: FrontProblem, front: SubsetFront) -> None:
    """Hold each point against its images, and all against each other."""
    assert len(nondominated(front.values)) == len(front.points)
    for point in front.points:
        bare = tuple(np.inf if t is None else float(t) for t in point.thresholds)
        found = tried(problem, point.kept, point.final, bare)
        assert found is not None, "a limit is broken"
        assert point.accuracy == pytest.approx(found.pop("accuracy"))
        assert point.figures == pytest.approx(found)


@pytest.mark.parametrize("objectives", [EDP, ("accuracy", "worst_latency", "energy"), ("memory", "edp")])
@pytest.mark.parametrize("limits", LIMITS)
def test_it_finds_nothing_that_the_whole_front_does_not_hold(
    objectives: tuple[str, ...], limits: str
) -> None:
    problem = replace(drawn(2, 40, objectives), limits=LIMITS[limits])
    whole, found = global_front(problem), genetic_front(problem, GeneticSearch(300), joint=True)
    check(problem, found)
    assert whole.exact and not found.exact and found.evaluations == 300
    for value in found.values:
        assert (whole.values <= value + 1e-9).all(axis=1).any()
    assert whole.points and len(found.points) > 0


@pytest.mark.parametrize("joint", [True, False])
def test_with_enough_evaluations_it_comes_near_the_front_that_is_solved(joint: bool) -> None:
    problem = drawn(3, 60, EDP)
    solved = global_front(problem) if joint else individual_front(problem)
    corner = [0.0, problem.static_costs["edp"] * 1.5]
    most = hypervolume(solved.values, corner)
    few, many = (
        np.mean([
            hypervolume(genetic_front(problem, GeneticSearch(n, 40, seed), joint=joint).values, corner)
            for seed in range(2)
        ])
        for n in (20, 400)
    )  # fmt: skip
    assert few < 0.98 * many and 0.95 * most < many
    if joint:
        assert many <= most * (1 + 1e-9)


def test_thresholds_of_their_own_differ() -> None:
    problem = drawn(3, 60, EDP)
    own = genetic_front(problem, GeneticSearch(400), joint=False)
    check(problem, own)
    assert any(len(set(point.thresholds)) > 1 for point in own.points)


def test_the_seed_decides() -> None:
    problem = drawn(4, 60, EDP)
    one, again, other = (
        figures(genetic_front(problem, GeneticSearch(200, seed=s), joint=True)) for s in (1, 1, 2)
    )
    assert one == again != other


def test_reads_are_kept() -> None:
    problem = replace(drawn(11), reads=(None, None, frozenset({0}), None, frozenset({2})))
    front = genetic_front(problem, GeneticSearch(400), joint=True)
    check(problem, front)
    assert all(problem.is_network(point.kept) for point in front.points)
    assert any(len(point.kept) > 1 for point in front.points)


def test_where_nothing_is_allowed_what_it_came_to_is_told() -> None:
    limits = FrontLimits(final_ratio=0.0, worst_latency=0.1, memory=1.0, means={"edp": 1e-3}, accuracy=1.0)
    problem = replace(drawn(5), limits=limits)
    found, whole = genetic_front(problem, GeneticSearch(200), joint=True), global_front(problem)
    assert not found.points
    for name, value in whole.least.items():
        assert found.least[name] >= value - 1e-9
    best = max(p.accuracy for p in global_front(replace(problem, limits=FrontLimits())).points)
    assert 0.5 < found.least["accuracy"] <= best


@pytest.mark.parametrize("evaluations", [1, 3, 51])
def test_it_looks_at_no_more_than_it_may(evaluations: int) -> None:
    found = genetic_front(drawn(6), GeneticSearch(evaluations), joint=True)
    assert found.evaluations == evaluations and 1 <= found.subsets <= evaluations
