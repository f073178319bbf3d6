"""Equalized channels answer as before in float and better in integers, or the network stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.quantization import equalization
from eecompile.quantization.calibration import calibrate
from eecompile.quantization.equalization import equalize
from eecompile.quantization.sensitivity import disturbance
from eecompile.runtime.sessions import session
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]
CHANNELS = 16


def images(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)


def separable(
    spread: float,
    bound: float | None = None,
    *,
    exact: bool = False,
    shape: tuple[int, ...] = (1, 3, 8, 8),
) -> gs.Graph:
    """Return a depthwise convolution between two of 1 x 1; sizes of its channels differ by ``spread``.

    Args:
        spread: How much larger the largest channel is than the least.
        bound: Where activations end; ``None``: nowhere.
        exact: All weights are whole numbers that eight bits hold.
        shape: Of the input.
    """
    net = NetBuilder(shape)
    sizes = net.rng.permutation(np.geomspace(1, 1 / spread, CHANNELS))

    def weight(*shape: int) -> Array:
        return net.rng.integers(-8, 9, shape) if exact else net.rng.normal(0, shape[1] ** -0.5, shape)

    def activated(x: str) -> str:
        return net.op("Relu", x) if bound is None else net.op("Clip", x, net.const(0.0), net.const(bound))

    first = activated(net.op("Conv", "x", net.const(weight(CHANNELS, 3, 1, 1))))
    filters = weight(CHANNELS, 1, 3, 3) * (1 if exact else sizes[:, None, None, None])
    attrs = {"pads": [1, 1, 1, 1], "group": CHANNELS}
    deep = activated(net.op("Conv", first, net.const(filters), **attrs))
    last = weight(8, CHANNELS, 1, 1) / (1 if exact else sizes[None, :, None, None])
    flat = net.op(
        "Flatten", net.op("GlobalAveragePool", net.op("Relu", net.op("Conv", deep, net.const(last))))
    )
    return from_model(net.model(net.op("Gemm", flat, net.const(weight(4, 8)), transB=1)))


def logits(graph: gs.Graph, x: Array) -> Array:
    return np.asarray(session(to_model(graph, "N")).run(None, {"x": x})[0])


def integers(graph: gs.Graph, x: Array, seen: Array) -> Array:
    made = copy_graph(graph)
    calibrate(made, x)
    parse_pipeline("quantize")(made)
    return logits(made, seen)


@pytest.mark.parametrize("scheme", ["int8-pow2", "int8-channel", "uint8-channel"])
def test_channels_of_many_sizes_are_equalized(scheme: str) -> None:
    graph = separable(200.0)
    assign(graph, scheme)
    x, others = images(80, 1), images(200, 2)
    before, real = integers(graph, x, others), logits(graph, others)
    found = equalize(graph, x, "least-squares")
    assert found is not None and found.taken and "are equalized" in found.note
    np.testing.assert_allclose(logits(graph, others), real, rtol=1e-3, atol=1e-4 * np.abs(real).max())
    better, worse = (disturbance([real], [a]).sqnr_db for a in (integers(graph, x, others), before))
    assert better > worse + 1, "on images that chose nothing"
    assert found.after.divergence < found.before.divergence
    assert (len(found.scaled), found.at_bound, found.to_json()["taken"]) == (2, 0, True)
    deep = next(n for n in graph.nodes if n.attrs.get("group", 1) > 1).inputs[1].values
    ranges = np.abs(deep).reshape(CHANNELS, -1).max(axis=1)
    assert ranges.max() / ranges.min() < 20, "of 200"


def test_each_side_of_a_channel_has_the_same_share_in_the_end() -> None:
    graph = separable(50.0)
    assign(graph)
    x = images(64, 1)
    found = equalize(graph, x, "least-squares")
    assert found is not None and found.taken
    relus = [node.outputs[0] for node in graph.nodes if node.op == "Relu"][:2]
    graph.outputs += relus
    values = session(to_model(graph, "N")).run([t.name for t in relus], {"x": x})
    convs = [node.inputs[1].values for node in graph.nodes if node.op == "Conv"]
    for value, makes, reads in zip(values, convs, convs[1:], strict=False):
        made = np.abs(makes).reshape(CHANNELS, -1).max(axis=1)
        read = (
            np.abs(reads if len(reads) == CHANNELS else reads.swapaxes(0, 1))
            .reshape(CHANNELS, -1)
            .max(axis=1)
        )
        held = value.max(axis=(0, 2, 3))
        ratio = np.sqrt(made * held) / read
        assert ratio.max() / ratio.min() < 1.05


def test_what_does_not_help_is_not_taken() -> None:
    """Weights that eight bits hold already lose by any scale."""
    graph = separable(1.0, exact=True)
    assign(graph)
    given = {t.name: t.values.copy() for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    x = np.random.default_rng(0).integers(-100, 100, (40, 3, 8, 8)).astype(np.float32)
    found = equalize(graph, x, "least-squares")
    assert found is not None and not found.taken and "does not help" in found.note
    assert found.after.divergence >= found.before.divergence
    now = {t.name: t.values for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    assert given.keys() == now.keys()
    assert all(np.array_equal(given[name], now[name]) for name in given)


def test_channels_at_the_bound_of_a_clip_keep_their_scale() -> None:
    graph = separable(100.0, bound=1.0)
    assign(graph)
    x, others = images(100, 1), images(300, 2)
    clips = [node.outputs[0].name for node in graph.nodes if node.op == "Clip"]
    tapped = copy_graph(graph)
    tapped.outputs = [tapped.tensors()[name] for name in clips]
    values = session(to_model(tapped, "N")).run(clips, {"x": x})
    full = [value.max(axis=(0, 2, 3)) >= 1.0 for value in values]
    assert all(some.any() for some in full) and not full[1].all()
    given = [node.inputs[1].values.copy() for node in graph.nodes if node.op == "Conv"]
    real, unseen = logits(graph, x), logits(graph, others)
    found = equalize(graph, x, "least-squares")
    assert found is not None and found.taken and found.at_bound == sum(int(some.sum()) for some in full)
    np.testing.assert_allclose(logits(graph, x), real, rtol=1e-3, atol=1e-4 * np.abs(real).max())
    now = [node.inputs[1].values for node in graph.nodes if node.op == "Conv"]
    assert np.array_equal(now[0][full[0]], given[0][full[0]])
    assert np.array_equal(now[2][:, full[1]], given[2][:, full[1]])
    assert not np.array_equal(now[2], given[2])
    after = logits(graph, others)
    assert np.abs(after - unseen).max() < 0.2 * np.abs(unseen).max(), "images that reach further"


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_do(count: int) -> None:
    graph = separable(200.0)
    assign(graph)
    found = equalize(graph, images(count, 1), "minmax")
    assert found is not None and found.images == (count, count)


@pytest.mark.parametrize(("runs", "count"), [(1000, 128), (50, 50), (1, 32)])
def test_large_networks_see_fewer_images(runs: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = separable(200.0)
    assign(graph)
    macs = 64 * CHANNELS * (3 + 9 + 8) + 8 * 4
    monkeypatch.setattr(equalization, "_WORK", float(runs * macs))
    found = equalize(graph, images(300, 1), "minmax")
    assert found is not None and found.images == (count, count)


def test_networks_without_depthwise_layers_are_not_looked_at() -> None:
    net = NetBuilder((1, 3, 8, 8))
    flat = net.op("Flatten", net.op("Relu", net.conv(net.op("Relu", net.conv("x", 3, 4)), 4, 4)))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 256), transB=1)))
    assign(graph)
    assert equalize(graph, images(4, 1), "least-squares") is None
