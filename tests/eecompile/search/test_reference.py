from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eecompile.search.reference import reference_of
from eecompile.search.worth.evaluation import DesignEvaluation
from passes.errors import NoSolutionError
from tests.eecompile.search.small import GENES, SPACE, question


def test_it_is_the_cost_of_the_largest_design(tmp_path: Path) -> None:
    evaluation = DesignEvaluation(question(tmp_path))
    largest = evaluation.costs(evaluation.space.design(GENES)).static
    assert reference_of(evaluation).tolist() == [0.0, largest.edp_j_cycles]


def test_where_a_corner_cannot_run_it_is_twice_that_of_designs_that_can(tmp_path: Path) -> None:
    space = SPACE.replace("stages = 2", "stages = 2\nkernel = [3, 5]")
    evaluation = DesignEvaluation(question(tmp_path, space, target="max78000"))
    largest = evaluation.costs(evaluation.space.design(GENES)).static
    found = reference_of(evaluation)
    assert found[0] == 0 and found[1] == pytest.approx(2 * largest.edp_j_cycles)
    assert np.array_equal(found, reference_of(evaluation))


def test_where_none_can_run_it_says_why(tmp_path: Path) -> None:
    space = SPACE.replace("stages = 2", "stages = 2\nkernel = 5")
    with pytest.raises(NoSolutionError, match="cannot be placed on max78000"):
        reference_of(DesignEvaluation(question(tmp_path, space, target="max78000")))
