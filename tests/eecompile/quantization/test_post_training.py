from __future__ import annotations

import json

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.kept_float import layers_of
from eecompile.quantization.post_training import post_train
from eecompile.quantization.sensitivity import sensitivities
from passes.errors import InputError
from passes.exits.recognise import recognise_exits
from passes.model.graph import from_model
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
from tests.eecompile.quantization.test_equalization import images, logits, separable
from tests.passes.net_builder import NetBuilder


def test_both_forms_come_of_one_calibration_by_the_schemes_of_the_cores() -> None:
    net = NetBuilder((1, 3, 8, 8))
    flat = net.op("Flatten", net.op("Relu", net.conv("x", 3, 4)))
    graph = from_model(net.model(net.op("Gemm", flat, net.normal(3, 256), transB=1)))
    given = graph.nodes[0].inputs[1].values.copy()
    x = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32)
    found = post_train(graph, load_target("gap9"), EDP, x, "minmax")
    assert (found.schemes, found.calibration.calibration, found.calibration.images) == (
        ("int8-channel",), "minmax", 20,
    )  # fmt: skip
    assert np.array_equal(graph.nodes[0].inputs[1].values, given) and not state_of(graph).grids
    assert state_of(found.calibrated).grids["x"].scale[0] == pytest.approx(np.abs(x).max() / 127)
    assert {"QuantizeLinear", "Conv", "Gemm"} <= {node.op for node in found.quantized.nodes}
    assert {"QLinearConv", "MatMulInteger"} <= {node.op for node in found.lowered.nodes}
    with pytest.raises(InputError, match="nothing is left"):
        post_train(graph, load_target("gap9"), EDP, x, "minmax", [node.name for node in graph.nodes])


def test_equalized_channels_are_what_is_rounded_and_what_layers_are_told_against() -> None:
    graph, target, x = separable(200.0), load_target("diana"), images(40, 1)
    recognise_exits(graph)
    given = {t.name: t.values.copy() for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    found = post_train(graph, target, EDP, x, "least-squares")
    assert found.equalization is not None and found.equalization.taken
    json.dumps(found.equalization.to_json())
    now = {t.name: t.values for t in graph.tensors().values() if isinstance(t, gs.Constant)}
    assert all(np.array_equal(given[name], now[name]) for name in given), "what was given stays"
    real = logits(graph, x)
    np.testing.assert_allclose(logits(found.given, x), real, atol=1e-4 * np.abs(real).max())
    of_layer = layers_of(graph, target)
    weights = {node.name: node.inputs[1].values for node in found.given.nodes if node.op == "Conv"}
    for node in found.calibrated.nodes:
        if node.op == "Conv":
            step = state_of(found.calibrated).grids[node.inputs[1].name].scale[0]
            assert np.abs(node.inputs[1].values - weights[node.name]).mean() < 2 * step
    _, table = sensitivities(found.given, found.calibrated, of_layer, found.calibration.shifts, x)
    assert min(entry.only.sqnr_db for entry in table) > 20, "no layer is mixed up with its other scale"
