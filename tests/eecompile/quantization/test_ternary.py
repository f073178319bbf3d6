from __future__ import annotations

import itertools

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization import rounding, ternary
from eecompile.quantization.calibration import calibrate
from eecompile.runtime.sessions import session
from passes.integers.analog import affine_key, converter_key
from passes.integers.quantize import Quantize
from passes.integers.schemes import DIANA_ARRAY
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder


def test_nearest_ternary_weights_are_the_best_there_are() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 5))
    integers, steps = ternary.nearest_ternary(weights)
    found = ((weights - integers * steps[:, None]) ** 2).sum(1)
    every = np.array([t for t in itertools.product((-1.0, 0.0, 1.0), repeat=5) if any(t)])
    for row, error in zip(weights, found, strict=True):
        best = every @ row / (every**2).sum(1)
        all_errors = ((row - best[:, None] * every) ** 2).sum(1)
        assert error == pytest.approx(all_errors.min())
    assert np.array_equal(ternary.nearest_ternary(np.zeros((1, 3)))[0], np.zeros((1, 3)))


def columns(rows: int, seed: int) -> np.ndarray:
    mixing = np.random.default_rng(9).normal(size=(12, 12))
    mixed: np.ndarray = np.random.default_rng(seed).normal(size=(rows, 12)) @ mixing + 1
    return mixed.astype(np.float32)


def test_ternary_weights_lose_less_of_the_outputs_than_the_nearest() -> None:
    weights = np.random.default_rng(1).normal(size=(6, 12))
    train, unseen = columns(2000, 2), columns(500, 3)
    covariance = np.cov(train.T, bias=True)

    def lost(integers: np.ndarray, steps: np.ndarray) -> float:
        left = (weights - integers * steps[:, None]) @ (unseen - unseen.mean(0)).T
        return float((left**2).mean())

    fitted, nearest = ternary.ternary_weights(weights, covariance), ternary.nearest_ternary(weights)
    assert {*np.unique(fitted[0])} <= {-1.0, 0.0, 1.0} and (fitted[1] > 0).all()
    assert lost(*fitted) < 0.7 * lost(*nearest)


def test_aimed_weights_make_up_for_what_inputs_have_lost() -> None:
    weights = np.random.default_rng(3).normal(size=(6, 12))
    real = columns(3000, 4)
    quantized = (0.8 * real + 0.05 * np.abs(real)).astype(np.float32)
    aimed, covariance = ternary.aimed_weights(weights, real[:2000], quantized[:2000])
    wanted, x = weights @ real[2000:].T, quantized[2000:].T
    errors = [(w @ x - wanted).var(axis=1).sum() for w in (weights, aimed)]
    assert errors[1] < 0.2 * errors[0]
    np.testing.assert_allclose(covariance, np.cov(quantized[:2000].T, bias=True), rtol=1e-4)


def net(channels: int = 140) -> gs.Graph:
    made = NetBuilder((1, 3, 9, 9), seed=1)
    x = made.op("Relu", made.conv("x", 3, channels, bias=False))
    y = made.op("Relu", made.conv(x, channels, 6, strides=[2, 2]))
    z = made.op("Add", made.conv(y, 6, 6), y)
    return from_model(made.model(made.op("Flatten", z)))


def images(count: int, seed: int) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(seed).normal(size=(count, 3, 9, 9)).astype(np.float32)
    return found


def answers(graph: gs.Graph, x: np.ndarray) -> np.ndarray:
    found: np.ndarray = session(to_model(graph, "N")).run(None, {"x": x})[0]
    return found


def calibrated(graph: gs.Graph) -> gs.Graph:
    found = copy_graph(graph)
    assign(found, "ternary-analog")
    done = calibrate(found, images(24, 5))
    assert {*done.rounding.values()} <= {"ternary-gptq", "ternary"}
    return found


def lost(graph: gs.Graph, fitted: gs.Graph) -> np.ndarray:
    """Return the share of the variance of the outputs that is lost on images that nothing was fitted on."""
    file = copy_graph(fitted)
    Quantize()(file)
    unseen = images(16, 6)
    expected = answers(graph, unseen)
    return np.asarray((answers(file, unseen) - expected).var() / expected.var())


def test_a_network_keeps_what_it_computes_in_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = net()
    fitted = calibrated(graph)
    state = state_of(fitted)
    for node in fitted.nodes:
        if node.op != "Conv":
            continue
        steps = np.array(state.grids[node.inputs[1].name].scale)[:, None, None, None]
        whole = node.inputs[1].values / steps
        assert np.abs(whole - np.rint(whole)).max() < 1e-5 and np.abs(whole).max() < 1.1
        converter, affine = state.grids[converter_key(node)], state.grids[affine_key(node)]
        assert (converter.low, converter.high) == (96, 159) and np.log2(converter.scale[0]) % 1 == 0
        assert (affine.low, affine.dtype) == (-(2**15), "int16") and np.log2(affine.scale[0]) % 1 == 0
    kept = lost(graph, fitted)
    assert kept < 0.25
    # a fit that aims at no inputs in particular loses more
    monkeypatch.setattr(rounding, "MAX_DEPTH", 0)
    assert lost(graph, calibrated(graph)) > 1.2 * kept


def test_channels_that_are_constant_or_without_weights_become_their_means() -> None:
    graph = net(12)
    first, second, _ = (n for n in graph.nodes if n.op == "Conv")
    first.inputs[1].values[3] = 0
    second.inputs[1].values[:] = 0
    fitted = calibrated(graph)
    file = copy_graph(fitted)
    Quantize()(file)
    found = answers(file, images(4, 7))
    assert np.isfinite(found).all()
    kept = next(n for n in fitted.nodes if n.name == second.name)
    assert not kept.inputs[1].values.any()
    np.testing.assert_allclose(kept.inputs[2].values, second.inputs[2].values, atol=1e-3)


def test_the_converter_step_is_that_of_least_squared_error() -> None:
    rng = np.random.default_rng(8)
    sums = [np.rint(rng.normal(scale=60, size=(4, 3, 5, 5))) for _ in range(2)]
    grid = ternary.converter_grid(sums, DIANA_ARRAY)

    def error(step: float) -> float:
        total = 0.0
        for part in sums:
            total += float(((np.clip(np.rint(part / step), -32, 31) * step - part) ** 2).sum())
        return total

    assert grid.scale[0] in (4.0, 8.0)
    assert error(grid.scale[0]) == min(error(2.0**e) for e in range(8))
    whole = ternary.conversions(np.array([-1e4, -3 * grid.scale[0] / 2, 0.0, 1e4]), grid)
    assert whole.tolist() == [-32.0, -2.0, 0.0, 31.0]


def test_weights_of_two_layers_are_fitted_once() -> None:
    made = NetBuilder((1, 4, 6, 6), seed=2)
    weight = made.normal(4, 4, 3, 3, scale=0.3)
    first = made.op("Relu", made.op("Conv", "x", weight, made.normal(4), pads=[1] * 4))
    second = made.op("Relu", made.op("Conv", first, weight, made.normal(4), pads=[1] * 4))
    graph = from_model(made.model(made.op("Flatten", second)))
    fitted = copy_graph(graph)
    assign(fitted, "ternary-analog")
    calibrate(fitted, np.random.default_rng(1).normal(size=(24, 4, 6, 6)).astype(np.float32))
    one, two = (n for n in fitted.nodes if n.op == "Conv")
    assert one.inputs[1] is two.inputs[1]
    grids = state_of(fitted).grids
    assert {converter_key(one), converter_key(two), affine_key(two)} <= grids.keys()
