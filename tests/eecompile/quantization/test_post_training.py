from __future__ import annotations

import numpy as np
import pytest

from eecompile.quantization.post_training import post_train
from passes.errors import InputError
from passes.model.graph import from_model
from passes.state import state_of
from targets.contract.registry import load_target
from targets.objective import EDP
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
