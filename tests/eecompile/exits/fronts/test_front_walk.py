from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from eecompile.exits.fronts.front_problem import FrontProblem
from eecompile.exits.fronts.front_walk import SubsetNetwork, SubsetWalk
from eecompile.exits.fronts.ranked_answers import RankedAnswers
from tests.eecompile.exits.fronts.test_subset_front import behind, drawn

FIGURES = ("edp", "energy")


def where_at(network: SubsetNetwork, rank: int) -> np.ndarray:
    """Return at which exit each image is once all confidences up to a rank have left."""
    where = np.full(len(network.answers), len(network.node.kept))
    for number in reversed(range(len(network.node.kept))):
        where[network.node.answers[number].rank <= rank] = number
    return where


def kinds_of(network: SubsetNetwork, where: np.ndarray) -> np.ndarray:
    kinds = np.stack([*(seen.kind for seen in network.node.answers), network.answers])
    found: np.ndarray = kinds[where, np.arange(len(where))]
    return found


@pytest.mark.parametrize(
    "problem", [drawn(1, 40), drawn(2, 40), behind(drawn(3, 40))], ids=["coarse", "fine", "pairs"]
)
def test_edges_are_counted_and_blocks_are_bounded(problem: FrontProblem) -> None:
    answers = RankedAnswers(problem, 4)
    walk = SubsetWalk(problem, answers, FIGURES)
    tight = 0
    for node in itertools.islice(walk.nodes(), 0, None, 2):
        network = walk.network(node, 1)
        paths = [problem.costs[name].paths(node.kept, problem.mounts, 1) for name in FIGURES]
        for edge, behind_ranks in enumerate(answers.edges):
            where = where_at(network, behind_ranks - 1)
            kinds = kinds_of(network, where)
            assert network.right[edge] == (kinds > 1).sum()
            assert network.lost[edge] == (kinds == 1).sum()
            assert network.left[edge] == (where == len(node.kept)).sum()
            assert network.costs[:, edge] == pytest.approx([path[where].sum() for path in paths])
        for block in range(answers.blocks):
            inside = range(answers.edges[block], answers.edges[block + 1])
            seen = [where_at(network, rank) for rank in inside]
            most = max((kinds_of(network, where) > 1).sum() for where in seen)
            assert most <= network.most_right[block]
            tight += most == network.most_right[block]
            if node.kept and any((where == len(node.kept) - 1).any() for where in seen):
                assert node.used[block]
    assert tight > 5


def test_each_subset_is_visited_once_behind_its_beginnings() -> None:
    problem = replace(drawn(0), reads=(None, None, frozenset({0}), None, frozenset({2})))
    nodes = [node.kept for node in SubsetWalk(problem, RankedAnswers(problem, 3), FIGURES).nodes()]
    expected = {
        kept
        for chosen in itertools.product(*problem.options)
        if (kept := tuple(k for k in chosen if k is not None)) is not None
        and (2 not in kept or 0 in kept)
        and (4 not in kept or 2 in kept)
    }
    assert set(nodes) == expected and len(nodes) == len(expected)
    assert all(kept[:-1] in nodes[:place] for place, kept in enumerate(nodes) if kept)
