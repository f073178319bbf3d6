from __future__ import annotations

import numpy as np
import pytest

from eecompile.quantization.calibration import calibrate
from eecompile.quantization.kept_float import keep_float, layers_of, nodes_of
from passes.errors import InputError
from passes.model.graph import from_model
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import load_target
from tests.eecompile.schemes import assign
from tests.passes.net_builder import NetBuilder


def test_layers_are_named_as_on_the_target_and_those_that_share_weights_stay_together() -> None:
    net = NetBuilder((1, 4, 6, 6))
    shared = net.normal(4, 4, 3, 3)
    first = net.op("Relu", net.op("Conv", "x", shared, pads=[1, 1, 1, 1]))
    second = net.op("Conv", net.conv(first, 4, 4), shared, pads=[1, 1, 1, 1])
    graph = from_model(net.model(net.op("Gemm", net.op("Flatten", second), net.normal(3, 144), transB=1)))
    layers = layers_of(graph, load_target("gap9"))
    conv, relu, between, again = (node.name for node in graph.nodes[:4])
    assert [layers[name] for name in (conv, relu, between, again)] == ["conv_0", "conv_0", "conv_1", "conv_2"]
    assert state_of(graph).layers == {}
    assert nodes_of(graph, layers, ["conv_1"]) == {between}
    assert nodes_of(graph, layers, ["conv_0"]) == {conv, relu, again}
    with pytest.raises(InputError, match=r"'conv_9', and no layer is called so\ndid you mean"):
        nodes_of(graph, layers, ["conv_9"])


def test_what_only_layers_in_float_touch_has_no_grid() -> None:
    net = NetBuilder((1, 4, 6, 6))
    first = net.op("Relu", net.conv("x", 4, 4))
    second = net.op("Relu", net.conv(first, 4, 4))
    pooled = net.op("MaxPool", second, kernel_shape=[2, 2], strides=[2, 2])
    last = net.op("Flatten", net.op("Relu", net.conv(pooled, 4, 4)))
    graph = from_model(net.model(net.op("Gemm", last, net.normal(3, 36), transB=1)))
    assign(graph)
    kept = {node.name for node in graph.nodes[:4]}
    keep_float(graph, kept)
    before = {node.name: node.inputs[1].values for node in graph.nodes if node.op == "Conv"}
    calibrate(graph, np.random.default_rng(0).normal(size=(8, 4, 6, 6)).astype(np.float32), kept=kept)
    grids = state_of(graph).grids
    assert "x" not in grids and first not in grids
    assert {second, pooled, last} <= grids.keys()
    same = [np.array_equal(n.inputs[1].values, before[n.name]) for n in graph.nodes if n.op == "Conv"]
    assert same == [True, True, False]
    parse_pipeline("quantize,fold-qdq")(graph)
    assert [n.op for n in graph.nodes if "Conv" in n.op] == ["Conv", "Conv", "QLinearConv"]
