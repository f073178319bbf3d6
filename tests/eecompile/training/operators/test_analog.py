"""What the trained form of an analog convolution has beside ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.operators.analog import CONVERTER, NOISE
from eecompile.training.operators.gradients import DOMAIN
from eecompile.training.operators.step import SNAP, SUMS_STEP, WHOLE
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


def test_snapping_is_quantizing_clipping_dequantizing_with_their_gradients() -> None:
    x = torch.tensor([[0.24, 0.25, 0.75, 9.0], [-0.4, 1.26, 1.9, -9.0]]).T.contiguous().requires_grad_()
    grid = {"steps": [0.5, 1.0], "axis": 1, "low": -2, "high": 3}
    read, written = ([gs.Variable(name, np.float32, [4, 2])] for name in "xy")
    node = gs.Node(SNAP, "n", grid, read, written, domain=DOMAIN)
    step = step_of(node)
    y = step.run(x, *step.holds)
    assert y.T.tolist() == [[0.0, 0.0, 1.0, 1.5], [0.0, 1.0, 2.0, -2.0]], "half to even, saturating"
    y.sum().backward()
    assert x.grad is not None and x.grad.T.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_converter_rounds_and_clips_its_sums_on_a_power_of_two(dtype: torch.dtype) -> None:
    convert = run(CONVERTER, "x", "octaves", first=4.0, low=-32, high=31, deviation=0.04)
    x = torch.tensor([[8.0, 12.0, 20.0, 500.0, -500.0]], dtype=dtype).requires_grad_()
    octaves = torch.tensor(0.7).requires_grad_()
    y = convert(x, octaves, False)
    assert y.tolist() == [[8.0, 16.0, 16.0, 248.0, -256.0]], "on steps of 8, half to even, without noise"
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1, 1, 1, 0, 0]]
    # d(step * whole) / d(log2 step): by the rounding error where it does not clip, else by the bound
    assert octaves.grad is not None
    assert float(octaves.grad) == pytest.approx(8 * np.log(2) * (0 + (2 - 1.5) + (2 - 2.5) + 31 - 32))


def test_a_converter_is_noisy_while_training_alone() -> None:
    torch.manual_seed(0)
    convert = run(CONVERTER, "x", "octaves", first=2.0**-10, low=-(2**20), high=2**20, deviation=0.04)
    x, octaves = torch.linspace(20, 60, 40_000).reshape(4, -1), torch.tensor(0.0)
    assert torch.allclose(convert(x, octaves, False), x, atol=1e-3)
    one, other = (convert(x, octaves, True) for _ in range(2))
    assert not torch.equal(one, other)
    share = (one - x) / x
    assert abs(float(share.mean())) < 1e-3 and float(share.std()) == pytest.approx(0.04, rel=0.02)
    torch.manual_seed(0)
    assert torch.equal(convert(x, octaves, True), one), "what is drawn follows from the seed"
