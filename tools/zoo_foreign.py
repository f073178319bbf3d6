"""Networks in the hand of others: verification benchmarks, Keras, vendors' zoos, language, recurrent ones."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.passes.net_builder import NetBuilder
from tools.zoo_networks import NO_DECONVOLUTION, OK, Network


def acas_xu() -> onnx.ModelProto:
    """Fully connected layers on five numbers that the network normalizes itself, as ACAS Xu has them."""
    net = NetBuilder((1, 1, 1, 5))
    x = net.op(
        "Div",
        net.op("Sub", "x", net.normal(1, 1, 1, 5)),
        net.const([[[[60261.0, 6.28, 6.28, 1100.0, 1200.0]]]]),
    )
    x, width = net.op("Flatten", x), 5
    for _ in range(3):
        x = net.op("Relu", net.op("Add", net.op("MatMul", x, net.normal(width, 16)), net.normal(16)))
        width = 16
    return net.model(net.op("Add", net.op("MatMul", x, net.normal(16, 5)), net.normal(5)))


def weights_in_front() -> onnx.ModelProto:
    """Columns multiplied by weights in front of them, as the networks for MNIST of VNN-COMP are written."""
    net = NetBuilder((1, 64, 1))
    x, size = net.op("Squeeze", "x", net.const([0], np.int64)), 64
    for width in (32, 16, 10):
        x = net.op("Add", net.op("MatMul", net.normal(width, size), x), net.normal(width, 1))
        x, size = x if width == 10 else net.op("Relu", x), width
    return net.model(net.op("Reshape", x, net.const([1, 10], np.int64)))


def keras_keywords() -> onnx.ModelProto:
    """Depthwise separable convolutions on [N, H, W, C] with SAME padding, as tf2onnx writes DS-CNN."""
    net = NetBuilder((1, 25, 10, 1))
    x = net.op("Reshape", "x", net.const([1, 1, 25, 10], np.int64))
    x = net.conv(x, 1, 16, auto_pad="SAME_UPPER", strides=[2, 2])
    for _ in range(2):
        x = net.op(
            "Relu", net.batchnorm(net.conv(net.op("Relu", x), 16, 16, group=16, auto_pad="SAME_UPPER"), 16)
        )
        x = net.op("Relu", net.batchnorm(net.conv(x, 16, 16, 1), 16))
    mean = net.op("AveragePool", x, kernel_shape=[13, 5], strides=[13, 5])
    flat = net.op("Reshape", net.to_last(mean), net.const([-1, 16], np.int64))
    return net.model(
        net.op("Softmax", net.op("Add", net.op("MatMul", flat, net.normal(16, 12)), net.normal(12)), axis=-1)
    )


def anomaly() -> onnx.ModelProto:
    """The autoencoder of MLPerf Tiny: its output is as large as its input."""
    net = NetBuilder((1, 64))
    x, size = "x", 64
    for width in (32, 32, 8, 32, 32):
        x = net.op(
            "Relu", net.batchnorm(net.op("Gemm", x, net.normal(size, width), net.normal(width)), width)
        )
        size = width
    return net.model(net.op("Gemm", x, net.normal(size, 64), net.normal(64)))


def _silu(net: NetBuilder, x: str) -> str:
    return net.op("Mul", x, net.op("Sigmoid", x))


def yolo() -> onnx.ModelProto:
    """A detector on two scales: SiLU, pooling pyramid, upsampling, boxes of all scales in one output."""
    net = NetBuilder((1, 3, 32, 32))
    fine = _silu(net, net.conv("x", 3, 8, strides=[2, 2]))
    one, two = (f"part_{index}" for index in range(2))
    net.nodes.append(helper.make_node("Split", [fine], [one, two], name="split", axis=1, num_outputs=2))
    fine = net.op("Concat", one, _silu(net, net.conv(two, 4, 4)), axis=1)
    coarse = _silu(net, net.conv(fine, 8, 8, strides=[2, 2]))
    pools = [coarse]
    for _ in range(3):
        pools.append(net.op("MaxPool", pools[-1], kernel_shape=[5, 5], pads=[2, 2, 2, 2]))
    coarse = _silu(net, net.conv(net.op("Concat", *pools, axis=1), 32, 8, 1))
    up = net.op("Resize", coarse, "", net.const([1.0, 1.0, 2.0, 2.0]), mode="nearest")
    fine = _silu(net, net.conv(net.op("Concat", up, fine, axis=1), 16, 8))
    found = []
    for maps, places in ((fine, 256), (coarse, 64)):
        boxes = net.op("Reshape", net.conv(maps, 8, 6, 1), net.const([1, 6, places], np.int64))
        found.append(boxes)
    joined = net.op("Concat", *found, axis=2)
    names = [f"found_{index}" for index in range(2)]
    sizes = net.const([4, 2], np.int64)
    net.nodes.append(helper.make_node("Split", [joined, sizes], names, name="apart", axis=1))
    boxes = net.op("Mul", net.op("Add", names[0], net.normal(1, 4, 320)), net.const(8.0))
    return net.model(net.op("Concat", boxes, net.op("Sigmoid", names[1]), axis=1))


def u_net() -> onnx.ModelProto:
    """Down and up again by a transposed convolution, joined with what was there before."""
    net = NetBuilder((1, 1, 16, 16))
    first = net.op("Relu", net.batchnorm(net.conv("x", 1, 8), 8))
    down = net.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    deep = net.op("Relu", net.conv(down, 8, 16))
    up = net.op("ConvTranspose", deep, net.normal(16, 8, 2, 2), net.normal(8), strides=[2, 2])
    joined = net.op("Relu", net.conv(net.op("Concat", first, up, axis=1), 16, 8))
    return net.model(net.op("Sigmoid", net.conv(joined, 8, 1, 1)))


def super_resolution(whole: bool) -> onnx.ModelProto:
    """Channels that become rows and columns: by DepthToSpace, or as older exporters write it."""
    net = NetBuilder((1, 1, 12, 12))
    x = net.op("Relu", net.conv("x", 1, 8, 5))
    x = net.conv(x, 8, 4)
    if whole:
        return net.model(net.op("DepthToSpace", x, blocksize=2, mode="CRD"))
    x = net.op("Reshape", x, net.const([-1, 1, 2, 2, 12, 12], np.int64))
    x = net.op("Transpose", x, perm=[0, 1, 4, 2, 5, 3])
    return net.model(net.op("Reshape", x, net.const([-1, 1, 24, 24], np.int64)))


def _linear(net: NetBuilder, x: str, inputs: int, outputs: int) -> str:
    product = net.op("MatMul", x, net.normal(inputs, outputs, scale=inputs**-0.5))
    return net.op("Add", product, net.normal(outputs, scale=0.1))


def _norm(net: NetBuilder, x: str, width: int) -> str:
    """Add a LayerNormalization, written out as before it was an operator."""
    mean = net.op("ReduceMean", x, net.const([-1], np.int64))
    centered = net.op("Sub", x, mean)
    square = net.op("ReduceMean", net.op("Pow", centered, net.const(2.0)), net.const([-1], np.int64))
    deviation = net.op("Sqrt", net.op("Add", square, net.const(1e-5)))
    scaled = net.op("Mul", net.op("Div", centered, deviation), net.const(np.ones(width)))
    return net.op("Add", scaled, net.const(np.zeros(width)))


def _attention(net: NetBuilder, x: str, tokens: int, width: int, mask: str = "") -> str:
    heads = net.const([1, tokens, 2, width // 2], np.int64)
    query, key, value = (net.op("Reshape", _linear(net, x, width, width), heads) for _ in range(3))
    query, value = (net.op("Transpose", t, perm=[0, 2, 1, 3]) for t in (query, value))
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 2, 3, 1]))
    scores = net.op("Div", scores, net.const(math.sqrt(width // 2)))
    scores = net.op("Add", scores, mask) if mask else scores
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    merged = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    return _linear(net, net.op("Reshape", merged, net.const([1, tokens, width], np.int64)), width, width)


def _gelu(net: NetBuilder, x: str) -> str:
    root = net.op("Erf", net.op("Div", x, net.const(math.sqrt(2))))
    return net.op("Mul", net.op("Mul", x, net.op("Add", root, net.const(1.0))), net.const(0.5))


def _block(net: NetBuilder, x: str, tokens: int, width: int, mask: str = "") -> str:
    x = net.op("Add", x, _attention(net, _norm(net, x, width), tokens, width, mask))
    hidden = _gelu(net, _linear(net, _norm(net, x, width), width, 2 * width))
    return net.op("Add", x, _linear(net, hidden, 2 * width, width))


def bert(masked: bool) -> onnx.ModelProto:
    """Embeddings of whole numbers, blocks of attention with a mask or without, a pooled first token."""
    net = NetBuilder((1, 8))
    words = net.op("Gather", net.normal(50, 16), "x", axis=0)
    places = net.op("Gather", net.normal(8, 16), net.const(np.arange(8)[None], np.int64), axis=0)
    x, mask = net.op("Add", words, places), ""
    if masked:
        seen = net.op("Cast", net.op("Unsqueeze", "mask", net.const([1, 2], np.int64)), to=TensorProto.FLOAT)
        mask = net.op("Mul", net.op("Sub", net.const(1.0), seen), net.const(-10000.0))
    for _ in range(2):
        x = _block(net, x, 8, 16, mask)
    first = net.op("Gather", _norm(net, x, 16), net.const(0, np.int64), axis=1)
    pooled = net.op("Tanh", net.op("Gemm", first, net.normal(16, 16), net.normal(16), transB=1))
    logits = net.op("Gemm", pooled, net.normal(3, 16), net.normal(3), transB=1)
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, (1, 8)) for name in ("x", "mask")]
    made = helper.make_tensor_value_info(logits, TensorProto.FLOAT, (1, 3))
    graph = helper.make_graph(net.nodes, "bert", given[: 1 + masked], [made], net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def vit() -> onnx.ModelProto:
    """Patches of an image behind a class token that is repeated for the batch, two blocks, its logits."""
    net = NetBuilder((1, 3, 16, 16))
    maps = net.op("Conv", "x", net.normal(16, 3, 4, 4, scale=0.1), net.normal(16), strides=[4, 4])
    x = net.op("Transpose", net.op("Reshape", maps, net.const([1, 16, 16], np.int64)), perm=[0, 2, 1])
    token = net.op("Expand", net.normal(1, 1, 16), net.const([1, 1, 16], np.int64))
    x = net.op("Add", net.op("Concat", token, x, axis=1), net.normal(1, 17, 16))
    for _ in range(2):
        x = _block(net, x, 17, 16)
    first = net.op("Gather", _norm(net, x, 16), net.const(0, np.int64), axis=1)
    return net.model(net.op("Gemm", first, net.normal(4, 16), net.normal(4), transB=1))


def einsum_attention() -> onnx.ModelProto:
    """Attention whose products are Einsum, as networks out of JAX and timm have them."""
    net = NetBuilder((1, 8, 16))
    heads = net.const([1, 8, 2, 8], np.int64)
    query, key, value = (net.op("Reshape", _linear(net, "x", 16, 16), heads) for _ in range(3))
    scores = net.op("Einsum", query, key, equation="bqhd,bkhd->bhqk")
    mixed = net.op("Einsum", net.op("Softmax", scores, axis=-1), value, equation="bhqk,bkhd->bqhd")
    joined = net.op("Einsum", mixed, net.normal(2, 8, 16), equation="bqhd,hdo->bqo")
    mean = net.op("ReduceMean", joined, net.const([1], np.int64), keepdims=0)
    return net.model(net.op("Gemm", mean, net.normal(4, 16), transB=1))


def no_batch() -> onnx.ModelProto:
    """Activations without a batch axis, which each convolution is given and loses again."""
    net = NetBuilder((3, 16, 16))
    front = net.const([0], np.int64)
    x, width = "x", 3
    for _ in range(2):
        x = net.op("Squeeze", net.conv(net.op("Unsqueeze", x, front), width, 8), front)
        x, width = net.op("Relu", x), 8
    mean = net.op("ReduceMean", x, net.const([1, 2], np.int64), keepdims=0)
    return net.model(
        net.op("Softmax", net.op("Add", net.op("MatMul", mean, net.normal(8, 4)), net.normal(4)), axis=-1)
    )


def early_features() -> onnx.ModelProto:
    """An early exit whose features the last classifier reads too, as T-RecX has it."""
    net = NetBuilder((1, 3, 16, 16))
    shared = net.op("Relu", net.conv("x", 3, 8))
    early = net.op("Relu", net.conv(shared, 8, 8, 1))
    early = net.op(
        "Flatten", net.op("GlobalAveragePool", net.op("MaxPool", early, kernel_shape=[2, 2], strides=[2, 2]))
    )
    deep = net.op("Relu", net.conv(net.op("Relu", net.conv(shared, 8, 16, strides=[2, 2])), 16, 16))
    both = net.op("Concat", net.op("Flatten", net.op("GlobalAveragePool", deep)), early, axis=1)
    first = net.op("Gemm", early, net.normal(4, 8), net.normal(4), transB=1)
    return net.model(first, net.op("Gemm", both, net.normal(4, 24), net.normal(4), transB=1))


ROWS = {"cost diana": "The product has one row of inputs"}
NO_IMAGES = {"run": "not a classifier"}
FOREIGN: tuple[Network, ...] = (
    Network("acas_xu", acas_xu, OK),
    Network("weights_in_front", weights_in_front, OK),
    Network("keras_keywords", keras_keywords, OK),
    Network("anomaly", anomaly, OK),
    Network("yolo", yolo, OK | NO_IMAGES),
    Network("u_net", u_net, OK | NO_DECONVOLUTION | NO_IMAGES),
    Network("super_resolution", partial(super_resolution, True), OK | NO_IMAGES),
    Network("pixel_shuffle", partial(super_resolution, False), OK | NO_IMAGES),
    Network("bert", partial(bert, False), OK | ROWS | {"run": "it takes numbers of words"}),
    Network("bert_masked", partial(bert, True), OK | ROWS | {"run": "it has 2 inputs (x, mask)"}),
    Network("vit", vit, OK | {"cost diana": "Kernels are 1, 3, 5 or 7 along each axis; Strides are 1 or 2"}),
    Network("einsum_attention", einsum_attention, OK | ROWS),
    Network("no_batch", no_batch, OK | {"run": "ok"}),
    Network("early_features", early_features, OK | {"run": "ok"}),
)
"""What `run` says of them stands here where the network alone decides it."""
