"""Write networks of MLPerf Tiny as ONNX files of shapes only: their weights are absent.

    python tools/make_tiny_networks.py [--out DIR] [NAME ...]

Names: ds_cnn (keyword spotting), autoencoder (anomaly detection), resnet8 (images of 3 x 32 x 32), resnet8_28
(the same on 1 x 28 x 28), and two depthwise ones on 3 x 32 x 32: mobilenetv1 (the layers of MLPerf Tiny's
visual wake words at width 1/4, the first one and that of 16 channels without a stride) and mobilenetv2
(inverted residuals with ReLU6, seven of them). What needs no weights takes such files: `eecompile cost` and
`run --train scratch`, which draws new ones. Source of the layers: the reference networks of MLPerf Tiny v1.0,
with batch normalization folded; Sandler et al. 2018 for mobilenetv2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from passes.model.graph import from_model
from passes.model.writing import save

Shape = tuple[int, ...]

DS_CNN_CHANNELS, DS_CNN_BLOCKS, KEYWORDS = 64, 4, 12
SPECTROGRAM = (1, 1, 49, 10)
RESNET8_CHANNELS, CLASSES = (16, 32, 64), 10
# Channels and stride of each depthwise 3 x 3 and the 1 x 1 behind it.
SEPARABLE = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
# Expansion, channels and stride of each inverted residual.
INVERTED = ((1, 16, 2), (4, 24, 1), (4, 24, 1), (4, 32, 2), (4, 32, 1), (4, 64, 2), (4, 64, 1))
FEATURES, HIDDEN, CODE, HIDDEN_LAYERS = 640, 128, 8, 4


class ShapeModel:
    """Builds a chain of layers whose weights are only declared.

    Attributes:
        name: Name of the graph.
        shape: Shape of the tensor that the next layer reads, batch first.
    """

    def __init__(self, name: str, shape: Shape) -> None:
        self.name = name
        self.shape = shape
        self._input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        self._tensor = "input"
        self._nodes: list[onnx.NodeProto] = []
        self._declared: list[onnx.ValueInfoProto] = []

    def conv(self, channels: int, kernel: tuple[int, int], stride: int = 1, groups: int = 1) -> None:
        """Append a SAME-padded convolution with bias and its ReLU."""
        self._conv(channels, kernel, stride, groups)
        self.relu()

    def block(self, channels: int, stride: int = 1) -> None:
        """Append a residual block of two 3 x 3 convolutions; a stride has a 1 x 1 one beside them."""
        read, shape = self._tensor, self.shape
        self.conv(channels, (3, 3), stride)
        self._conv(channels, (3, 3))
        if stride > 1:
            main, self._tensor, self.shape = self._tensor, read, shape
            self._conv(channels, (1, 1), stride)
            read, self._tensor = self._tensor, main
        self._append("Add", (read,), self.shape)
        self.relu()

    def inverted_residual(self, expansion: int, channels: int, stride: int) -> None:
        """Append a 1 x 1 that widens, a depthwise 3 x 3, both with ReLU6, and a 1 x 1 that narrows."""
        read, shape = self._tensor, self.shape
        if expansion > 1:
            self.conv6(shape[1] * expansion, (1, 1))
        self.conv6(shape[1] * expansion, (3, 3), stride, groups=shape[1] * expansion)
        self._conv(channels, (1, 1))
        if self.shape == shape:
            self._append("Add", (read,), self.shape)

    def conv6(self, channels: int, kernel: tuple[int, int], stride: int = 1, groups: int = 1) -> None:
        """Append a SAME-padded convolution with bias and its ReLU6."""
        self._conv(channels, kernel, stride, groups)
        self._append("Clip", ("zero", "six"), self.shape)

    def _conv(self, channels: int, kernel: tuple[int, int], stride: int = 1, groups: int = 1) -> None:
        rows, columns = (-(-size // stride) for size in self.shape[2:])
        weights = (channels, self.shape[1] // groups, *kernel)
        self._linear(
            "Conv", weights, (1, channels, rows, columns),
            kernel_shape=kernel, strides=(stride, stride), group=groups, auto_pad="SAME_UPPER",
        )  # fmt: skip

    def dense(self, features: int) -> None:
        """Append a fully connected layer with bias."""
        self._linear("Gemm", (features, self.shape[1]), (1, features), transB=1)

    def relu(self) -> None:
        """Append a ReLU."""
        self._append("Relu", (), self.shape)

    def average(self) -> None:
        """Append an average over all positions; channels stay."""
        channels = self.shape[1]
        self._append("GlobalAveragePool", (), (1, channels, 1, 1))
        self._append("Flatten", (), (1, channels))

    def softmax(self) -> None:
        """Append a softmax over the classes."""
        self._append("Softmax", (), self.shape, axis=1)

    def model(self) -> onnx.ModelProto:
        """Return the network; its weights have shapes and nothing else."""
        output = helper.make_tensor_value_info(self._tensor, TensorProto.FLOAT, self.shape)
        read = {name for node in self._nodes for name in node.input}
        ends = [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("zero", 0), ("six", 6))
            if name in read
        ]
        graph = helper.make_graph(
            self._nodes, self.name, [self._input], [output], ends, value_info=self._declared
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    def _linear(self, op: str, weights: Shape, output: Shape, **attributes: Any) -> None:
        stem = f"{op.lower()}_{len(self._nodes)}"
        for parameter, shape in ((f"{stem}.weight", weights), (f"{stem}.bias", weights[:1])):
            self._declared.append(helper.make_tensor_value_info(parameter, TensorProto.FLOAT, shape))
        self._append(op, (f"{stem}.weight", f"{stem}.bias"), output, **attributes)

    def _append(self, op: str, parameters: tuple[str, ...], output: Shape, **attributes: Any) -> None:
        name = f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(op, [self._tensor, *parameters], [f"{name}.out"], name=name, **attributes)
        )
        self._tensor, self.shape = f"{name}.out", output


def ds_cnn() -> onnx.ModelProto:
    """Return DS-CNN: a 10 x 4 convolution and four blocks of depthwise 3 x 3 and 1 x 1 on 49 x 10 x 1."""
    net = ShapeModel("ds_cnn", SPECTROGRAM)
    net.conv(DS_CNN_CHANNELS, (10, 4), stride=2)
    for _ in range(DS_CNN_BLOCKS):
        net.conv(DS_CNN_CHANNELS, (3, 3), groups=DS_CNN_CHANNELS)
        net.conv(DS_CNN_CHANNELS, (1, 1))
    net.average()
    net.dense(KEYWORDS)
    net.softmax()
    return net.model()


def autoencoder() -> onnx.ModelProto:
    """Return the autoencoder 640 - 4 x 128 - 8 - 4 x 128 - 640, with ReLU behind all layers but the last."""
    net = ShapeModel("autoencoder", (1, FEATURES))
    for width in (*[HIDDEN] * HIDDEN_LAYERS, CODE, *[HIDDEN] * HIDDEN_LAYERS):
        net.dense(width)
        net.relu()
    net.dense(FEATURES)
    return net.model()


def resnet8(name: str = "resnet8", image: Shape = (3, 32, 32)) -> onnx.ModelProto:
    """Return ResNet8: a 3 x 3 convolution and three residual blocks, the later two of stride 2."""
    net = ShapeModel(name, (1, *image))
    net.conv(RESNET8_CHANNELS[0], (3, 3))
    for number, channels in enumerate(RESNET8_CHANNELS):
        net.block(channels, stride=1 if number == 0 else 2)
    return _classified(net)


def mobilenetv1() -> onnx.ModelProto:
    """Return MobileNetV1 at width 1/4 on small images: thirteen pairs of a depthwise 3 x 3 and a 1 x 1."""
    net = ShapeModel("mobilenetv1", (1, 3, 32, 32))
    net.conv(8, (3, 3))
    for channels, stride in SEPARABLE:
        net.conv(net.shape[1], (3, 3), stride, groups=net.shape[1])
        net.conv(channels, (1, 1))
    return _classified(net)


def mobilenetv2() -> onnx.ModelProto:
    """Return a small MobileNetV2 on small images, with ReLU6."""
    net = ShapeModel("mobilenetv2", (1, 3, 32, 32))
    net.conv6(16, (3, 3))
    for expansion, channels, stride in INVERTED:
        net.inverted_residual(expansion, channels, stride)
    net.conv6(256, (1, 1))
    return _classified(net)


def _classified(net: ShapeModel) -> onnx.ModelProto:
    net.average()
    net.dense(CLASSES)
    net.softmax()
    return net.model()


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "ds_cnn": ds_cnn,
    "autoencoder": autoencoder,
    "resnet8": resnet8,
    "resnet8_28": lambda: resnet8("resnet8_28", (1, 28, 28)),
    "mobilenetv1": mobilenetv1,
    "mobilenetv2": mobilenetv2,
}


def write(name: str, folder: Path) -> Path:
    """Write network ``name`` into ``folder``; returns the path of the ``*.shape.onnx``."""
    folder.mkdir(parents=True, exist_ok=True)
    return save(from_model(NETWORKS[name](), name), folder / f"{name}.shape.onnx")


def main() -> None:
    """Write the networks named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NETWORKS)}; all if none")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder [default: here]")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NETWORKS]
    if unknown:
        parser.error(f"no network '{unknown[0]}'; there are {', '.join(NETWORKS)}")
    for name in options.names or NETWORKS:
        print(write(name, options.out))


if __name__ == "__main__":
    main()
