"""Layers are padded as ONNX's SAME_UPPER, channels are scaled as in MobileNets."""

from __future__ import annotations

import pytest

from eecompile.search.backbones.layers import BackboneBuilder, scaled
from passes.state import state_of


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "after"),
    [
        (32, 3, 1, [1, 1, 1, 1], 32),
        (32, 3, 2, [0, 0, 1, 1], 16),
        (33, 3, 2, [1, 1, 1, 1], 17),
        (32, 7, 2, [2, 2, 3, 3], 16),
        (32, 1, 2, [0, 0, 0, 0], 16),
        (1, 3, 2, [1, 1, 1, 1], 1),
    ],
)
def test_padding(size: int, kernel: int, stride: int, pads: list[int], after: int) -> None:
    net = BackboneBuilder("net", (1, 2, size, size))
    net.conv("conv", 4, kernel, stride)
    node = net.graph().nodes[0]
    assert node.attrs["pads"] == pads and node.outputs[0].shape == [1, 4, after, after]


def test_weights_are_absent_and_named_by_their_layer() -> None:
    net = BackboneBuilder("net", (1, 2, 8, 8))
    net.conv("stem", 4, (3, 1))
    net.activate("stem.relu", "relu6")
    net.classify(3)
    graph = net.graph()
    assert state_of(graph).symbolic and graph.outputs[0].name == "logits"
    shapes = {t.name: tuple(t.shape) for node in graph.nodes for t in node.inputs[1:]}
    assert shapes == {
        "stem.weight": (4, 2, 3, 1), "stem.bias": (4,), "stem.relu.min": (), "stem.relu.max": (),
        "classifier.weight": (3, 4), "classifier.bias": (3,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "width", "found"),
    [
        (32, 1.0, 32),
        (32, 0.25, 8),
        (16, 0.1, 8),
        (24, 0.5, 16),
        (160, 0.35, 56),
        (96, 0.85, 80),
        (24, 0.75, 24),
    ],
)
def test_channels_are_multiples_of_eight_and_hardly_fewer(channels: int, width: float, found: int) -> None:
    assert scaled(channels, width) == found
    assert found >= 0.9 * channels * width
