"""What may be chosen for a layer is what the rules of its cores take at the bits of a scheme."""

from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs
import pytest

from eecompile.quantization.layer_schemes import has_array, weighted_layers
from passes.integers.schemes import CHANNEL_BITS
from passes.model.graph import load
from passes.registry import parse_pipeline
from passes.state import state_of
from targets.contract.registry import BUILTIN, load_target

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits_resnet.onnx"


@pytest.fixture(scope="module")
def network() -> gs.Graph:
    graph = load(EXAMPLE)
    parse_pipeline("canonicalize,fold-batchnorm,insert-exits{at=relu_2,head=linear}")(graph)
    return graph


def test_the_array_takes_convolutions_and_says_why_not_the_rest(network: gs.Graph) -> None:
    layers = weighted_layers(network, load_target("diana"))
    ops = {node.name: node.op for node in network.nodes}
    for layer in layers:
        conv = "Conv" in {ops[name] for name in layer.nodes}
        assert [option.scheme.name for option in layer.options if option.analog] == ["ternary-analog"] * conv
        assert [r.rule for r in layer.declined] == ([] if conv else ["It does not run Gemm"])
    assert [layer.head for layer in layers if any(n.startswith("exit_0/") for n in layer.nodes)] == [True]
    assert sum(layer.head for layer in layers) == 1 < len(layers)


def test_narrow_weights_are_for_ne16_alone(network: gs.Graph) -> None:
    for layer in weighted_layers(network, load_target("gap9")):
        on = {
            core: [o.scheme.weights.bits for o in layer.options if o.core == core]
            for core in ("ne16", "cluster")
        }
        assert on["ne16"] == list(CHANNEL_BITS)
        assert on["cluster"] in ([], [8])


def test_nothing_of_the_graph_is_changed(network: gs.Graph) -> None:
    before = (dict(state_of(network).layers), dict(state_of(network).precisions))
    weighted_layers(network, load_target("gap9"))
    assert (state_of(network).layers, state_of(network).precisions) == before


def test_who_has_an_array() -> None:
    assert [name for name in sorted(BUILTIN) if has_array(load_target(name))] == ["diana"]
