"""Small classifiers without feature maps: of vectors, of tokens, and recurrent ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx

from tests.passes.net_builder import NetBuilder

CLASSES = 3


def fully_connected(net: NetBuilder, x: str, inputs: int, outputs: int) -> str:
    """Add a MatMul over the last axis, and its bias."""
    product = net.op("MatMul", x, net.normal(inputs, outputs, scale=inputs**-0.5))
    return net.op("Add", product, net.normal(outputs, scale=0.1))


def normalized(net: NetBuilder, x: str, width: int) -> str:
    """Add a LayerNormalization over the last axis."""
    return net.op("LayerNormalization", x, net.const(np.ones(width)), net.const(np.zeros(width)))


def classified(net: NetBuilder, x: str, width: int) -> onnx.ModelProto:
    """Return the network with a classifier of vectors [1, width]."""
    return net.model(net.op("Gemm", x, net.normal(CLASSES, width), net.normal(CLASSES), transB=1))


def mlp(widths: tuple[int, ...]) -> onnx.ModelProto:
    """Return Gemm and Relu of each width behind the first, which is that of the input."""
    net, x = NetBuilder((1, widths[0])), "x"
    for inputs, outputs in pairwise(widths):
        x = net.op("Relu", net.op("Gemm", x, net.normal(outputs, inputs), net.normal(outputs), transB=1))
    return classified(net, x, widths[-1])


def _attention(net: NetBuilder, x: str, width: int) -> str:
    query, key, value = (fully_connected(net, x, width, width) for _ in range(3))
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 2, 1]))
    return fully_connected(net, net.op("MatMul", net.op("Softmax", scores, axis=-1), value), width, width)


def _tokens(net: NetBuilder, width: int, patch: int) -> tuple[str, int]:
    """Add the patches of an image [1, 1, S, S] as tokens [1, T, width]; returns them and T."""
    places = net.shape[2] // patch * (net.shape[3] // patch)
    weights = net.normal(width, 1, patch, patch, scale=1 / patch)
    maps = net.op("Conv", "x", weights, net.normal(width), strides=[patch, patch])
    flat = net.op("Reshape", maps, net.const([1, width, places], np.int64))
    return net.op("Transpose", flat, perm=[0, 2, 1]), places


def vit(blocks: int = 3, *, token: bool = True, width: int = 16, size: int = 8) -> onnx.ModelProto:
    """Return a transformer on an image [1, 1, size, size], with a class token in front or the mean."""
    net = NetBuilder((1, 1, size, size))
    x, count = _tokens(net, width, 2)
    if token:
        x, count = net.op("Concat", net.normal(1, 1, width), x, axis=1), count + 1
    x = net.op("Add", x, net.normal(1, count, width, scale=0.2))
    for _ in range(blocks):
        x = net.op("Add", x, _attention(net, normalized(net, x, width), width))
        wide = net.op("Gelu", fully_connected(net, normalized(net, x, width), width, 2 * width))
        x = net.op("Add", x, fully_connected(net, wide, 2 * width, width))
    x = normalized(net, x, width)
    if token:
        return classified(net, net.op("Gather", x, net.const(0, np.int64), axis=1), width)
    return classified(net, net.op("ReduceMean", x, net.const([1], np.int64), keepdims=0), width)


def mixer(blocks: int = 3, width: int = 12) -> onnx.ModelProto:
    """Return a network that mixes tokens and features in turn, on an image [1, 1, 8, 8]."""
    net = NetBuilder((1, 1, 8, 8))
    x, count = _tokens(net, width, 2)
    for _ in range(blocks):
        turned = net.op("Transpose", normalized(net, x, width), perm=[0, 2, 1])
        mixed = net.op("Gelu", fully_connected(net, turned, count, count))
        x = net.op("Add", x, net.op("Transpose", fully_connected(net, mixed, count, count), perm=[0, 2, 1]))
        x = net.op("Add", x, fully_connected(net, normalized(net, x, width), width, width))
    return classified(net, net.op("ReduceMean", x, net.const([1], np.int64), keepdims=0), width)


def channels_last(blocks: int = 3, width: int = 8) -> onnx.ModelProto:
    """Return residual blocks on [1, 4, 4, width], as window transformers keep their maps."""
    net = NetBuilder((1, 1, 8, 8))
    x = net.to_last(net.conv("x", 1, width, strides=[2, 2]))
    for _ in range(blocks):
        x = net.op("Add", x, fully_connected(net, normalized(net, x, width), width, width))
    x = net.op("ReduceMean", normalized(net, x, width), net.const([1, 2], np.int64), keepdims=0)
    return classified(net, x, width)


def recurrent(
    op: str, layers: int = 3, *, steps: int = 6, inputs: int = 5, hidden: int = 8, reads: str = "last"
) -> onnx.ModelProto:
    """Return layers of LSTM, GRU or RNN on [1, steps, inputs].

    The classifier reads the ``last`` output, the final ``state``, the last of all ``states``, or the
    ``mean`` of all outputs.
    """
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    net = NetBuilder((1, steps, inputs))
    x, states = net.op("Transpose", "x", perm=[1, 0, 2]), []
    for _ in range(layers):
        weights = [net.normal(1, gates * hidden, size, scale=0.3) for size in (inputs, hidden)]
        y = net.op(op, x, *weights, hidden_size=hidden)
        states.append(f"{y}_state")
        net.nodes[-1].output.append(states[-1])
        x, inputs = net.op("Squeeze", y, net.const([1], np.int64)), hidden
    if reads == "state":
        return classified(net, net.op("Squeeze", states[-1], net.const([0], np.int64)), hidden)
    if reads == "states":
        joined = net.op("Concat", *states, axis=0)
        return classified(net, net.op("Gather", joined, net.const(layers - 1, np.int64), axis=0), hidden)
    first = net.op("Transpose", x, perm=[1, 0, 2])
    if reads == "last":
        return classified(net, net.op("Gather", first, net.const(-1, np.int64), axis=1), hidden)
    return classified(net, net.op("ReduceMean", first, net.const([1], np.int64), keepdims=0), hidden)
