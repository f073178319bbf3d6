"""Operators that change gradients alone."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.operators.gradients import DOMAIN, SCALE
from eecompile.training.operators.table import step_of
from passes.errors import InputError


def node(op: str, domain: str) -> gs.Node:
    x, y = (gs.Variable(name, np.float32, [1, 3]) for name in "xy")
    return gs.Node(op, "n", {"factor": 0.25}, [x], [y], domain=domain)


@pytest.mark.parametrize("factor", [0.25, 0.0, 3.0])
@pytest.mark.parametrize("mapped", [False, True])
def test_values_stay_and_gradients_are_scaled(factor: float, mapped: bool) -> None:
    made = node(SCALE, DOMAIN)
    made.attrs["factor"] = factor
    run = step_of(made).run
    x = torch.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    y = torch.func.vmap(run)(x) if mapped else run(x)
    assert torch.equal(y, x)
    (y * 2 + x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[2 * factor + 1] * 2] * 2


@pytest.mark.parametrize(("op", "domain"), [(SCALE, ""), ("Relu", DOMAIN), ("Relu", "of.users")])
def test_an_operator_is_that_of_its_domain(op: str, domain: str) -> None:
    with pytest.raises(InputError, match="has no torch function"):
        step_of(node(op, domain))
