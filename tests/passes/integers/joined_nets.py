"""A lowered network of what joins and averages, with a hidden product and an exit that takes over."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs

from passes.exits.recycle_answers import recycle_answers
from passes.integers.fold_qdq import FoldQdq
from passes.model.graph import from_model
from passes.state import Exit, state_of
from tests.passes.integers.test_interpreter import Quantized

BOTH = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}


def joined_model(activation: str = "Relu") -> onnx.ModelProto:
    """Return the network as Q/DQ; ``activation`` stands behind the hidden product ("" for none)."""
    net = Quantized((1, 4, 9, 8))
    x = net.snap("x", 2.0**-5, 121)
    a = net.snap(net.op("AveragePool", net.read(x), **BOTH, count_include_pad=1), 0.011, 118)
    b = net.snap(net.op("AveragePool", net.read(x), **BOTH), 2.0**-6, 131)
    c = net.snap(net.op("Concat", net.read(a), net.read(b), axis=1), 0.017, 120)
    d = net.snap(net.op("GlobalAveragePool", net.read(c)), 0.009, 120)
    e = net.snap(net.op("Flatten", net.read(d)), 0.009, 120)
    first = net.linear("Gemm", e, 0.009, 5, 8, transB=1)
    hidden = net.linear("Gemm", e, 0.009, 24, 8, transB=1)
    if activation == "Clip":
        hidden = net.op("Clip", hidden, net.const(-0.03), net.const(0.09))
    elif activation:
        hidden = net.op(activation, hidden)
    f = net.snap(hidden, 0.0007, 60)
    last = net.linear("Gemm", f, 0.0007, 5, 24, transB=1)
    return net.model(first, last)


def joined_network(activation: str = "Relu") -> gs.Graph:
    """Return `joined_model`, folded."""
    graph = from_model(joined_model(activation))
    FoldQdq()(graph)
    first, last = (tensor.name for tensor in graph.outputs)
    state_of(graph).exits = [Exit("early", "", first, threshold=0.5), Exit("final", "", last)]
    recycle_answers(graph, [0.3])
    return graph
