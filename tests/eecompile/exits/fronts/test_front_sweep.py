from __future__ import annotations

import numpy as np
import pytest

from eecompile.exits.fronts.front_sweep import sweep
from eecompile.exits.fronts.front_walk import SubsetWalk
from eecompile.exits.fronts.ranked_answers import RankedAnswers
from tests.eecompile.exits.fronts.test_front_walk import kinds_of, where_at
from tests.eecompile.exits.fronts.test_subset_front import drawn


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_counts_what_is_where_behind_every_rank_that_moves_an_image(seed: int) -> None:
    problem = drawn(seed, 60)
    answers = RankedAnswers(problem, 6)
    walk = SubsetWalk(problem, answers, ("edp",))
    blocks = np.random.default_rng(seed).random(answers.blocks) < 0.5
    blocks[seed % answers.blocks] = True
    looked = 0
    for node in walk.nodes():
        if not node.kept:
            continue
        network = walk.network(node, seed % 2)
        swept = sweep(network, answers, blocks)
        for place, rank in enumerate(swept.ranks):
            where = where_at(network, rank)
            assert (
                swept.leaving[:, place].tolist() == np.bincount(where, minlength=len(node.kept) + 1).tolist()
            )
            kinds = kinds_of(network, where)
            assert (swept.right[place], swept.lost[place]) == ((kinds > 1).sum(), (kinds == 1).sum())
            looked += 1
        inside = [
            rank
            for block in np.flatnonzero(blocks)
            for rank in range(answers.edges[block], answers.edges[block + 1])
            if (where_at(network, rank) != where_at(network, rank - 1)).any()
        ]
        assert swept.ranks.tolist() == inside
    assert looked > 50
