"""The interpreter against onnxruntime, bit for bit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from passes.integers.fold_qdq import FoldQdq
from passes.integers.interpreter import interpret, logits
from passes.integers.read_program import integer_program
from passes.model.graph import from_model
from passes.model.writing import to_model
from passes.number_formats import TARGET
from passes.state import state_of
from tests.passes.equivalence import run_model
from tests.passes.net_builder import NetBuilder


class Quantized(NetBuilder):
    """Q/DQ as `quantize` writes it: every reader has a DequantizeLinear of its own."""

    def snap(self, x: str, scale: float, zero: int = 128) -> tuple[str, list[str]]:
        grid = [self.const(scale), self.const(zero, np.uint8)]
        return self.op("QuantizeLinear", x, *grid), grid

    def read(self, held: tuple[str, list[str]]) -> str:
        return self.op("DequantizeLinear", held[0], *held[1])

    def linear(self, op: str, held: tuple[str, list[str]], step: float, *shape: int, **attrs: object) -> str:
        scale = self.rng.uniform(0.002, 0.02, shape[0])
        weights = self.const(self.rng.integers(0, 256, shape), np.uint8)
        zeros = self.const(np.full(shape[0], 128), np.uint8)
        weight = self.op("DequantizeLinear", weights, self.const(scale), zeros, axis=0)
        steps = self.const(np.float32(step) * scale.astype(np.float32))
        integers = self.const(self.rng.integers(-900, 900, shape[0]), np.int32)
        bias = self.op("DequantizeLinear", integers, steps, axis=0)
        return self.op(op, self.read(held), weight, bias, **attrs)


def network(linear: str = "grouped") -> onnx.ModelProto:
    """Return convolutions (groups, dilations, uneven padding), pools, an addition."""
    net = Quantized((1, 4, 9, 9))
    x = net.snap("x", 0.031, 121)
    raw = net.linear("Conv", x, 0.031, 8, 4, 3, 3, pads=[1, 0, 1, 2], strides=[1, 1])
    a = net.snap(net.op("Relu", raw), 0.19, 0)
    group = {"grouped": 2, "depthwise": 8}[linear]
    summed = net.linear(
        "Conv", a, 0.19, 8, 8 // group, 3, 3, group=group, dilations=[2, 2], pads=[2, 2, 2, 2]
    )
    b = net.snap(summed, 0.37, 131)
    c = net.snap(net.op("Add", net.read(a), net.read(b)), 0.41, 140)
    pooled = net.op("MaxPool", net.read(c), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    d = net.snap(pooled, 0.41, 140)
    e = net.snap(net.op("GlobalAveragePool", net.read(d)), 0.11, 120)
    f = net.snap(net.op("Flatten", net.read(e)), 0.11, 120)
    return net.model(net.linear("Gemm", f, 0.11, 5, 8, transB=1))


@pytest.mark.parametrize("linear", ["grouped", "depthwise"])
def test_all_bits_are_those_of_onnxruntime(linear: str) -> None:
    model = network(linear)
    graph = from_model(model)
    FoldQdq()(graph)
    program = integer_program(graph)
    images = np.random.default_rng(3).normal(0, 2.5, (200, 4, 9, 9)).astype(np.float32)
    tensors = interpret(program, program.quantized(images))
    want = np.concatenate([run_model(to_model(graph), image[None])[0] for image in images])
    np.testing.assert_array_equal(logits(program, tensors)[0], want)
    assert len(np.unique(want)) > 500
    target = interpret(program, program.quantized(images), TARGET)
    worst = max(int(np.abs(target[t] - tensors[t]).max()) for t in tensors if t != program.exits[0].logits)
    assert worst <= 3, "multiplier and shift differ by rounding alone"
    with pytest.raises(ValueError, match="unknown rounding 'other'"):
        interpret(program, images, "other")
    assert not state_of(graph).precisions
