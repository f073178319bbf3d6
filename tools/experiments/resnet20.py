"""The public ResNet20 checkpoint for CIFAR-10 as an ONNX network.

    python -m tools.experiments.resnet20 resnet20_cifar10.th resnet20.onnx

Normalizations are folded into the convolutions. Shortcuts that change the shape (option A: every second
place, channels of zeros around) are written as 1x1 convolutions of stride 2 with ones and zeros: the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Float32 = NDArray[np.float32]
EPSILON = 1e-5
OPSET, IR_VERSION = 17, 8


class _Writer:
    def __init__(self, weights: Mapping[str, Float32]) -> None:
        self._weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: Float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def conv(self, read: str, name: str, weight: Float32, bias: Float32, stride: int) -> str:
        pad, size = weight.shape[2] // 2, weight.shape[2]
        constants = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        node = helper.make_node("Conv", [read, *constants], [name], name)
        attributes = {"kernel_shape": [size, size], "pads": [pad] * 4, "strides": [stride, stride]}
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def folded(self, read: str, conv: str, norm: str, stride: int = 1) -> str:
        """Add a convolution with its normalization in it."""
        gain, shift, mean, variance = (
            self._weights[f"{norm}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
        )
        slope = gain / np.sqrt(variance + EPSILON)
        weight = self._weights[f"{conv}.weight"] * slope[:, None, None, None]
        return self.conv(read, conv, weight, shift - mean * slope, stride)

    def add(self, op: str, read: list[str], name: str) -> str:
        self.nodes.append(helper.make_node(op, read, [name], name))
        return name


def resnet20(weights: Mapping[str, Float32]) -> onnx.ModelProto:
    """Return the network of a state dictionary, [1, 3, 32, 32] to logits [1, 10]."""
    net = _Writer(weights)
    last = net.add("Relu", [net.folded("image", "conv1", "bn1")], "relu1")
    before = 16
    for stage in (1, 2, 3):
        for block in range(3):
            stem = f"layer{stage}.{block}"
            channels = weights[f"{stem}.conv1.weight"].shape[0]
            stride = 1 if channels == before else 2
            inner = net.add(
                "Relu", [net.folded(last, f"{stem}.conv1", f"{stem}.bn1", stride)], f"{stem}.relu1"
            )
            inner = net.folded(inner, f"{stem}.conv2", f"{stem}.bn2")
            if stride > 1:
                first = (channels - before) // 2
                passed = np.zeros((channels, before, 1, 1), np.float32)
                passed[first + np.arange(before), np.arange(before)] = 1
                last = net.conv(last, f"{stem}.shortcut", passed, np.zeros(channels, np.float32), stride)
            last = net.add("Relu", [net.add("Add", [inner, last], f"{stem}.add")], stem)
            before = channels
    last = net.add("Flatten", [net.add("GlobalAveragePool", [last], "pool")], "flatten")
    read = [
        last,
        net.constant("linear.weight", weights["linear.weight"]),
        net.constant("linear.bias", weights["linear.bias"]),
    ]
    net.nodes.append(helper.make_node("Gemm", read, ["logits"], "linear", transB=1))
    graph = helper.make_graph(
        net.nodes,
        "resnet20",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        net.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def read_checkpoint(path: Path) -> dict[str, Float32]:
    """Return the weights of a checkpoint, by name."""
    found = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("module."): values.numpy() for name, values in found.items()}


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    onnx.save(resnet20(read_checkpoint(given.checkpoint)), given.out)


if __name__ == "__main__":
    main()
