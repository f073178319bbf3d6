"""Steps of grids: exact, positive, and learnt in octaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import STEP
from eecompile.training.operators.table import step_of


def size(octaves: torch.Tensor, first: list[float], power_of_two: bool) -> torch.Tensor:
    shape = list(octaves.shape)
    x, y = (gs.Variable(name, np.float32, shape) for name in "xy")
    attributes: dict[str, Any] = {"first": first, "power_of_two": int(power_of_two)}
    made = step_of(gs.Node(STEP, "n", attributes, [x], [y], domain=DOMAIN))
    found: torch.Tensor = made.run(octaves, *made.holds)
    return found


def test_a_power_of_two_stays_one_to_the_bit() -> None:
    octaves = torch.arange(-60, 60).float() + torch.linspace(-0.49, 0.49, 120)
    found = size(octaves, [2.0**-7] * 120, power_of_two=True)
    assert found.tolist() == [2.0 ** (e - 7) for e in range(-60, 60)]


@pytest.mark.parametrize("power_of_two", [True, False])
def test_nothing_learnt_is_the_step_that_was_and_one_octave_is_twice_that(power_of_two: bool) -> None:
    first = [0.25, 0.125] if power_of_two else [0.1, 0.0371]
    assert torch.equal(size(torch.zeros(2), first, power_of_two), torch.tensor(first))
    assert torch.equal(size(torch.ones(()), first[:1], power_of_two), torch.tensor(2 * first[0]))


@pytest.mark.parametrize("power_of_two", [True, False])
def test_the_gradient_is_that_of_the_logarithm(power_of_two: bool) -> None:
    octaves = torch.tensor([0.2, -1.3], requires_grad=True)
    found = size(octaves, [0.5, 2.0], power_of_two)
    (found * torch.tensor([3.0, -1.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert octaves.grad is not None
    expected = [3 * found[0].item() * math.log(2), -found[1].item() * math.log(2)]
    assert octaves.grad.tolist() == pytest.approx(expected)
