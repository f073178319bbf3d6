"""How long post-training quantization takes, beside two runs of the float network over the same images.

    python -m tools.bench.bench_post_training [--networks resnet8 mobilenetv2] [--images 512]
    python -m tools.bench.bench_post_training --calibrations least-squares minmax percentile entropy

Networks have the shapes of MLPerf Tiny's ResNet8 (3 x 32 x 32) and of MobileNetV2 (Sandler et al. 2018,
3 x 224 x 224) with random weights; images are random. Channels around depthwise layers are equalized first,
which calibrates MobileNetV2 twice more, on a quarter of the images. Calibration runs a network twice, for
ranges and for counts: that is the least it can take. Bounds: 20 s for ResNet8 and 90 s for MobileNetV2.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from eecompile.quantization.assignment import assign_precisions
from eecompile.quantization.calibration import calibrate
from eecompile.quantization.calibration_names import CALIBRATIONS, LEAST_SQUARES
from eecompile.quantization.equalization import equalize
from eecompile.runtime.sessions import Evaluator
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.registry import parse_pipeline
from passes.state import copy_graph
from targets.contract.registry import load_target

BOUNDS_S = {"resnet8": 20.0, "mobilenetv2": 90.0}
# Expansion, output channels, repeats, stride of the first.
_BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class RandomNetwork:
    """Writes a network, with weights that keep values of one size from layer to layer."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initializer."""
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return its output."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def conv(self, x: str, cin: int, cout: int, kernel: int, stride: int = 1, group: int = 1) -> str:
        """Append a convolution with bias."""
        depth = cin // group * kernel**2
        weight = self.constant(self._rng.normal(0, (2 / depth) ** 0.5, (cout, cin // group, kernel, kernel)))
        bias = self.constant(self._rng.normal(0, 0.1, cout))
        pads = [kernel // 2] * 4
        return self.op("Conv", x, weight, bias, pads=pads, strides=[stride] * 2, group=group)

    def clipped(self, x: str) -> str:
        """Append a Relu6."""
        return self.op("Clip", x, self.constant(np.array(0)), self.constant(np.array(6)))

    def mobilenetv2(self) -> onnx.ModelProto:
        """Return MobileNetV2 at width 1."""
        x, cin = self.clipped(self.conv("x", 3, 32, 3, 2)), 32
        for expansion, cout, repeats, first in _BLOCKS:
            for number in range(repeats):
                stride, wide = (first if number == 0 else 1), cin * expansion
                inner = self.clipped(self.conv(x, cin, wide, 1)) if expansion > 1 else x
                inner = self.clipped(self.conv(inner, wide, wide, 3, stride, wide))
                inner = self.conv(inner, wide, cout, 1)
                x = self.op("Add", x, inner) if stride == 1 and cin == cout else inner
                cin = cout
        return self._model(self.clipped(self.conv(x, cin, 1280, 1)), 1280, 1000, 224)

    def resnet8(self) -> onnx.ModelProto:
        """Return ResNet8 of MLPerf Tiny."""
        x, cin = self.op("Relu", self.conv("x", 3, 16, 3)), 16
        for cout, stride in ((16, 1), (32, 2), (64, 2)):
            inner = self.op("Relu", self.conv(x, cin, cout, 3, stride))
            inner = self.conv(inner, cout, cout, 3)
            way = x if stride == 1 else self.conv(x, cin, cout, 1, stride)
            x, cin = self.op("Relu", self.op("Add", inner, way)), cout
        return self._model(x, 64, 10, 32)

    def _model(self, x: str, channels: int, classes: int, size: int) -> onnx.ModelProto:
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        weight = self.constant(self._rng.normal(0, channels**-0.5, (classes, channels)))
        logits = self.op("Gemm", flat, weight, transB=1)
        entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])
        output = helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, classes])
        graph = helper.make_graph(self._nodes, "network", [entry], [output], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


NETWORKS = {"resnet8": RandomNetwork.resnet8, "mobilenetv2": RandomNetwork.mobilenetv2}


def measure(name: str, count: int, calibration: str, target: str) -> None:
    """Print what calibration and rounding of one network take."""
    graph = from_model(NETWORKS[name](RandomNetwork()))
    parse_pipeline("canonicalize,fold-batchnorm")(graph)
    shape = [int(d) for d in graph.inputs[0].shape[1:]]
    images = np.random.default_rng(1).normal(0, 1, (count, *shape)).astype(np.float32)
    evaluator = Evaluator.of(lambda batch: to_model(graph, batch))
    start, cpu = time.perf_counter(), time.process_time()
    evaluator.run(images.__getitem__, count, [graph.outputs[0].name])
    peer, peer_cpu = 2 * (time.perf_counter() - start), 2 * (time.process_time() - cpu)
    made = copy_graph(graph)
    assign_precisions(made, load_target(target))
    start, cpu = time.perf_counter(), time.process_time()
    equalize(made, images, calibration)
    equalized_cpu = time.process_time() - cpu
    calibrate(made, images, calibration)
    took, took_cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{name:<13}{calibration:<15}{count:>7}{took:>9.1f}{took_cpu:>9.1f}{equalized_cpu:>10.1f}{peer:>10.1f}{peer_cpu:>9.1f}"
        f"{took_cpu / peer_cpu:>8.1f}{BOUNDS_S[name]:>8.0f}",
        flush=True,
    )


def main() -> None:
    """Measure the networks that were named."""
    parser = argparse.ArgumentParser(description="Time post-training quantization.")
    parser.add_argument("--networks", nargs="+", default=list(BOUNDS_S), choices=list(BOUNDS_S))
    parser.add_argument("--calibrations", nargs="+", default=[LEAST_SQUARES], choices=CALIBRATIONS)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--target", default="gap9")
    asked = parser.parse_args()
    print(
        f"{'network':<13}{'calibration':<15}{'images':>7}{'s':>9}{'cpu s':>9}{'equalized':>10}"
        f"{'two runs':>10}{'cpu s':>9}{'ratio':>8}{'bound':>8}"
    )
    for name in asked.networks:
        for calibration in asked.calibrations:
            measure(name, asked.images, calibration, asked.target)


if __name__ == "__main__":
    main()
