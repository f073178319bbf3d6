"""What exits are told to answer: labels, the network as it was given, the final exit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from eecompile.training.recipe import RISING, JointRecipe

Tensor = torch.Tensor


def distillation(answer: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the divergence of ``answer`` from ``teacher`` per image, softened (Hinton et al. 2015), [N].

    By the square of the temperature, so that gradients are of one size at all temperatures.
    """
    known = functional.log_softmax(teacher.float() / temperature, 1)
    asked = functional.log_softmax(answer.float() / temperature, 1)
    return functional.kl_div(asked, known, reduction="none", log_target=True).sum(1) * temperature**2


def weights_of(mounts: Sequence[str], recipe: JointRecipe) -> list[float]:
    """Return the weight of each exit: that of its mount, divided by the rivals on it.

    Args:
        mounts: Of all exits, shallow to deep; the last is the final exit, which has no rivals.
        recipe: ``exit_weights`` and ``early_weight``.
    """
    places = list(dict.fromkeys(mounts[:-1]))
    found = []
    for mount in mounts[:-1]:
        share = (places.index(mount) + 1) / (len(places) + 1) if recipe.exit_weights == RISING else 1.0
        found.append(recipe.early_weight * share / mounts[:-1].count(mount))
    return [*found, 1.0]


@dataclass(frozen=True)
class ExitLosses:
    """The loss of a network with exits.

    Attributes:
        recipe: Temperatures and shares.
        weights: One per exit.
    """

    recipe: JointRecipe
    weights: Sequence[float]

    def __call__(self, answers: Sequence[Tensor], labels: Tensor, taught: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum of the losses of all exits.

        Args:
            answers: Logits [N, classes] of each exit, the final one last.
            labels: [N].
            taught: Logits of what teaches: one for all exits, or one for each; none if nothing does.
        """
        recipe, final = self.recipe, answers[-1].detach()
        total = answers[-1].new_zeros((), dtype=torch.float32)
        for number, (answer, weight) in enumerate(zip(answers, self.weights, strict=True)):
            loss = functional.cross_entropy(answer.float(), labels, label_smoothing=recipe.smoothing)
            if taught:
                early = number < len(answers) - 1
                share = recipe.teacher_share if early else recipe.final_teacher_share
                teacher = taught[number if len(taught) > 1 else 0]
                told = distillation(answer, teacher, recipe.teacher_temperature).mean()
                loss = (1 - share) * loss + share * told
            if recipe.final_share and number < len(answers) - 1:
                told = distillation(answer, final, recipe.final_temperature).mean()
                loss = (1 - recipe.final_share) * loss + recipe.final_share * told
            total = total + weight * loss
        return total
