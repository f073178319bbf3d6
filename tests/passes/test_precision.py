from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from passes.errors import InputError
from passes.exits.chain import keep_exits
from passes.exits.insert_exits import InsertExits
from passes.integers.schemes import SCHEMES
from passes.model.graph import PRECISION_KEY, from_model, load
from passes.model.writing import save, to_model
from passes.number_formats import DOWN, InMemoryArray, Levels, Precision, Requantization
from passes.precision import tensor_levels
from passes.state import state_of
from tests.passes.net_builder import NetBuilder

BYTES, NARROW = SCHEMES["int8-channel"], SCHEMES["ternary-analog"]


def pooled_net() -> onnx.ModelProto:
    """Conv, Relu, MaxPool, then two readers of what the pooling picks."""
    net = NetBuilder((1, 2, 8, 8))
    pooled = net.op("MaxPool", net.op("Relu", net.conv("x", 2, 4)), kernel_shape=[2, 2], strides=[2, 2])
    joined = net.op("Add", net.conv(pooled, 4, 4), net.conv(pooled, 4, 4))
    flat = net.op("Flatten", net.op("GlobalAveragePool", joined))
    return net.model(net.op("Gemm", flat, net.normal(3, 4), transB=1))


def test_a_tensor_suits_all_that_write_and_read_it() -> None:
    graph = from_model(pooled_net())
    nodes = {op: [n for n in graph.nodes if n.op == op] for op in ("Conv", "Relu", "MaxPool", "Add")}
    first, second, third = nodes["Conv"]
    known = state_of(graph).precisions
    known |= {first.name: BYTES.precision(True), nodes["Relu"][0].name: BYTES.precision(False)}
    known |= {second.name: BYTES.precision(True), third.name: NARROW.precision(True)}
    found = tensor_levels(graph)
    both = Levels(-64, 63, 8, power_of_two=True)
    assert found[nodes["Relu"][0].outputs[0].name] == both, "the reader behind the pooling takes 7 bits"
    assert found[nodes["MaxPool"][0].outputs[0].name] == both
    assert found[graph.inputs[0].name] == BYTES.activations
    assert found[second.outputs[0].name] == BYTES.activations
    assert graph.outputs[0].name not in found, "nobody says anything of the logits"


def test_precisions_travel_with_the_graph(tmp_path: Path) -> None:
    graph = from_model(pooled_net())
    InsertExits(("1",), "conv")(graph)
    state = state_of(graph)
    state.precisions = {n.name: NARROW.precision(n.op == "Conv") for n in graph.nodes}
    array = InMemoryArray(1152, Levels(-32, 31, 6, power_of_two=True), 16, 25.0)
    odd = Levels(-128, 127, 8, symmetric=False)
    state.precisions[graph.nodes[0].name] = Precision(
        NARROW.weights, odd, odd, 16, 24, Requantization(8, 31, DOWN), array
    )
    again = state_of(load(save(graph, tmp_path / "model.onnx")))
    assert again.precisions == state.precisions
    static = keep_exits(graph, [])
    assert state_of(static).precisions.keys() == {n.name for n in static.nodes}
    assert len(static.nodes) < len(graph.nodes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found | {"weights": {"low": 1, "high": -1, "bits": 8}},
        lambda found: found | {"inputs": found["inputs"] | {"bits": "8"}},
        lambda found: found | {"output": found["output"] | {"low": 9, "high": 3}},
        lambda found: found | {"requantization": found["requantization"] | {"rounding": "up"}},
        lambda found: found | {"accumulator_bits": 1.5},
        lambda found: found | {"array": {"rows": 9}},
        lambda found: {key: value for key, value in found.items() if key != "bias_bits"},
        lambda _: [1, 2],
    ],
)
def test_damaged_precisions_are_refused(damage: object) -> None:
    graph = from_model(pooled_net())
    node = graph.nodes[0]
    state_of(graph).precisions[node.name] = BYTES.precision(True)
    model = to_model(graph)
    (entry,) = [p for p in model.graph.node[0].metadata_props if p.key == PRECISION_KEY]
    assert callable(damage)
    entry.value = json.dumps(damage(json.loads(entry.value)))
    with pytest.raises(InputError, match=r"'eecompile.precision' is damaged"):
        from_model(model)
