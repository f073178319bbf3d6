"""MobileNetV1 as MLPerf Tiny has it, and its relative for keyword spotting, DS-CNN."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import BackboneFamily, BackboneGene, Shape
from eecompile.search.backbones.layers import BackboneBuilder, scaled

_STEM = 32
# Channels and stride of the blocks before and behind those of 512 channels that `depth` counts.
_BEFORE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
_MIDDLE = 512
_BEHIND = ((1024, 2), (1024, 1))


def build_mobilenet_v1(
    input_shape: Shape, classes: int, *, width: float, depth: int, kernel: int, stem_stride: int
) -> gs.Graph:
    """Return the network: a 3x3 convolution, then depthwise and 1x1 ones in turn (Howard et al., 2017)."""
    net = BackboneBuilder("mobilenet_v1", input_shape)
    net.conv("stem", scaled(_STEM, width), 3, stem_stride)
    net.activate("stem.relu")
    stages = (_BEFORE, ((_MIDDLE, 1),) * depth, _BEHIND)
    for stage, blocks in enumerate(stages):
        for block, (channels, stride) in enumerate(blocks):
            _separable(net, f"stage_{stage}.block_{block}", scaled(channels, width), kernel, stride)
    net.classify(classes)
    return net.graph()


def build_ds_cnn(input_shape: Shape, classes: int, *, channels: int, blocks: int, kernel: int) -> gs.Graph:
    """Return DS-CNN: a 10x4 convolution, then depthwise and 1x1 ones in turn (Zhang et al., 2017)."""
    net = BackboneBuilder("ds_cnn", input_shape)
    net.conv("stem", channels, (10, 4), 2)
    net.activate("stem.relu")
    for block in range(blocks):
        _separable(net, f"block_{block}", channels, kernel, 1)
    net.classify(classes)
    return net.graph()


def _separable(net: BackboneBuilder, name: str, channels: int, kernel: int, stride: int) -> None:
    net.conv(f"{name}.depthwise", net.channels, kernel, stride, depthwise=True)
    net.activate(f"{name}.depthwise_relu")
    net.conv(f"{name}.pointwise", channels, 1)
    net.activate(f"{name}.pointwise_relu")
    net.end_block(name)


_KERNEL = BackboneGene("kernel", 3, 3, 7, "side of depthwise kernels", values=(3, 5, 7), shares=True)

MOBILENET_V1 = BackboneFamily(
    "mobilenet_v1",
    "MobileNetV1 of MLPerf Tiny (visual wake words)",
    (
        BackboneGene(
            "width", 0.25, 0.1, 2.0, "what all channels are multiplied by, as multiples of 8", shares=True
        ),
        BackboneGene(
            "depth",
            5,
            1,
            8,
            "blocks of 512 channels (at width 1) that keep the map",
            makes_blocks=True,
            shares=True,
        ),
        _KERNEL,
        BackboneGene(
            "stem_stride",
            2,
            1,
            2,
            "stride of the first layer; 2 keeps a quarter of the places",
            values=(1, 2),
            falls=True,
        ),
    ),
    build_mobilenet_v1,
)
DS_CNN = BackboneFamily(
    "ds_cnn",
    "DS-CNN of MLPerf Tiny (keyword spotting)",
    (
        BackboneGene("channels", 64, 1, 512, "channels of all layers", shares=True),
        BackboneGene(
            "blocks",
            4,
            1,
            12,
            "blocks, a depthwise and a 1x1 convolution each",
            makes_blocks=True,
            shares=True,
        ),
        _KERNEL,
    ),
    build_ds_cnn,
)
