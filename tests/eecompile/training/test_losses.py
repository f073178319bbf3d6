"""Losses of exits, against what is worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.losses import ExitLosses, distillation, weights_of
from eecompile.training.recipe import JointRecipe

LN3 = math.log(3.0)
PLAIN: dict[str, Any] = {"teacher_share": 0.0, "final_share": 0.0}
# One image, two classes: probabilities 3/4 and 1/4; of class 0.
SURE, LABEL = torch.tensor([[LN3, 0.0]]), torch.tensor([0])
EVEN = torch.zeros(1, 2)


def loss(answers: list[Any], weights: list[float], *taught: Any, **recipe: Any) -> float:
    found = ExitLosses(JointRecipe(**{**PLAIN, **recipe}), weights)(answers, LABEL, taught)
    return float(found)


def test_it_is_the_weighted_sum_of_cross_entropies() -> None:
    expected = 2 * math.log(2) + 5 * math.log(4 / 3)
    assert loss([EVEN, SURE], [2.0, 5.0]) == pytest.approx(expected)


def test_smoothed_labels_are_a_little_of_every_class() -> None:
    # .8 of the label and .1 of each class
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert loss([SURE], [1.0], smoothing=0.2) == pytest.approx(expected)


def test_the_divergence_is_softened_and_counts_by_the_square_of_the_temperature() -> None:
    # at temperature ln3 / ln2 the answer is 2/3 and 1/3
    temperature = LN3 / math.log(2)
    expected = temperature**2 * (0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3)))
    assert float(distillation(SURE, EVEN, temperature)[0]) == pytest.approx(expected, rel=1e-5)
    assert float(distillation(SURE, SURE, 2.0)[0]) == pytest.approx(0, abs=1e-6)


def test_the_network_as_it_was_teaches_early_exits_and_the_final_one_by_a_share_of_its_own() -> None:
    told = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    early, final = (share * told + (1 - share) * math.log(4 / 3) for share in (0.25, 0.9))
    shares = {"teacher_share": 0.25, "final_teacher_share": 0.9, "teacher_temperature": 1.0}
    found = loss([SURE, SURE], [1.0, 10.0], EVEN, **shares)
    assert found == pytest.approx(early + 10 * final, rel=1e-5)


def test_the_final_exit_teaches_the_others_and_learns_nothing_from_them() -> None:
    early, final = EVEN.clone().requires_grad_(), SURE.clone().requires_grad_()
    recipe = JointRecipe(**{**PLAIN, "final_share": 0.5, "final_temperature": 1.0})
    found = ExitLosses(recipe, [1.0, 0.0])([early, final], LABEL, [])
    told = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(found.detach()) == pytest.approx(0.5 * math.log(2) + 0.5 * told, rel=1e-5)
    found.backward()  # type: ignore[no-untyped-call]
    assert early.grad is not None and bool(early.grad.any())
    assert final.grad is None or not bool(final.grad.any())


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [0.5, 0.5, 1.0, 1.0]),
        ({"early_weight": 0.2}, [0.1, 0.1, 0.2, 1.0]),
        ({"exit_weights": "rising"}, [1 / 6, 1 / 6, 2 / 3, 1.0]),
    ],
)
def test_rivals_on_a_mount_weigh_as_one(changed: dict[str, Any], expected: list[float]) -> None:
    assert weights_of(["a", "a", "b", "last"], JointRecipe(**changed)) == pytest.approx(expected)
