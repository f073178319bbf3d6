"""Whatever is said to be scalable can be scaled: the float network answers as before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.scalable import column_sizes, row_sizes, scalable_channels, scale_channels
from eecompile.runtime.sessions import session
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder

Make = Callable[[NetBuilder], str]


def closed(net: NetBuilder, x: str, channels: int) -> str:
    """Classify a map of ``channels``."""
    flat = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.op("Gemm", flat, net.normal(3, channels), net.normal(3), transB=1)


def chain(net: NetBuilder) -> str:
    return closed(net, net.op("Relu", net.conv("x", 4, 6)), 6)


def depthwise(net: NetBuilder) -> str:
    deep = net.op("Relu", net.conv(net.op("Relu", net.conv("x", 4, 6)), 6, 6, group=6))
    return closed(net, net.conv(deep, 6, 5, 1, bias=False), 5)


def multiplied(net: NetBuilder) -> str:
    """A depthwise convolution with two filters per channel, and one in two groups."""
    deep = net.op("Relu", net.conv(net.op("Relu", net.conv("x", 4, 6)), 6, 12, group=6))
    return closed(net, net.conv(deep, 12, 8, group=2), 8)


def residual(net: NetBuilder) -> str:
    first = net.op("Relu", net.conv("x", 4, 6))
    added = net.op("Add", first, net.conv(first, 6, 6))
    pooled = net.op("MaxPool", net.op("LeakyRelu", added), kernel_shape=[2, 2], strides=[2, 2])
    return closed(net, net.op("AveragePool", pooled, kernel_shape=[2, 2]), 6)


def flattened(net: NetBuilder) -> str:
    """A Gemm reads all positions of a channel; its weights, and those behind it, lie the other way round."""
    flat = net.op("Flatten", net.op("Relu", net.conv("x", 4, 6)))
    hidden = net.op("Relu", net.op("Gemm", flat, net.normal(6 * 36, 7, scale=0.1), net.normal(7)))
    return net.op("Gemm", hidden, net.normal(7, 3), net.normal(3))


def one_bias(net: NetBuilder) -> str:
    """A bias that two layers read."""
    shared = net.const(np.arange(4) / 3)
    first = net.op("Conv", "x", net.normal(4, 4, 1, 1), shared)
    return closed(net, net.op("Conv", net.op("Relu", first), net.normal(4, 4, 1, 1), shared), 4)


@pytest.mark.parametrize(
    ("make", "groups"),
    [
        (chain, [(1, 1)]),
        (depthwise, [(1, 1), (1, 1), (1, 1)]),
        (multiplied, [(1, 1), (1, 1), (1, 1)]),
        (residual, [(2, 2)]),
        (flattened, [(1, 1), (1, 1)]),
        (one_bias, [(1, 1), (1, 1)]),
    ],
)
def test_scales_change_weights_and_no_answer(make: Make, groups: list[tuple[int, int]]) -> None:
    net = NetBuilder((1, 4, 6, 6))
    graph = from_model(net.model(make(net)))
    found, refused = scalable_channels(graph)
    assert [(len(g.makers), len(g.readers)) for g in found] == groups
    assert list(refused) == [graph.nodes[-1].name] and "leaves the network" in refused[graph.nodes[-1].name]
    x = np.random.default_rng(1).normal(size=(5, 4, 6, 6)).astype(np.float32)
    taps = [graph.tensors()[name] for group in found for name in group.tensors]
    graph.outputs += taps
    names = [t.name for t in graph.outputs]
    before = dict(zip(names, session(to_model(graph, "N")).run(names, {"x": x}), strict=True))
    by_name = {node.name: node for node in graph.nodes}
    graph.outputs = graph.outputs[:1]
    for number, group in enumerate(found):
        scales = np.exp2(np.random.default_rng(number).uniform(-4, 4, group.channels))
        maker = by_name[group.makers[0]]
        reader = next(by_name[name] for name in group.readers if name not in group.makers)
        rows, columns = row_sizes(maker), column_sizes(reader, group.channels)
        scale_channels(graph, group, scales)
        np.testing.assert_allclose(row_sizes(maker), rows / scales, rtol=1e-6)
        np.testing.assert_allclose(column_sizes(reader, group.channels), columns * scales, rtol=1e-6)
        made = copy_graph(graph)
        made.outputs += [made.tensors()[name] for name in group.tensors]
        after = dict(
            zip([t.name for t in made.outputs], session(to_model(made, "N")).run(None, {"x": x}), strict=True)
        )
        for name in group.tensors:
            spread = np.repeat(scales, before[name][0].size // group.channels).reshape(before[name][0].shape)
            np.testing.assert_allclose(after[name] * spread, before[name], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(after[names[0]], before[names[0]], rtol=1e-3, atol=1e-4)


def clipped(low: float | str, high: float) -> Make:
    def make(net: NetBuilder) -> str:
        ends = ["" if isinstance(low, str) else net.const(low), net.const(high)]
        return closed(net, net.op("Clip", net.conv("x", 4, 6), *ends), 6)

    return make


def test_the_bound_of_a_clip_is_told() -> None:
    for make, bound in ((clipped(0.0, 6.0), 6.0), (clipped("", 5.0), 5.0), (chain, np.inf)):
        net = NetBuilder((1, 4, 6, 6))
        (group,), _ = scalable_channels(from_model(net.model(make(net))))
        assert group.bound == bound


def between(op: str, *others: float, **attrs: object) -> Make:
    def make(net: NetBuilder) -> str:
        return closed(net, net.op(op, net.conv("x", 4, 6), *(net.const(v) for v in others), **attrs), 6)

    return make


def joined(net: NetBuilder) -> str:
    return closed(net, net.op("Concat", net.conv("x", 4, 3), net.conv("x", 4, 3), axis=1), 6)


def beside_the_input(net: NetBuilder) -> str:
    return closed(net, net.op("Add", net.conv("x", 4, 4), "x"), 4)


def one_weight(net: NetBuilder) -> str:
    weight = net.normal(4, 4, 1, 1)
    return closed(net, net.op("Conv", net.op("Relu", net.op("Conv", "x", weight)), weight), 4)


def mixed(net: NetBuilder) -> str:
    moved = net.op("Reshape", net.conv("x", 4, 6), net.const([1, 9, 6, 4], np.int64))
    return closed(net, moved, 9)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (between("Sigmoid"), "Sigmoid .* is not steady"),
        (between("Softmax", axis=1), "Softmax .* is not steady"),
        (between("Add", 0.5), "adds"),
        (clipped(-1.0, 1.0), "ends at -1 below"),
        (joined, "Concat .* is not steady"),
        (beside_the_input, "'x' is given to the network"),
        (one_weight, "other nodes read the weights"),
        (mixed, "does not keep channels apart"),
    ],
)
def test_what_cannot_be_scaled_says_why(make: Make, reason: str) -> None:
    net = NetBuilder((1, 4, 6, 6))
    graph = from_model(net.model(make(net)))
    found, refused = scalable_channels(graph)
    assert found == []
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refused[graph.nodes[0].name])


def test_analog_layers_and_outputs_stay() -> None:
    net = NetBuilder((1, 4, 6, 6))
    graph = from_model(net.model(depthwise(net)))
    analog = next(node.name for node in graph.nodes if node.attrs.get("group", 1) == 1 and node.op == "Conv")
    assign(graph, "int8-pow2", {analog: "ternary-analog"})
    found, refused = scalable_channels(graph)
    assert "analog array" in refused[analog] and len(found) == 2
    assign(graph)
    assert len(scalable_channels(graph)[0]) == 3
    graph.outputs.append(graph.nodes[1].outputs[0])
    assert "leaves the network" in scalable_channels(graph)[1][analog]


def test_scaling_leaves_copies_alone() -> None:
    net = NetBuilder((1, 4, 6, 6))
    graph = from_model(net.model(chain(net)))
    before = graph.nodes[0].inputs[1].values.copy()
    made: gs.Graph = copy_graph(graph)
    scale_channels(made, scalable_channels(made)[0][0], np.full(6, 2.0))
    assert np.array_equal(graph.nodes[0].inputs[1].values, before)
    assert np.array_equal(made.nodes[0].inputs[1].values, before / 2)
