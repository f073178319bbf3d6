"""Sentences about results."""

from __future__ import annotations

import copy

import pytest

from eecompile import wording
from eecompile.results import Summary
from targets.objective import OBJECTIVES, Objective
from tests.eecompile.fabricated_run import summary


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_headline_tells_the_saving_of_what_was_minimised(objective: Objective) -> None:
    document = copy.deepcopy(summary())
    document["objective"] = objective.name
    found = Summary.model_validate(document)
    saved = 100 * document["saving"][objective.name]
    assert f"takes {saved:.1f} % less {objective.words} on" in wording.headline(found)
    assert found.model_dump(mode="json")["objective"] == objective.name
