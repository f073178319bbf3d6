"""Parts of a convolution are found in all forms, take one grid, and are told apart from other Concats."""

from __future__ import annotations

from collections.abc import Callable

import onnx_graphsurgeon as gs
import pytest

from passes.fuse_layers import FuseLayers
from passes.integers.channel_parts import channel_parts, in_one_place, share_grid
from passes.integers.fold_qdq import FoldQdq
from passes.integers.quantize import Quantize
from passes.integers.schemes import scheme
from passes.integers.split_channels import SplitChannels
from passes.model.graph import from_model
from passes.number_formats import Levels
from passes.operator_sets import QUANTIZED_LINEAR
from passes.precision import tensor_levels
from passes.state import QuantGrid, copy_graph, state_of
from tests.passes.integers.analog_nets import draw_grids
from tests.passes.net_builder import NetBuilder

DIGITAL = scheme("int8-pow2")


def split_network(channels: int = 4) -> gs.Graph:
    """Return two convolutions of which the second is split, the last part in an analog array, with grids."""
    net = NetBuilder((1, 4, 6, 6), seed=1)
    x = net.op("Relu", net.conv("x", 4, channels))
    y = net.op("Relu", net.conv(x, channels, 8, strides=[2, 2]))
    graph = from_model(net.model(net.op("Flatten", net.op("Relu", net.conv(y, 8, 3)))))
    SplitChannels(("n2_Conv/8:3",))(graph)
    draw_grids(graph, 0)
    state = state_of(graph)
    for node in graph.nodes:
        if node.name.startswith(("n0", "n2_Conv.0", "n3_Relu.0", "n2_Conv.join")):
            state.precisions[node.name] = DIGITAL.precision(node.op in QUANTIZED_LINEAR)
            if node.op in QUANTIZED_LINEAR:
                state.grids[node.inputs[1].name] = QuantGrid((0.125,), 128, 0, 255, "uint8")
    share_grid(channel_parts(graph)[0], state.grids)
    return graph


@pytest.mark.parametrize("channels", [4, 140])
def test_parts_are_the_same_layers_in_all_forms(channels: int) -> None:
    graph = split_network(channels)
    quantized = copy_graph(graph)
    Quantize()(quantized)
    folded = copy_graph(quantized)
    FoldQdq()(folded)
    for form in (graph, quantized, folded):
        FuseLayers()(form)
        (found,) = channel_parts(form)
        layers = state_of(form).layers
        assert [layers[part.name] for part in found.parts] == ["conv_1.0", "conv_1.1"]
        assert layers[found.join.name] == "conv_1.join"
        assert "conv_2" in layers.values(), "what is behind keeps its name"


def test_parts_and_whole_have_the_coarsest_grid() -> None:
    graph = split_network()
    (found,) = channel_parts(graph)
    grids = state_of(graph).grids
    assert len({grids[name] for name in found.tensors}) == 1
    coarse = QuantGrid((64.0,), 128, 64, 191, "uint8")
    grids[found.results[0]] = coarse
    apart = copy_graph(graph)
    Quantize()(apart)
    assert channel_parts(apart) == [], "of several grids something is rescaled"
    share_grid(found, grids)
    assert {grids[name] for name in found.tensors} == {coarse}
    Quantize()(graph)
    assert len(channel_parts(graph)) == 1


def test_parts_and_whole_take_what_all_of_them_can() -> None:
    graph = split_network()
    state_of(graph).grids = {}
    levels = tensor_levels(graph)
    (found,) = channel_parts(graph)
    digital, analog, whole = (levels[name] for name in found.tensors)
    assert (digital.high, analog.high, whole.high) == (127, 63, 63)
    in_one_place(graph, levels)
    assert {levels[name] for name in found.tensors} == {Levels(-64, 63, 8, power_of_two=True)}


def _convs(net: NetBuilder, **second: object) -> str:
    options = {"kernel": 3, "pads": [1] * 4, **second}
    return net.op("Concat", net.conv("x", 4, 3), net.conv("x", 4, 5, **options), axis=1)  # type: ignore[arg-type]


def test_convolutions_of_a_file_that_are_parts_count_as_such() -> None:
    net = NetBuilder((1, 4, 6, 6))
    (found,) = channel_parts(from_model(net.model(net.op("Relu", _convs(net)))))
    assert [int(part.inputs[1].shape[0]) for part in found.parts] == [3, 5]


OTHERS: dict[str, Callable[[NetBuilder], str]] = {
    "kernels of two sizes": lambda net: _convs(net, kernel=1, pads=[0] * 4),
    "another padding": lambda net: _convs(net, kernel=3, pads=[2] * 4, dilations=[2, 2]),
    "two inputs": lambda net: net.op(
        "Concat", net.conv("x", 4, 3), net.conv(net.op("Relu", "x"), 4, 5), axis=1
    ),
    "another axis": lambda net: net.op("Concat", net.conv("x", 4, 3), net.conv("x", 4, 3), axis=2),
    "no convolution": lambda net: net.op("Concat", net.conv("x", 4, 3), "x", axis=1),
    "a part that others read": lambda net: net.op(
        "Add", net.op("Concat", part := net.conv("x", 4, 3), net.conv("x", 4, 3), axis=1),
        net.op("Concat", part, part, axis=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_concats_are_none(name: str) -> None:
    net = NetBuilder((1, 4, 6, 6))
    graph = from_model(net.model(net.op("Relu", OTHERS[name](net))))
    assert channel_parts(graph) == []
    FuseLayers()(graph)
    assert not any("." in layer for layer in state_of(graph).layers.values())
