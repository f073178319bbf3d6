"""Two small networks that several tests use."""

from __future__ import annotations

import onnx

from tests.passes.net_builder import NetBuilder

EARLY, FINAL = "n3_Gemm_out", "n8_Gemm_out"


def chain(convs: int = 3, classes: int = 2) -> onnx.ModelProto:
    """Return ``convs`` times Conv and Relu (two of stride 2), then the classifier; inner Relus are mounts."""
    net = NetBuilder((1, 2, 16, 16))
    x, channels = "x", 2
    for index in range(convs):
        x = net.op("Relu", net.conv(x, channels, 4, strides=[2, 2] if index < 2 else [1, 1]))
        channels = 4
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(net.op("Gemm", pooled, net.normal(classes, 4), net.normal(classes), transB=1))


def two_exits() -> onnx.ModelProto:
    """Return a network with two classifiers, the deeper one first: EARLY and FINAL."""
    net = NetBuilder((1, 2, 4, 4))
    stem = net.op("Relu", net.conv("x", 2, 4))
    early = net.op("Gemm", net.op("Flatten", stem), net.normal(3, 64), transB=1)
    deep = net.op("Relu", net.conv(stem, 4, 4))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", deep))
    final = net.op("Gemm", pooled, net.normal(3, 4), transB=1)
    assert (early, final) == (EARLY, FINAL)
    return net.model(final, early)
