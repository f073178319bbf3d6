"""Small networks with exits on integer grids, for the tests of training for integers."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from eecompile.quantization.calibration import calibrate
from eecompile.training.contract import TrainingImages
from eecompile.training.torch_graph import learnt_constants
from passes.exits.insert_exits import InsertExits
from passes.integers.schemes import scheme
from passes.integers.split_channels import SplitChannels, why_whole
from passes.model.graph import from_model
from passes.operator_sets import QUANTIZED_LINEAR
from passes.registry import parse_pipeline
from passes.state import copy_graph, state_of
from tests.eecompile.training.small import CLASSES, images, network
from tests.passes.net_builder import NetBuilder


def skip() -> gs.Graph:
    """Return depthwise and pointwise layers in a block with a skip, no bias in it, and a head behind it."""
    net = NetBuilder((1, 2, 16, 16), seed=3)
    x = net.op("Relu", net.conv("x", 2, 8, strides=[2, 2]))
    y = net.op("Relu", net.conv(x, 8, 8, group=8, bias=False))
    z = net.op("Relu", net.op("Add", x, net.conv(y, 8, 8, kernel=1)))
    mount = net.op("MaxPool", z, kernel_shape=[2, 2], strides=[2, 2])
    last = net.op("Relu", net.conv(mount, 8, 8))
    found = net.op("Flatten", net.op("GlobalAveragePool", last))
    graph = from_model(net.model(net.op("Gemm", found, net.normal(CLASSES, 8), transB=1)))
    parse_pipeline("canonicalize")(graph)
    InsertExits((z,), "conv")(graph)
    return graph


def shared() -> gs.Graph:
    """Return a network of which two layers read one weight and one bias, on inputs on different grids."""
    net = NetBuilder((1, 2, 16, 16), seed=5)
    mount = x = net.op("Relu", net.conv("x", 2, 4, strides=[2, 2]))
    weight, bias = net.normal(4, 4, 3, 3, scale=0.3), net.normal(4)
    for _ in range(2):
        x = net.op("Relu", net.op("Conv", x, weight, bias, pads=[1] * 4))
    found = net.op("Flatten", net.op("MaxPool", x, kernel_shape=[8, 8]))
    graph = from_model(
        net.model(net.op("Gemm", found, net.normal(CLASSES, 4), net.normal(CLASSES), transB=1))
    )
    parse_pipeline("canonicalize")(graph)
    InsertExits((mount,), "linear")(graph)
    return graph


def parts() -> gs.Graph:
    """Return the one with a skip, its last convolution in parts."""
    graph = skip()
    last = next(node for node in reversed(graph.nodes) if node.op == "Conv" and not why_whole(graph, node))
    SplitChannels((f"{last.name}/{last.outputs[0].shape[1]}:3",))(graph)
    return graph


NETWORKS = {
    "parts": parts,
    "chain": lambda: network("conv"),
    "reuse": lambda: network("linear,linear{reuse=logits}"),
    "skip": skip,
    "shared": shared,
}


def calibrated(graph: gs.Graph, name: str, data: TrainingImages | None = None) -> gs.Graph:
    """Return a copy on the grids of a scheme, as calibration chooses them."""
    found, numbers = copy_graph(graph), scheme(name)
    state_of(found).precisions = {
        node.name: numbers.precision(weighted=node.op in QUANTIZED_LINEAR) for node in found.nodes
    }
    calibrate(found, (data or images()).train.x)
    return found


def shaken(graph: gs.Graph) -> gs.Graph:
    """Return a copy whose weights and biases lie beside their grids, some far outside."""
    found, rng = copy_graph(graph), np.random.default_rng(0)
    for name in learnt_constants(found):
        tensor = found.tensors()[name]
        values = tensor.values * rng.uniform(0.6, 1.7, tensor.values.shape)
        tensor.values = values.astype(np.float32)
    return found
