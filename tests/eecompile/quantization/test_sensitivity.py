"""The table of layers: against networks that were quantized in part by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from numpy.typing import NDArray

from eecompile.quantization.post_training import PostTrained, post_train
from eecompile.quantization.sensitivity import (
    MOST_DB,
    Disturbance,
    LayerSensitivity,
    disturbance,
    ranked,
    sensitivities,
    worst,
)
from eecompile.runtime.sessions import session
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.state import copy_graph, state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.passes.net_builder import NetBuilder

Array = NDArray[Any]


@pytest.fixture(scope="module")
def network() -> tuple[gs.Graph, PostTrained, Array]:
    net = NetBuilder((1, 3, 8, 8))
    first = net.op("Relu", net.conv("x", 3, 6))
    second = net.op("Relu", net.op("Add", net.conv(first, 6, 6), first))
    flat = net.op("Flatten", net.op("GlobalAveragePool", second))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 6), net.normal(3), transB=1)))
    recognise_exits(graph)
    x = np.random.default_rng(0).normal(size=(60, 3, 8, 8)).astype(np.float32)
    return graph, post_train(graph, load_target("diana"), EDP, x, "least-squares"), x


def logits(graph: gs.Graph, x: Array) -> Array:
    return np.asarray(session(to_model(graph, "N")).run(None, {"x": x})[0])


def test_each_layer_alone_and_all_but_it(network: tuple[gs.Graph, PostTrained, Array]) -> None:
    graph, done, x = network
    layers = {node.name: node.name for node in graph.nodes}
    count, found = sensitivities(graph, done.calibrated, layers, done.calibration.shifts, x)
    assert count == 60
    by_name = {entry.layer: entry for entry in found}
    assert {name.partition("_")[2] for name in by_name} == {
        "Conv", "Relu", "Add", "GlobalAveragePool", "Gemm",
    }  # fmt: skip
    whole = disturbance([logits(graph, x)], [logits(done.quantized, x)])
    for entry in found:
        assert entry.only.sqnr_db > whole.sqnr_db, "less is disturbed by less"
    # the last layer alone in float: its input is on its grid, its weights are the given ones
    last = graph.nodes[-1].name
    hand = copy_graph(done.quantized)
    gemm = next(node for node in hand.nodes if node.name == last)
    gemm.inputs = [
        gemm.inputs[0],
        *(gs.Constant(f"real_{i}", t.values) for i, t in enumerate(graph.nodes[-1].inputs[1:])),
    ]
    expected = disturbance([logits(graph, x)], [logits(hand, x)])
    assert by_name[last].without.sqnr_db == pytest.approx(expected.sqnr_db, abs=1e-3)
    assert by_name[last].without.divergence == pytest.approx(expected.divergence, rel=1e-3)
    assert state_of(done.calibrated).grids, "what was calibrated stays as it was"


def test_what_is_told_of_a_disturbance() -> None:
    real = np.random.default_rng(1).normal(0, 2, (4000, 5)).astype(np.float32)
    noisy = real + np.random.default_rng(2).normal(0, 0.2, real.shape).astype(np.float32)
    found = disturbance([real], [noisy])
    assert found.sqnr_db == pytest.approx(20, abs=0.1)
    assert found.noise == pytest.approx(0.01, rel=0.03)
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (real, noisy))
    assert found.divergence == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-4)
    assert disturbance([real], [real]) == Disturbance(MOST_DB, 0.0)
    twice = disturbance([real, real], [noisy, real])
    assert twice.noise == pytest.approx(found.noise / 2)


def test_the_worst_make_half_of_the_noise() -> None:
    def entry(name: str, decibel: float) -> LayerSensitivity:
        return LayerSensitivity(name, Disturbance(decibel, 0.1), Disturbance(20.0, 0.1))

    table = [entry("a", 30), entry("b", 20), entry("c", 23), entry("d", 20)]
    assert [e.layer for e in ranked(table)] == ["b", "d", "c", "a"]
    names, share = worst(table)
    assert names == ("b", "d") and share == pytest.approx(0.02 / (0.02 + 0.001 + 10**-2.3))
