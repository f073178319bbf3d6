"""Recipes that no training can be done with are refused where they are written."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from eecompile.training.recipe import FRESH, LOW_BITS, QUANTIZED, JointRecipe, QuantizedRecipe, Recipe
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


@pytest.mark.parametrize(
    ("stages", "bits", "epochs", "expected"),
    [
        ((8, 4), 8, 10, [(8, 10)]),
        ((8, 4), 5, 10, [(5, 10)]),
        ((8, 4), 4, 10, [(4, 10)]),
        ((8, 4), 3, 10, [(8, 2), (4, 2), (3, 6)]),
        ((8, 4), 2, 10, [(8, 2), (4, 2), (2, 6)]),
        ((8, 4), 2, 3, [(2, 3)]),
        ((6,), 2, 3, [(6, 1), (2, 2)]),
        ((), 2, 10, [(2, 10)]),
    ],
)
def test_weights_of_few_bits_have_more_at_first(
    stages: tuple[int, ...], bits: int, epochs: int, expected: list[tuple[int, int]]
) -> None:
    assert replace(QUANTIZED, stages=stages).stages_for(bits, epochs) == expected


def test_few_bits_have_a_rate_and_a_length_of_their_own() -> None:
    recipe: QuantizedRecipe = replace(QUANTIZED, rate=1.0, low_rate=2.0, samples=100, low_samples=500)
    assert recipe.for_bits(LOW_BITS) == recipe
    assert recipe.for_bits(LOW_BITS - 1) == replace(recipe, rate=2.0, samples=500)


@pytest.mark.parametrize("stages", [(4, 8), (8, 8), (1,)])
def test_stages_of_other_than_fewer_and_fewer_bits_are_refused(stages: tuple[int, ...]) -> None:
    for name in ("stages", "live_stages"):
        with pytest.raises(InputError, match=f"`{name}` of a recipe"):
            replace(QUANTIZED, **{name: stages})  # type: ignore[arg-type]


def test_a_share_of_live_epochs_beyond_all_is_refused() -> None:
    with pytest.raises(InputError, match="`live` of a recipe is a share"):
        replace(QUANTIZED, live=1.1)
