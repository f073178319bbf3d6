"""MobileNetV2 for small images, in the shape that arXiv 2512.04705 searches exits on."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from eecompile.search.backbones.family import BackboneFamily, BackboneGene, Shape
from eecompile.search.backbones.layers import RELU6, BackboneBuilder, scaled

_STEM = 32
# Channels, stride of the first block, gene of the number of blocks (one if empty); kernels are those of the
# early half up to 64 channels.
_STAGES = (
    (16, 1, ""), (24, 1, "depth_1"), (32, 1, "depth_2"), (64, 2, "depth_3"),
    (96, 1, "depth_4"), (160, 2, "depth_5"), (320, 1, ""),
)  # fmt: skip
_LAST_EARLY = 64


def build_mobilenet_v2(
    input_shape: Shape,
    classes: int,
    *,
    width: float,
    expansion: int,
    kernel_early: int,
    kernel_late: int,
    **depths: int,
) -> gs.Graph:
    """Return the network: a 3x3 convolution and inverted residual blocks with ReLU6 (Sandler et al., 2018).

    What a block reads is added to what it makes in all blocks of a stage but the first, also where a small
    width gives the stage before as many channels: siblings are wired alike.
    """
    net = BackboneBuilder("mobilenet_v2", input_shape)
    net.conv("stem", scaled(_STEM, width), 3)
    net.activate("stem.relu", RELU6)
    for stage, (channels, stride, depth) in enumerate(_STAGES):
        kernel = kernel_early if channels <= _LAST_EARLY else kernel_late
        for block in range(depths[depth] if depth else 1):
            _block(
                net,
                f"stage_{stage}.block_{block}",
                scaled(channels, width),
                kernel,
                stride if block == 0 else 1,
                expansion if stage else 1,
                around=block > 0,
            )
    net.classify(classes)
    return net.graph()


def _block(
    net: BackboneBuilder, name: str, channels: int, kernel: int, stride: int, expansion: int, *, around: bool
) -> None:
    read, inside = net.tensor, net.channels * expansion
    if expansion > 1:
        net.conv(f"{name}.expand", inside, 1)
        net.activate(f"{name}.expand_relu", RELU6)
    net.conv(f"{name}.depthwise", inside, kernel, stride, depthwise=True)
    net.activate(f"{name}.depthwise_relu", RELU6)
    net.conv(f"{name}.project", channels, 1)
    if around:
        net.add(f"{name}.add", read)
    net.end_block(name)


def _depth(number: int, channels: int) -> BackboneGene:
    words = f"blocks of {channels} channels (at width 1)"
    return BackboneGene(f"depth_{number}", 2, 1, 6, words, makes_blocks=True, shares=True)


MOBILENET_V2 = BackboneFamily(
    "mobilenet_v2",
    "MobileNetV2 for images of 32 x 32 as arXiv 2512.04705 has it: twelve inverted residual blocks",
    (
        BackboneGene(
            "width", 1.0, 0.1, 2.0, "what all channels are multiplied by, as multiples of 8", shares=True
        ),
        BackboneGene("expansion", 6, 1, 8, "how much wider blocks are inside; 1 in the first", shares=True),
        BackboneGene(
            "kernel_early",
            3,
            3,
            7,
            "side of depthwise kernels up to 64 channels",
            values=(3, 5, 7),
            shares=True,
        ),
        BackboneGene(
            "kernel_late",
            7,
            3,
            7,
            "side of depthwise kernels from 96 channels on",
            values=(3, 5, 7),
            shares=True,
        ),
        *(_depth(number, channels) for number, channels in enumerate((24, 32, 64, 96, 160), 1)),
    ),
    build_mobilenet_v2,
)
