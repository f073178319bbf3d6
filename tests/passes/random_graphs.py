"""A hypothesis strategy of small, valid convolutional classifiers, in the words of many exporters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.passes.net_builder import NetBuilder

CLASSES = 3


@dataclass
class Feature:
    """A feature map under construction: tensor name, channels and spatial size."""

    name: str
    channels: int
    size: int


def _conv(net: NetBuilder, x: Feature, kind: str) -> Feature:
    cout = x.channels if kind in ("depthwise", "same") else x.channels + 2
    if kind == "depthwise":
        return Feature(net.conv(x.name, x.channels, cout, group=x.channels, bias=False), cout, x.size)
    if kind == "pointwise":
        return Feature(net.conv(x.name, x.channels, cout, kernel=1), cout, x.size)
    if kind == "strided" and x.size > 2:
        made = net.conv(x.name, x.channels, cout, strides=[2, 2], auto_pad="SAME_UPPER")
        return Feature(made, cout, -(-x.size // 2))
    if kind == "padded":
        pads = net.const([0, 0, 1, 0, 0, 0, 1, 1], np.int64)
        padded = net.op("Pad", x.name, pads)
        made = net.conv(padded, x.channels, cout, pads=[0, 1, 0, 0])
        return Feature(made, cout, x.size)
    return Feature(net.conv(x.name, x.channels, cout), cout, x.size)


def _activation(net: NetBuilder, x: Feature, kind: str) -> Feature:
    zero, six, big = net.const(0.0), net.const(6.0), net.const(np.finfo(np.float32).max)
    name = {
        "relu": lambda: net.op("Relu", x.name),
        "relu6": lambda: net.op("Clip", x.name, zero, six),
        "minmax": lambda: net.op("Min", net.op("Max", x.name, zero), net.const([0.5])),
        "open": lambda: net.op("Clip", x.name, zero, big),
        "relu-min": lambda: net.op("Min", six, net.op("Relu", x.name)),
        "leaky": lambda: net.op("LeakyRelu", x.name, alpha=0.1),
        "swish": lambda: net.op("Mul", x.name, net.op("Sigmoid", x.name)),
    }[kind]()
    return Feature(name, x.channels, x.size)


def _noise(net: NetBuilder, x: Feature, kind: str) -> Feature:
    shape = [1, x.channels, x.size, x.size]
    name = {
        "identity": lambda: net.op("Identity", x.name),
        "dropout": lambda: net.op("Dropout", x.name),
        "cast": lambda: net.op("Cast", x.name, to=onnx.TensorProto.FLOAT),
        "reshape": lambda: net.op(
            "Reshape", net.op("Reshape", x.name, net.const([1, -1], np.int64)), net.const(shape, np.int64)
        ),
        "slice": lambda: net.op("Slice", x.name, *(net.const([v], np.int64) for v in (0, 2**31, 2))),
        "concat": lambda: net.op("Concat", x.name, axis=1),
        "unsqueeze": lambda: net.op(
            "Squeeze", net.op("Unsqueeze", x.name, net.const([2], np.int64)), net.const([2], np.int64)
        ),
    }[kind]()
    return Feature(name, x.channels, x.size)


def _affine(net: NetBuilder, x: Feature, kind: str) -> Feature:
    per_channel = net.const(net.rng.uniform(0.5, 1.5, (x.channels, 1, 1)))
    if kind == "batchnorm":
        return Feature(net.batchnorm(x.name, x.channels), x.channels, x.size)
    if kind == "sub-from":
        return Feature(net.op("Sub", per_channel, x.name), x.channels, x.size)
    return Feature(net.op(kind, x.name, per_channel), x.channels, x.size)


def _residual(net: NetBuilder, x: Feature, kind: str) -> Feature:
    inner = _conv(net, x, "same")
    if kind == "plain":
        return Feature(net.op("Add", inner.name, x.name), x.channels, x.size)
    joined = net.op("Add", net.to_last(inner.name), net.to_last(x.name))
    return Feature(net.to_first(net.op("Relu", joined)), x.channels, x.size)


def _nhwc(net: NetBuilder, x: Feature, kind: str) -> Feature:
    last, channels, size = net.to_last(x.name), x.channels, x.size
    if kind == "elementwise":
        last = net.op("Add", net.op("Relu", last), net.normal(channels, scale=0.1))
    elif kind == "pad":
        last = net.op("Pad", last, net.const([0, 1, 0, 0, 0, 0, 1, 0], np.int64))
        size += 1
    elif kind == "concat":
        last = net.op("Concat", last, net.op("Tanh", last), axis=3)
        channels *= 2
    elif kind == "gate":
        mean = net.op("ReduceMean", last, net.const([1, 2], np.int64), keepdims=1)
        gate = net.to_last(net.conv(net.to_first(mean), channels, channels, kernel=1))
        last = net.op("Mul", last, net.op("Sigmoid", gate))
    return Feature(net.to_first(last), channels, size)


def _pool(net: NetBuilder, x: Feature, kind: str) -> Feature:
    if x.size < 2:
        return x
    size = -(-x.size // 2)
    return Feature(
        net.op(kind, x.name, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"), x.channels, size
    )


_BLOCKS: dict[str, tuple[Callable[[NetBuilder, Feature, str], Feature], list[str]]] = {
    "conv": (_conv, ["same", "wider", "depthwise", "pointwise", "strided", "padded"]),
    "activation": (_activation, ["relu", "relu6", "minmax", "open", "relu-min", "leaky", "swish"]),
    "noise": (_noise, ["identity", "dropout", "cast", "reshape", "slice", "concat", "unsqueeze"]),
    "affine": (_affine, ["batchnorm", "Mul", "Add", "Sub", "Div", "sub-from"]),
    "residual": (_residual, ["plain", "nhwc"]),
    "nhwc": (_nhwc, ["elementwise", "pad", "concat", "gate"]),
    "pool": (_pool, ["MaxPool", "AveragePool"]),
}
BLOCKS = [(family, kind) for family, (_, kinds) in _BLOCKS.items() for kind in kinds]
POOLINGS = ["global", "mean", "mean-keep", "average", "nhwc-mean", "none", "nhwc-none"]
FLATTENS = ["reshape", "reshape-batch", "squeeze", "flatten"]
LINEARS = ["gemm", "gemm-scaled", "matmul", "dropout-gemm"]
ENDINGS = ["logits", "softmax", "logsoftmax", "softmax-identity"]


def _flat(net: NetBuilder, x: Feature, pooling: str, flatten: str) -> tuple[str, int]:
    axes = {"mean": [2, 3], "mean-keep": [-1, -2], "nhwc-mean": [1, 2]}.get(pooling)
    name = net.to_last(x.name) if pooling.startswith("nhwc") else x.name
    if axes is not None:
        keep = int(pooling == "mean-keep")
        name = net.op("ReduceMean", name, net.const(axes, np.int64), keepdims=keep)
        if not keep:
            return name, x.channels
    elif pooling == "global":
        name = net.op("GlobalAveragePool", name)
    elif pooling == "average":
        name = net.to_last(net.op("AveragePool", name, kernel_shape=[x.size] * 2, strides=[x.size] * 2))
        flatten = "flatten" if flatten == "squeeze" else flatten
    features = x.channels * (x.size**2 if "none" in pooling else 1)
    if flatten == "squeeze" and "none" not in pooling:
        return net.op("Squeeze", name, net.const([2, 3], np.int64)), features
    if flatten in ("reshape", "reshape-batch"):
        return net.op(
            "Reshape", name, net.const([1 if flatten == "reshape" else -1, features], np.int64)
        ), features
    return net.op("Flatten", name), features


def _linear(net: NetBuilder, name: str, features: int, kind: str) -> str:
    if kind == "matmul":
        product = net.op("MatMul", name, net.normal(features, CLASSES))
        return net.op("Add", product, net.normal(1, CLASSES))
    if kind == "gemm-scaled":
        weights, bias = net.normal(features, CLASSES), net.normal(1, CLASSES)
        return net.op("Gemm", name, weights, bias, alpha=0.5, beta=2.0)
    if kind == "dropout-gemm":
        name = net.op("Dropout", name)
    return net.op("Gemm", name, net.normal(CLASSES, features), net.normal(CLASSES), transB=1)


def build(
    blocks: list[tuple[str, str]], *, pooling: str, flatten: str, linear: str, ending: str, seed: int = 0
) -> onnx.ModelProto:
    """Return the classifier with these parts."""
    net = NetBuilder((1, 2, 6, 6), seed)
    x = _conv(net, Feature("x", 2, 6), "wider")
    for family, kind in blocks:
        x = _BLOCKS[family][0](net, x, kind)
    out = _linear(net, *_flat(net, x, pooling, flatten), linear)
    if ending.startswith("softmax"):
        out = net.op("Softmax", out, axis=-1)
    elif ending == "logsoftmax":
        out = net.op("LogSoftmax", out, axis=1)
    if ending == "softmax-identity":
        out = net.op("Identity", out)
    return net.model(out)


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a network: up to six blocks behind a first Conv, a head, maybe a Softmax."""
    return build(
        draw(st.lists(st.sampled_from(BLOCKS), max_size=6)),
        pooling=draw(st.sampled_from(POOLINGS)),
        flatten=draw(st.sampled_from(FLATTENS)),
        linear=draw(st.sampled_from(LINEARS)),
        ending=draw(st.sampled_from(ENDINGS)),
        seed=draw(st.integers(0, 9)),
    )
