"""The loop of all trainers: rates, steps, the average, what is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch

from eecompile.training.checkpoint import NOWHERE
from eecompile.training.fitting import Fitting, Optimisation, Told, dropout_masks, fit, rate_at
from eecompile.training.torch_graph import TorchGraph
from passes.model.graph import from_model
from tests.passes.net_builder import NetBuilder


def module(weight: float = 2.0) -> TorchGraph:
    """Return y = w x, one number."""
    net = NetBuilder((1, 1))
    return TorchGraph(from_model(net.model(net.op("Gemm", "x", net.const([[weight]]), transB=1))))


def learn(how: Optimisation, steps: int, weight: float = 2.0, x: float = 1.0) -> float:
    """Return the weight after some steps down the gradient of y at full rate."""
    made = module(weight)
    fitting = Fitting(made, made.learnt, how)
    for _ in range(steps):
        fitting.step(made(torch.full((1, 1), x))[0].sum(), 1.0)
    return float(made.value(made.learnt[0]).detach())


def test_the_rate_rises_as_a_cosine_and_falls_as_one() -> None:
    rates = [rate_at(step, 101, 0.2) for step in range(101)]
    peak = int(np.argmax(rates))
    assert rates[0] == pytest.approx(0.04) and peak in (19, 20) and rates[peak] == pytest.approx(1, abs=1e-3)
    assert rates[-1] == pytest.approx(4e-6)
    assert np.all(np.diff(rates[: peak + 1]) > 0) and np.all(np.diff(rates[peak:]) < 0)
    assert rates[60] == pytest.approx((1 + math.cos(math.pi * (60 - 19.2) / (100 - 19.2))) / 2, rel=1e-3)
    assert rate_at(0, 10, 0.0) == 1 and rate_at(0, 1, 0.5) > 0


def test_steps_are_those_of_the_optimizer_that_is_asked_for() -> None:
    # plain SGD: 2 - 2 * .1; Nesterov's momentum .9: .1 * (1.9 + 1.9 * .9 + 1)
    assert learn(Optimisation("sgd", 0.1, momentum=0.0), 2) == pytest.approx(1.8)
    assert learn(Optimisation("sgd", 0.1, momentum=0.9), 2) == pytest.approx(2 - 0.1 * (1.9 + 0.9 * 1.9 + 1))
    # AdamW: each step is the rate, whatever the size of the gradient, and the decay
    assert learn(Optimisation("adamw", 0.1), 1, x=50.0) == pytest.approx(1.9)
    assert learn(Optimisation("adamw", 0.1, decay=0.5), 1) == pytest.approx(2 * (1 - 0.05) - 0.1)


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", 0.5), ("sgd", 0.05)])
def test_a_scale_is_as_if_the_input_were_scaled(optimizer: str, decay: float) -> None:
    """Of w s (s x) with s = 1/8, w goes the same way as of w x."""
    scale = 0.125
    made = module(2.0 * scale)
    how = Optimisation(optimizer, 0.1, decay, scales={made.learnt[0]: scale})
    small = learn(how, 5, 2.0 * scale, x=1 / scale)
    assert small / scale == pytest.approx(learn(Optimisation(optimizer, 0.1, decay), 5), rel=1e-5)


def test_the_average_is_kept_beside_and_in_the_end() -> None:
    made = module()
    fitting = Fitting(made, made.learnt, Optimisation("sgd", 0.1, momentum=0.0, average=0.5))
    name, expected = made.learnt[0], 2.0
    for step in range(1, 5):
        fitting.step(made(torch.ones(1, 1))[0].sum(), 1.0)
        kept = min(0.5, step / (step + 10))
        expected = kept * expected + (1 - kept) * (2 - 0.1 * step)
    assert float(made.value(name).detach()) == pytest.approx(1.6)
    with fitting.averaged():
        assert float(made.value(name).detach()) == pytest.approx(expected) and not made.training
    assert float(made.value(name).detach()) == pytest.approx(1.6)
    fitting.keep_average()
    assert float(made.value(name).detach()) == pytest.approx(expected)


def test_what_is_not_to_be_learnt_stays() -> None:
    net = NetBuilder((1, 1))
    inner = net.op("Gemm", "x", net.const([[2.0]]), transB=1)
    made = TorchGraph(from_model(net.model(net.op("Gemm", inner, net.const([[3.0]]), transB=1))))
    first, second = made.learnt
    fitting = Fitting(made, [second], Optimisation("sgd", 0.1, momentum=0.0))
    fitting.step(made(torch.ones(1, 1))[0].sum(), 1.0)
    assert {name: float(v) for name, v in fitting.state()["values"].items()} == {
        first: 2.0, second: pytest.approx(2.8),
    }  # fmt: skip


def test_each_phase_has_a_schedule_and_each_epoch_a_line() -> None:
    made = module()
    fitting = Fitting(made, made.learnt, Optimisation("sgd", 0.5, momentum=0.0, warm_up=0.0))
    told: list[str] = []

    def batches(epoch: int) -> Iterator[Any]:
        for _ in range(2):
            yield 0 * made(torch.ones(1, 1))[0].sum() + epoch

    log = fit(fitting, batches, 2, [1, 2], lambda: {"final": 0.25}, NOWHERE, Told(told.append, "training"))
    assert [entry["epoch"] for entry in log] == [1, 2, 3] and [entry["loss"] for entry in log] == [0, 1, 2]
    assert [entry["rate"] for entry in log] == pytest.approx(
        [0.5 * rate_at(1, 2, 0), 0.5 * rate_at(1, 4, 0), 0.5 * rate_at(3, 4, 0)]
    )
    assert log[0]["accuracy"] == {"final": 0.25}
    assert told[1].startswith("training: epoch 2 of 3, loss 1.000, final 25.0 %, ") and told[1].endswith(
        " s left"
    )


def test_nothing_goes_on_once_it_is_stopped() -> None:
    made = module()
    fitting = Fitting(made, made.learnt, Optimisation())

    def batches(epoch: int) -> Iterator[Any]:  # noqa: ARG001, its name is part of the contract
        yield made(torch.ones(1, 1))[0].sum()

    log = fit(fitting, batches, 1, [5], dict, NOWHERE, Told(lambda _: None, ""), stopped=lambda: True)
    assert log == [] and float(made.value(made.learnt[0]).detach()) == 2.0


def test_masks_drop_a_share_and_keep_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = dropout_masks([(50,), (2, 25)], 200, 0.2, generator, "cpu")
    assert first.shape == (200, 50) and second.shape == (200, 2, 25)
    assert set(first.flatten().tolist()) == {0.0, 1.25}
    assert float((first == 0).float().mean()) == pytest.approx(0.2, abs=0.02)
    again = dropout_masks([(50,)], 200, 0.2, torch.Generator().manual_seed(0), "cpu")[0]
    assert torch.equal(first, again)
