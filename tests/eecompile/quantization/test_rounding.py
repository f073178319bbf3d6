"""What the walk leaves behind: weights on grids, biases that keep means, steps a shift can reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.quantization import rounding
from eecompile.quantization.calibration import calibrate
from eecompile.quantization.rounding import RoundingWalk, hand_on_grid
from eecompile.runtime.sessions import session
from passes.integers.analog import in_array
from passes.integers.schemes import SCHEMES, ZERO_POINT
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import QuantGrid, copy_graph, state_of
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]
SHAPE = (1, 4, 10, 10)


def grid(step: float) -> QuantGrid:
    return QuantGrid((step,), ZERO_POINT, 0, 255, "uint8")


def images(count: int = 48) -> Array:
    """Return images whose channels have unlike means, so that a bias has something to make up for."""
    rng = np.random.default_rng(0)
    means = np.array([0.0, 1.0, -2.0, 0.5])[:, None, None]
    shifted: Array = (rng.normal(size=(count, *SHAPE[1:])) + means).astype(np.float32)
    return shifted


def network(groups: int = 1, bias: bool = True) -> gs.Graph:
    """Return two convolutions, pooling and a fully connected layer."""
    net = NetBuilder(SHAPE)
    first = net.op("Relu", net.conv("x", 4, 8, bias=bias, group=groups))
    second = net.op("Relu", net.conv(first, 8, 8, bias=bias, strides=[2, 2]))
    flat = net.op("Flatten", net.op("MaxPool", second, kernel_shape=[5, 5]))
    extra = [net.normal(3)] if bias else []
    return from_model(net.model(net.op("Gemm", flat, net.normal(3, 8), *extra, transB=1)))


def answers(graph: gs.Graph, x: Array) -> Array:
    runner = session(to_model(graph, "N"))
    (found,) = runner.run(None, {"x": x})
    return np.asarray(found)


def linear(graph: gs.Graph) -> list[gs.Node]:
    return [node for node in graph.nodes if node.op in ("Conv", "Gemm")]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_weights_lie_on_the_grid_that_is_recorded(name: str, groups: int) -> None:
    graph = network(groups)
    assign(graph, name)
    done = calibrate(graph, images())
    levels = SCHEMES[name].weights
    known = state_of(graph).precisions
    ways = {n.name: "ternary-gptq" if in_array(n, known[n.name]) else "gptq" for n in linear(graph)}
    assert done.rounding == ways
    for node in linear(graph):
        weight = node.inputs[1]
        found = state_of(graph).grids[weight.name]
        assert (found.low, found.high) == (ZERO_POINT + levels.low, ZERO_POINT + levels.high)
        assert found.axis == (0 if levels.per_channel else None)
        assert len(found.scale) == (weight.shape[0] if levels.per_channel else 1)
        steps = np.reshape(found.scale, (-1, *[1] * (weight.values.ndim - 1)))
        integers = weight.values / steps
        assert np.abs(integers - np.rint(integers)).max() < 1e-3
        assert integers.min() > levels.low - 0.5 and integers.max() < levels.high + 0.5
        powers = np.log2(found.scale) % 1 == 0
        assert powers.all() if levels.power_of_two else not powers.all()


@pytest.mark.parametrize("kind", ["gptq", "nearest"])
@pytest.mark.parametrize("name", ["int8-pow2", "int4-channel"])
def test_depthwise_layers_and_those_that_take_the_nearest_keep_their_means_too(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "MAX_DEPTH", 9 if kind == "gptq" else 8)
    net = NetBuilder(SHAPE)
    graph = from_model(net.model(net.conv("x", 4, 4, group=4)))
    assign(graph, name)
    state_of(graph).grids = {"x": grid(0.5)}
    x = images()
    before = answers(graph, x)
    assert RoundingWalk(graph, x).run() == {graph.nodes[0].name: kind}
    snapped = np.clip(np.rint(x / np.float32(0.5)), -128, 127) * np.float32(0.5)
    after = answers(graph, snapped)
    assert np.abs(after - before).max() > 0.01
    assert np.allclose(after.mean(axis=(0, 2, 3)), before.mean(axis=(0, 2, 3)), atol=2e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["int8-pow2", "int4-channel", "ternary-analog"])
def test_biases_keep_the_mean_of_every_channel_before_an_activation(name: str, bias: bool) -> None:
    net = NetBuilder(SHAPE)
    conv = net.conv("x", 4, 6, bias=bias, group=2)
    graph = from_model(net.model(conv))
    assign(graph, name)
    state_of(graph).grids = {"x": grid(0.5)}  # coarse, so that inputs lose their means as well
    x = images()
    before = answers(graph, x)
    weights = graph.nodes[0].inputs[1].values.copy()
    RoundingWalk(graph, x).run()
    snapped = np.clip(np.rint(x / np.float32(0.5)), -128, 127) * np.float32(0.5)
    after = answers(graph, snapped)
    assert not np.array_equal(weights, graph.nodes[0].inputs[1].values)
    assert np.abs(after - before).max() > 0.01, "something was rounded"
    assert np.allclose(after.mean(axis=(0, 2, 3)), before.mean(axis=(0, 2, 3)), atol=2e-5)


@pytest.mark.parametrize("name", ["int8-pow2", "int8-channel", "int4-channel"])
def test_the_quantized_network_answers_as_the_float_one_on_average(name: str) -> None:
    graph, x = network(), images(64)
    before = answers(graph, x)
    assign(graph, name)
    calibrate(graph, x)
    parse_pipeline("quantize")(graph)
    after = answers(graph, x)
    assert np.abs(after - before).max() > 1e-3
    assert np.allclose(after.mean(axis=0), before.mean(axis=0), atol=2e-3 * before.std())


def test_a_layer_is_rounded_for_the_inputs_it_will_see() -> None:
    """What an earlier layer lost is made up for: weights differ from those for undisturbed inputs."""
    alone = network()
    assign(alone, "int4-channel")
    precisions = state_of(alone).precisions
    first = linear(alone)[0].name
    precisions[first] = replace(precisions[first], weights=None)  # these stay float
    chained = network()
    assign(chained, "int4-channel")
    for graph in (alone, chained):
        calibrate(graph, images())
    conv, second, _ = linear(alone)
    assert conv.inputs[1].name not in state_of(alone).grids
    assert np.array_equal(conv.inputs[1].values, linear(network())[0].inputs[1].values)
    assert not np.array_equal(second.inputs[1].values, linear(chained)[1].inputs[1].values)


def shared_weights() -> tuple[gs.Graph, str]:
    """Return two convolutions of the same weights and bias, and what the second writes."""
    net = NetBuilder((1, 4, 6, 6))
    weight, bias = net.normal(4, 4, 3, 3, scale=0.2), net.normal(4)
    first = net.op("Relu", net.op("Conv", "x", weight, bias, pads=[1, 1, 1, 1]))
    second = net.op("Conv", first, weight, bias, pads=[1, 1, 1, 1])
    return from_model(net.model(net.op("Flatten", net.op("Relu", second)))), second


@pytest.mark.parametrize("name", ["int8-pow2", "int4-channel", "ternary-analog"])
def test_weights_of_two_layers_are_rounded_once_and_each_keeps_its_means(name: str) -> None:
    graph, second = shared_weights()
    assign(graph, name)
    x = images()[:, :, :6, :6]
    tensors = graph.tensors()
    graph.outputs = [tensors[second]]
    before = answers(graph, x).mean(axis=(0, 2, 3))
    done = calibrate(graph, x)
    assert [*done.rounding] == [linear(graph)[0].name]
    one, two = linear(graph)
    assert one.inputs[1] is two.inputs[1] and one.inputs[2] is not two.inputs[2]
    if name == "ternary-analog":
        assert all(len(np.unique(np.abs(channel))) <= 2 for channel in one.inputs[1].values)
        return  # its means are kept behind the converters, by an affine of its own
    parse_pipeline("quantize")(graph)
    after = answers(graph, x).mean(axis=(0, 2, 3))
    assert np.abs(after - before).max() < 5e-3 * np.abs(before).max()


def test_the_second_reader_of_weights_is_requantized_by_a_right_shift_too() -> None:
    graph, _ = shared_weights()
    assign(graph)
    state_of(graph).grids = {"x": grid(0.25), linear(graph)[1].inputs[0].name: grid(0.25)}
    result = linear(graph)[1].outputs[0].outputs[0].outputs[0].name
    state_of(graph).grids[result] = grid(2.0**-20)
    RoundingWalk(graph, images(8)[:, :, :6, :6]).run()
    grids = state_of(graph).grids
    assert grids[result].scale == (0.25 * grids[linear(graph)[1].inputs[1].name].scale[0],)


def test_layers_too_deep_for_a_covariance_take_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "MAX_DEPTH", 36)  # 4 channels x 3 x 3 are not too deep, 8 x 3 x 3 are
    graph = network()
    original = linear(graph)[1].inputs[1].values.copy()
    assign(graph, "int8-channel")
    done = calibrate(graph, images())
    assert [done.rounding[node.name] for node in linear(graph)] == ["gptq", "nearest", "gptq"]
    weight = linear(graph)[1].inputs[1]
    steps = np.reshape(state_of(graph).grids[weight.name].scale, (-1, 1, 1, 1))
    nearest = np.clip(np.rint(original.astype(np.float64) / steps), -127, 127) * steps
    assert np.allclose(weight.values, nearest, atol=1e-7)


@pytest.mark.parametrize(("name", "coarsened"), [("int8-pow2", True), ("int8-channel", False)])
@pytest.mark.parametrize("activation", [True, False])
def test_an_output_step_is_no_finer_than_that_of_the_accumulator_where_a_shift_requantizes(
    name: str, coarsened: bool, activation: bool
) -> None:
    net = NetBuilder(SHAPE)
    conv = net.conv("x", 4, 4)
    result = net.op("Relu", conv) if activation else conv
    graph = from_model(net.model(net.op("Flatten", result)))
    assign(graph, name)
    finest = 2.0**-20
    state_of(graph).grids = {"x": grid(0.25), result: grid(finest)}
    RoundingWalk(graph, images(8)).run()
    grids = state_of(graph).grids
    accumulator = 0.25 * max(grids[linear(graph)[0].inputs[1].name].scale)
    assert accumulator > finest
    assert grids[result].scale == ((accumulator,) if coarsened else (finest,))


@pytest.mark.parametrize(
    ("steps", "output", "expected"),
    [((0.5, 0.25), 0.125, 0.25), ((0.5, 0.25), 1.0, 1.0), ((0.25, 0.25), 0.25, 0.25)],
)
def test_a_sum_is_no_finer_than_the_finer_of_what_it_adds(
    steps: tuple[float, float], output: float, expected: float
) -> None:
    net = NetBuilder(SHAPE)
    one, two = net.op("Relu", "x"), net.op("Sigmoid", "x")
    total = net.op("Add", one, two)
    graph = from_model(net.model(net.op("Flatten", total)))
    assign(graph)
    state_of(graph).grids = {"x": grid(0.25), one: grid(steps[0]), two: grid(steps[1]), total: grid(output)}
    RoundingWalk(graph, images(2)).run()
    assert state_of(graph).grids[total].scale == (expected,)


def test_a_node_that_moves_values_writes_the_grid_it_reads_and_no_other_does() -> None:
    net = NetBuilder(SHAPE)
    pooled = net.op("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    curved = net.op("Sigmoid", pooled)
    graph = from_model(net.model(curved))
    grids = {"x": grid(0.5)}
    for node in graph.nodes:
        hand_on_grid(node, grids)
    assert grids == {"x": grid(0.5), pooled: grid(0.5)}


def test_the_walk_is_the_same_every_time() -> None:
    def rounded() -> list[bytes]:
        graph = copy_graph(network())
        assign(graph)
        calibrate(graph, images())
        return [tensor.values.tobytes() for node in linear(graph) for tensor in node.inputs[1:]]

    assert rounded() == rounded()
