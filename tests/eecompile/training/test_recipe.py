"""Recipes that no training can be done with are refused where they are written."""

from __future__ import annotations

import re
from typing import Any

import pytest

from eecompile.training.recipe import FRESH, JointRecipe, Recipe
from passes.errors import InputError


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (JointRecipe, {"optimizer": "sdg"}, "`optimizer` of a recipe cannot be 'sdg'\none of adamw, sgd"),
        (
            JointRecipe,
            {"balance": "some"},
            "`balance` of a recipe cannot be 'some'\none of equilibrium, none",
        ),
        (JointRecipe, {"batch_norm": "tail"}, "`batch_norm` of a recipe cannot be 'tail'"),
        (
            JointRecipe,
            {"teacher_share": 1.5},
            "`teacher_share` of a recipe is a share between 0 and 1, not 1.5",
        ),
        (JointRecipe, {"dropout": 1.0}, "`dropout` of a recipe is at least 0 and less than 1, not 1.0"),
        (JointRecipe, {"epochs": 0}, "`epochs` of a recipe is at least 1, not 0"),
        (Recipe, {"survivors": -0.1}, "`survivors` of a recipe is a share between 0 and 1, not -0.1"),
        (Recipe, {"batch": 0}, "`batch` of a recipe is at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused(kind: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        kind(**given)


def test_from_scratch_nobody_teaches() -> None:
    assert FRESH.teacher_share == FRESH.final_teacher_share == 0 and FRESH.batch_norm == "all"
