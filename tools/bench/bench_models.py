"""ImageNet-size classifiers with random weights, as PyTorch and TensorFlow exporters write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CLASSES = 1000
SIZE = 224
_RESNET50 = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
# expansion, channels, repeats, stride: table 2 of Sandler et al., MobileNetV2, CVPR 2018
_MOBILENETV2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
)  # fmt: skip


@dataclass
class Writer:
    """Collects nodes and weights; ``nhwc`` puts Transposes around every operator that wants NCHW."""

    nhwc: bool
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def op(self, kind: str, *inputs: str, **attrs: Any) -> str:
        """Add a node and return its output."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attrs))
        return f"{name}_out"

    def spatial(self, kind: str, x: str, *inputs: str, **attrs: Any) -> str:
        """Add an operator that works on NCHW."""
        if not self.nhwc:
            return self.op(kind, x, *inputs, **attrs)
        first = self.op("Transpose", x, perm=[0, 3, 1, 2])
        return self.op("Transpose", self.op(kind, first, *inputs, **attrs), perm=[0, 2, 3, 1])

    def conv(self, x: str, cin: int, cout: int, kernel: int, stride: int = 1, group: int = 1) -> str:
        """Add Conv and BatchNormalization (NHWC: Mul and Add, as TensorFlow's folding leaves them)."""
        shape = (cout, cin // group, kernel, kernel)
        deviation = np.sqrt(2.0 / np.prod(shape[1:]))
        weight = self.constant(self.rng.standard_normal(shape, np.float32) * np.float32(deviation))
        attrs = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "group": group}
        if self.nhwc:
            x = self.spatial("Conv", x, weight, auto_pad="SAME_UPPER", **attrs)
            scale, shift = (self.rng.uniform(0.5, 1.5, cout).astype(np.float32) for _ in range(2))
            return self.op("Add", self.op("Mul", x, self.constant(scale)), self.constant(shift))
        x = self.op("Conv", x, weight, pads=[kernel // 2] * 4, **attrs)
        statistics = [self.rng.uniform(0.5, 1.5, cout).astype(np.float32) for _ in range(4)]
        return self.op("BatchNormalization", x, *(self.constant(s) for s in statistics))

    def classifier(self, x: str, channels: int) -> onnx.ModelProto:
        """Add mean, linear layer and Softmax; return the model."""
        if self.nhwc:
            x = self.op("ReduceMean", x, axes=[1, 2], keepdims=0)
        else:
            x = self.op("Flatten", self.op("GlobalAveragePool", x))
        weight = self.rng.standard_normal((channels, CLASSES), np.float32) * np.float32(channels**-0.5)
        product = self.op("MatMul", x, self.constant(weight))
        x = self.op("Add", product, self.constant(np.zeros(CLASSES, np.float32)))
        x = self.op("Softmax", x, axis=-1)
        shape: list[str | int | None] = ["N", SIZE, SIZE, 3] if self.nhwc else ["N", 3, SIZE, SIZE]
        given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        made = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", CLASSES])
        graph = helper.make_graph(self.nodes, "bench", [given], [made], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def resnet50(nhwc: bool) -> onnx.ModelProto:
    """Return ResNet50 (He et al., CVPR 2016): 25.6 M parameters."""
    net = Writer(nhwc)
    x = net.op("Relu", net.conv("input", 3, 64, 7, 2))
    pads = {"auto_pad": "SAME_UPPER"} if nhwc else {"pads": [1] * 4}
    x = net.spatial("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], **pads)
    channels = 64
    for blocks, width, first_stride in _RESNET50:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            inner = net.op("Relu", net.conv(x, channels, width, 1))
            inner = net.op("Relu", net.conv(inner, width, width, 3, stride))
            inner = net.conv(inner, width, 4 * width, 1)
            skip = net.conv(x, channels, 4 * width, 1, stride) if block == 0 else x
            x, channels = net.op("Relu", net.op("Add", inner, skip)), 4 * width
    return net.classifier(x, channels)


def mobilenetv2(nhwc: bool) -> onnx.ModelProto:
    """Return MobileNetV2 (Sandler et al., CVPR 2018): 3.5 M parameters."""
    net = Writer(nhwc)
    low, high = (net.constant(np.array(v, np.float32)) for v in (0.0, 6.0))

    def relu6(x: str) -> str:
        return net.op("Clip", x, low, high)

    x, channels = relu6(net.conv("input", 3, 32, 3, 2)), 32
    for expansion, width, repeats, first_stride in _MOBILENETV2:
        for block in range(repeats):
            stride = first_stride if block == 0 else 1
            wide = expansion * channels
            inner = relu6(net.conv(x, channels, wide, 1)) if expansion > 1 else x
            inner = relu6(net.conv(inner, wide, wide, 3, stride, group=wide))
            inner = net.conv(inner, wide, width, 1)
            x = net.op("Add", inner, x) if stride == 1 and channels == width else inner
            channels = width
    return net.classifier(relu6(net.conv(x, channels, 1280, 1)), 1280)


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "resnet50-pytorch": lambda: resnet50(False),
    "resnet50-tensorflow": lambda: resnet50(True),
    "mobilenetv2-pytorch": lambda: mobilenetv2(False),
}
