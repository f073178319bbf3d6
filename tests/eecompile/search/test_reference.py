from __future__ import annotations

from pathlib import Path

import pytest

from eecompile.search.reference import worst_figures
from eecompile.search.worth.evaluation import DesignEvaluation
from passes.errors import NoSolutionError
from tests.eecompile.search.small import GENES, SPACE, question


def test_it_is_the_cost_of_the_largest_design(tmp_path: Path) -> None:
    evaluation = DesignEvaluation(question(tmp_path))
    largest = evaluation.costs(evaluation.space.design(GENES)).static
    found = worst_figures(evaluation)
    assert found["accuracy_val"] == 0 and found["edp_j_cycles"] == largest.edp_j_cycles
    assert found["worst_latency_cycles"] == 2 * largest.latency_cycles


def test_where_a_corner_cannot_run_it_is_twice_that_of_designs_that_can(tmp_path: Path) -> None:
    space = SPACE.replace("stages = 2", "stages = 2\nkernel = [3, 5]")
    evaluation = DesignEvaluation(question(tmp_path, space, target="max78000"))
    largest = evaluation.costs(evaluation.space.design(GENES)).static
    found = worst_figures(evaluation)
    assert found["accuracy_val"] == 0
    assert found["edp_j_cycles"] == pytest.approx(2 * largest.edp_j_cycles)
    assert found == worst_figures(evaluation)


def test_where_none_can_run_it_says_why(tmp_path: Path) -> None:
    space = SPACE.replace("stages = 2", "stages = 2\nkernel = 5")
    with pytest.raises(NoSolutionError, match="cannot be placed on max78000"):
        worst_figures(DesignEvaluation(question(tmp_path, space, target="max78000")))
