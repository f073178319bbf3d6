"""Rounding of weights, against numpy, onnxruntime and every rounding there is."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from eecompile.quantization import gptq
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]


def correlated(rng: np.random.Generator, groups: int, depth: int, rows: int = 4000) -> Array:
    """Return inputs [groups, rows, depth] that depend on each other, as activations do."""
    return rng.normal(size=(groups, rows, depth)) @ rng.normal(size=(groups, depth, depth))


def loss(change: Array, covariance: Array) -> float:
    """Return the variance that a change [G, K, d] of the weights brings to a layer's outputs."""
    return float(np.einsum("gki,gij,gkj->", change, covariance, change))


def test_moments_are_those_of_numpy_however_far_from_zero_the_inputs_are() -> None:
    rng = np.random.default_rng(0)
    columns = (correlated(rng, 2, 6, 9001) + 1000).astype(np.float32)
    mean, covariance = gptq.moments(columns)
    exact = columns.astype(np.float64)
    assert np.allclose(mean, exact.mean(axis=1), rtol=1e-12)
    for group in range(2):
        expected = np.cov(exact[group], rowvar=False, bias=True)
        assert np.allclose(covariance[group], expected, rtol=1e-9, atol=1e-9)


def test_between_the_best_of_all_roundings_and_the_nearest() -> None:
    totals = np.zeros(3)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, covariance = gptq.moments(correlated(rng, 1, 5, 400))
        weights, step, low, high = rng.normal(size=(1, 1, 5)), np.full((1, 1), 0.8), -2, 1
        grid = (np.array(point)[None, None] * 0.8 for point in product(range(low, high + 1), repeat=5))
        best = min(loss(point - weights, covariance) for point in grid)
        rounded = loss(gptq.round_weights(weights, covariance, step, low, high) - weights, covariance)
        nearest = loss(gptq.nearest_weights(weights, step, low, high) - weights, covariance)
        assert best <= rounded * (1 + 1e-12)
        totals += best, rounded, nearest
    best, rounded, nearest = totals
    assert rounded - best < 0.5 * (nearest - best), "more than half of what nearest loses is won back"


@pytest.mark.parametrize("groups", [1, 4])
def test_loses_less_of_the_output_than_nearest(groups: int) -> None:
    rng = np.random.default_rng(0)
    inputs = correlated(rng, groups, 20)
    weights = rng.normal(size=(groups, 8, 20)) * 0.2
    _, covariance = gptq.moments(inputs)
    steps = np.full((groups, 8), 0.0625)
    rounded = gptq.round_weights(weights, covariance, steps, -128, 127)
    nearest = gptq.nearest_weights(weights, steps, -128, 127)
    outputs = [(inputs @ (q - weights).transpose(0, 2, 1)).var(axis=1).sum() for q in (rounded, nearest)]
    assert outputs[0] < 0.7 * outputs[1]


@pytest.mark.parametrize("seed", range(8))
def test_the_last_weight_is_the_best_given_all_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, covariance = gptq.moments(correlated(rng, 1, 7))
    weights, step = rng.normal(size=(1, 3, 7)), np.full((1, 3), 0.25)
    rounded = gptq.round_weights(weights, covariance, step, -8, 7)
    diagonal = np.diagonal(covariance[0])
    damped = covariance + gptq.DAMPING * diagonal.mean() * np.eye(7)
    last = int(np.argmin(diagonal))  # columns are rounded by falling variance
    for row in range(3):
        losses = []
        for value in np.arange(-8, 8) * 0.25:
            other = rounded.copy()
            other[0, row, last] = value
            losses.append((loss(other - weights, damped), value))
        assert min(losses)[1] == rounded[0, row, last]


def test_inputs_that_do_not_depend_on_each_other_leave_nothing_to_make_up_for() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(2, 5, 70))
    covariance = np.stack([np.diag(rng.uniform(0.1, 3, 70)) for _ in range(2)])
    steps = rng.uniform(0.05, 0.3, (2, 5))
    rounded = gptq.round_weights(weights, covariance, steps, -8, 7)
    assert np.array_equal(rounded, gptq.nearest_weights(weights, steps, -8, 7))


def test_groups_are_rounded_each_by_itself() -> None:
    rng = np.random.default_rng(2)
    weights, steps = rng.normal(size=(3, 4, 9)), rng.uniform(0.1, 0.3, (3, 4))
    _, covariance = gptq.moments(correlated(rng, 3, 9))
    together = gptq.round_weights(weights, covariance, steps, -8, 7)
    for g in range(3):
        one = slice(g, g + 1)
        alone = gptq.round_weights(weights[one], covariance[one], steps[one], -8, 7)
        assert np.array_equal(together[one], alone)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    weights, steps = rng.normal(size=(1, 4, 150)), np.full((1, 4), 0.125)
    _, covariance = gptq.moments(correlated(rng, 1, 150))
    blocked = gptq.round_weights(weights, covariance, steps, -32, 31)
    monkeypatch.setattr(gptq, "BLOCK", 1000)
    assert np.array_equal(blocked, gptq.round_weights(weights, covariance, steps, -32, 31))


@pytest.mark.parametrize("inputs", ["none ever differ", "all are the same", "one is dead"])
def test_inputs_without_information_still_give_weights_on_the_grid(inputs: str) -> None:
    rng = np.random.default_rng(4)
    columns = {
        "none ever differ": np.full((1, 500, 6), 3.0),
        "all are the same": np.repeat(rng.normal(size=(1, 500, 1)), 6, axis=2),
        "one is dead": rng.normal(size=(1, 500, 6)) * np.array([1, 1, 0, 1, 1, 1]),
    }[inputs]
    _, covariance = gptq.moments(columns)
    weights = rng.normal(size=(1, 2, 6))
    integers = gptq.round_weights(weights, covariance, np.full((1, 2), 0.5), -4, 3) / 0.5
    assert np.array_equal(integers, np.rint(integers))
    assert integers.min() >= -4 and integers.max() <= 3
    sums = integers.sum(axis=2) * 0.5 - np.clip(weights, -2, 1.5).sum(axis=2)
    if inputs == "all are the same":
        assert np.abs(sums).max() <= 0.5, "only the sum of the weights matters, and it is kept"


def test_nearest_takes_the_nearest_point_of_the_grid() -> None:
    weights = np.random.default_rng(5).normal(size=(2, 3, 40))
    steps = np.array([[0.1, 0.2, 0.4], [0.3, 0.5, 1.0]])
    grids = np.arange(-4, 4) * steps[:, :, None]
    distances = np.abs(weights[..., None] - grids[:, :, None])
    found = np.abs(gptq.nearest_weights(weights, steps, -4, 3) - weights)
    assert np.allclose(found, distances.min(axis=-1))


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pads", "dilations", "groups"),
    [
        ((9, 8), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
        ((9, 8), (3, 2), (2, 1), (1, 0, 0, 1), (1, 1), 2),
        ((11, 10), (3, 3), (1, 2), (2, 2, 2, 2), (2, 2), 1),
        ((7, 7), (3, 3), (2, 2), (0, 0, 1, 1), (1, 1), 4),
        ((6, 6), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        ((20,), (5,), (2,), (2, 1), (1,), 2),
        ((20,), (3,), (1,), (0, 2), (3,), 1),
    ],
)
def test_columns_times_weights_are_what_onnxruntime_convolves(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(3, 4, *size)).astype(np.float32)
    weights = rng.normal(size=(8, 4 // groups, *kernel)).astype(np.float32)
    net = NetBuilder(x.shape)
    attributes = {"strides": strides, "pads": pads, "dilations": dilations, "group": groups}
    model = net.model(net.op("Conv", "x", net.const(weights), **attributes))
    runner = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = runner.run(None, {"x": x})
    columns = gptq.conv_columns(x, [*kernel], [*strides], [*pads], [*dilations], groups, 10**6)
    found = columns @ weights.reshape(groups, 8 // groups, -1).transpose(0, 2, 1)  # [G, N * positions, K/G]
    found = np.moveaxis(found, 1, 2).reshape(8, 3, *expected.shape[2:]).swapaxes(0, 1)
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("rows", [10, 40, 99])
def test_sampled_columns_are_spread_over_all_images(rows: int) -> None:
    x = np.arange(4 * 5 * 5, dtype=np.float64).reshape(4, 1, 5, 5)  # a 1x1 kernel: columns are positions
    columns = gptq.conv_columns(x, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1, rows)[0, :, 0]
    assert rows <= len(columns) < 2 * rows + 1
    assert len(set(np.diff(columns))) == 1, "evenly"
    assert set(columns // 25) == {0, 1, 2, 3}, "of every image"
