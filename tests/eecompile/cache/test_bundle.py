from __future__ import annotations

from pathlib import Path

import numpy as np

from eecompile.cache.bundle import Bundle
from passes.model.graph import load
from passes.state import Exit, QuantGrid, state_of
from tests.eecompile.small_models import write_skip_net


def test_a_bundle_holds_what_was_put_into_it(tmp_path: Path) -> None:
    write_skip_net(tmp_path / "net.onnx")
    graph = load(tmp_path / "net.onnx")
    state = state_of(graph)
    output = graph.outputs[0].name
    state.exits = [Exit("final", graph.nodes[0].outputs[0].name, output)]
    state.grids = {output: QuantGrid((0.1, 2.0**-3), 0, -128, 127, "int8", 1)}
    arrays = {"logits.0": np.array([[0.1, np.nan]], np.float32), "right": np.array([True])}
    bundle = Bundle({"net": graph}, arrays, {"training": {"epochs": [1, 0.1]}})
    data = bundle.to_bytes()
    found = Bundle.of_bytes(data)
    assert found.told == {"training": {"epochs": [1, 0.1]}}
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    again = found.graphs["net"]
    assert state_of(again).exits == state.exits and state_of(again).grids == state.grids
    assert found.to_bytes() == data == bundle.to_bytes()
