"""What the trained form of an analog convolution has beside ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.operators.analog import NOISE
from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import SUMS_STEP, WHOLE
from eecompile.training.operators.table import step_of


def run(op: str, *inputs: str, **attributes: Any) -> Any:
    read = [gs.Variable(name, np.float32, [1, 4]) for name in inputs]
    return step_of(
        gs.Node(op, "n", attributes, read, [gs.Variable("y", np.float32, [1, 4])], domain=DOMAIN)
    ).run


def test_integers_are_counted_from_their_zero_point_and_steps_multiplied() -> None:
    x = torch.tensor([[0.0, 128.0, 130.0, 255.0]], requires_grad=True)
    y = run(WHOLE, "x", zero_point=128)(x)
    assert y.tolist() == [[-128.0, 0.0, 2.0, 127.0]]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1.0] * 4]
    steps = run(SUMS_STEP, "w", "x")(torch.tensor([0.3, 0.7]), torch.tensor(0.5))
    assert torch.equal(steps, torch.tensor([0.3, 0.7]) * 0.5)


def test_noise_is_a_share_of_the_sums_while_training_alone_and_passes_gradients() -> None:
    torch.manual_seed(0)
    draw = run(NOISE, "x", deviation=0.04)
    x = torch.linspace(-60, 60, 40_000).reshape(4, -1).requires_grad_()
    assert draw(x, False) is x
    y = draw(x, True)
    share = ((y - x) / x).detach()
    assert abs(float(share.mean())) < 1e-3 and float(share.std()) == pytest.approx(0.04, rel=0.02)
    (3 * y).sum().backward()
    assert x.grad is not None and bool((x.grad == 3).all()), "noise that is drawn has no gradient"
