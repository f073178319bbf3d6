"""Residual networks for small images: CIFAR ResNet-n, and ResNet8 of MLPerf Tiny."""

from __future__ import annotations

from dataclasses import replace

import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import BackboneFamily, BackboneGene, Shape
from eecompile.search.backbones.layers import BackboneBuilder

_WIDTH = BackboneGene(
    "width", 16, 1, 256, "channels of the first stage; each stage has twice those before", shares=True
)
_KERNEL = BackboneGene("kernel", 3, 3, 5, "side of the kernels of blocks", values=(3, 5), shares=True)


def build_resnet(
    input_shape: Shape, classes: int, *, width: int, blocks: int, stages: int, kernel: int
) -> gs.Graph:
    """Return a residual network of 2 · ``blocks`` · ``stages`` + 2 layers (He et al., 2016, section 4.2).

    A stage halves the map and doubles the channels of the one before; where that changes, the way around a
    block is a 1x1 convolution, as in MLPerf Tiny.
    """
    net = BackboneBuilder("resnet", input_shape)
    net.conv("stem", width, 3)
    net.activate("stem.relu")
    for stage in range(stages):
        for block in range(blocks):
            _block(
                net, f"stage_{stage}.block_{block}", width << stage, kernel, 1 + (stage > 0 and block == 0)
            )
    net.classify(classes)
    return net.graph()


def _block(net: BackboneBuilder, name: str, channels: int, kernel: int, stride: int) -> None:
    read = net.tensor
    net.conv(f"{name}.conv_1", channels, kernel, stride)
    net.activate(f"{name}.relu_1")
    net.conv(f"{name}.conv_2", channels, kernel)
    made = net.tensor
    net.tensor = read
    if stride > 1 or net.channels != channels:
        net.conv(f"{name}.shortcut", channels, 1, stride)
    around, net.tensor = net.tensor, made
    net.add(f"{name}.add", around)
    net.activate(f"{name}.relu_2")
    net.end_block(name)


def build_resnet8(input_shape: Shape, classes: int, *, width: int) -> gs.Graph:
    """Return ResNet8 of MLPerf Tiny v1.0 (image classification) at width 16."""
    return build_resnet(input_shape, classes, width=width, blocks=1, stages=3, kernel=3)


RESNET = BackboneFamily(
    "resnet",
    "residual network for small images, CIFAR ResNet-n: n = 2 x blocks x stages + 2",
    (
        _WIDTH,
        BackboneGene(
            "blocks", 3, 1, 18, "blocks of each stage, two layers each", makes_blocks=True, shares=True
        ),
        BackboneGene("stages", 3, 1, 5, "stages; each halves the map", makes_blocks=True),
        _KERNEL,
    ),
    build_resnet,
)
RESNET8 = BackboneFamily(
    "resnet8",
    "ResNet8 of MLPerf Tiny, one block in each of three stages",
    (replace(_WIDTH, words="channels of the first stage, 16 in MLPerf Tiny; then twice and four times"),),
    build_resnet8,
)
